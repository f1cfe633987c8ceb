"""Building Dagster definitions for 1,000 flows of 10 nodes: `python -m benchmarks.definitions`.

Prints what each part takes and what it does to the process's memory; plain Dagster is the same ops
written by hand, each with a definition of its own.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FLOWS = 1_000
NODES = 10


def main() -> None:
    """Measure and print."""
    rows: list[tuple[str, float, float]] = []
    dagster, ours = _import_time("dagster"), _import_time("cloudflow_dagster.engine.definitions")
    top = _import_time("cloudflow_dagster")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _write_flows(root / "flows")
        rows += _measure_ours(root)
    rows += [_timed(f"plain Dagster: {FLOWS} jobs of {NODES} ops", _plain_dagster)]
    print(f"import dagster                                 {dagster:8.2f} s")
    print(f"import cloudflow_dagster                       {top:8.2f} s")
    print(f"import cloudflow_dagster.engine.definitions    {ours:8.2f} s ({ours - dagster:+.2f})")
    for name, seconds, megabytes in rows:
        print(f"{name:46} {seconds:8.2f} s   {megabytes:+8.0f} MB")


def _measure_ours(root: Path) -> list[tuple[str, float, float]]:
    from cloudflow_dagster.compiler.pipeline import (  # noqa: PLC0415 - measured
        collector_paused,
        compile_project,
    )
    from cloudflow_dagster.engine.folder import FlowFolder  # noqa: PLC0415 - measured
    from cloudflow_dagster.engine.jobs import job_for  # noqa: PLC0415 - measured
    from cloudflow_dagster.project import find_project  # noqa: PLC0415 - measured

    project = find_project(root)
    compiled: list[Any] = []
    folder = FlowFolder(project)
    changed = root / "flows" / "flow_7.json"

    def one_changed() -> None:
        changed.write_text(changed.read_text().replace("value 3", "another"))
        assert folder.look()

    def from_plans() -> list[Any]:
        with collector_paused():
            return [job_for(one.plan, project) for one in compiled]

    return [
        _timed(f"compile {FLOWS} flows", lambda: compiled.extend(compile_project(project))),
        _timed("plans", lambda: [one.plan for one in compiled]),
        _timed("definitions from plans", from_plans),
        _timed("what the code server does at its start", folder.look),
        _timed("looking when nothing has changed", folder.look),
        _timed("again after one flow changed", one_changed),
        _timed("one job, for whoever looks at it", lambda: folder.loaded("flow_7")),
        _timed("all jobs, for a host project", lambda: FlowFolder(project).load()),
        _timed("one flow, for a process that runs it", lambda: folder.one("flow_7")),
    ]


def _plain_dagster() -> None:
    import dagster as dg  # noqa: PLC0415 - measured

    for flow in range(FLOWS):
        ops = [
            dg.OpDefinition(
                name=f"f{flow}__n{n}",
                compute_fn=lambda context, inputs: iter([dg.Output(None, "out")]),
                ins={"before": dg.In(dg.Nothing)} if n else {},
                outs={"out": dg.Out(dg.Nothing, is_required=False)},
            )
            for n in range(NODES)
        ]
        edges: dict[Any, Any] = {
            op.name: {"before": dg.DependencyDefinition(ops[n - 1].name, "out")} if n else {}
            for n, op in enumerate(ops)
        }
        dg.GraphDefinition(name=f"f{flow}", node_defs=ops, dependencies=edges).to_job()


def _write_flows(folder: Path) -> None:
    folder.mkdir()
    for flow in range(FLOWS):
        nodes: list[dict[str, Any]] = [{"id": "start", "type": "trigger.manual"}]
        nodes += [
            {"id": f"n{n}", "type": "generic.transform", "config": {"value": f"value {n}"}}
            for n in range(1, NODES)
        ]
        edges = [{"source": nodes[n - 1]["id"], "target": nodes[n]["id"]} for n in range(1, NODES)]
        text = json.dumps({"version": 1, "nodes": nodes, "edges": edges})
        (folder / f"flow_{flow}.json").write_text(text)


def _timed(name: str, work: Callable[[], object]) -> tuple[str, float, float]:
    before = _megabytes()
    started = time.perf_counter()
    kept = work()
    seconds = time.perf_counter() - started
    grown = _megabytes() - before
    del kept
    return name, seconds, grown


def _megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _import_time(module: str) -> float:
    """Return the best of three, each in a process of its own."""
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    return min(float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(3))


if __name__ == "__main__":
    main()
