"""What runs cost that only wait: `python -m benchmarks.waiting`.

One run is suspended in earnest, and copied in the history and in the records. Then the part of the
code server is measured that looks for runs that can go on, twice a second.
"""

from __future__ import annotations

import argparse
import json
import resource
import sqlite3
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from cloudflow_dagster.compiler.pipeline import compile_flow
from cloudflow_dagster.engine.instance import open_instance
from cloudflow_dagster.engine.resuming import Resumer
from cloudflow_dagster.engine.run_flow import run_flow
from cloudflow_dagster.project import Project, find_project
from cloudflow_dagster.runtime.waits import Waits

_FLOW = {
    "version": 1,
    "nodes": [{"id": "ask", "type": "logic.wait", "config": {"approval": {"message": "Go on?"}}}],
}
_LOOKS = 20


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000, help="how many wait")
    count: int = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "flows").mkdir()
        (root / "cloudflow.yaml").write_text("{}\n")
        (root / "flows" / "asks.json").write_text(json.dumps(_FLOW))
        project = find_project(root)
        print(f"{'waiting runs':>14} {'a look, CPU':>12} {'tidying, CPU':>13} {'memory':>8}")
        _suspend(project)
        _measure(project, 1)
        _copy(project, count - 1)
        _measure(project, count)


def _suspend(project: Project) -> None:
    plan = compile_flow(project.flows / "asks.json", project=project)
    assert run_flow(project, plan)["status"] == "waiting"


def _copy(project: Project, count: int) -> None:
    (first,) = Waits(project.records).suspended()
    ids = [str(uuid.uuid4()) for _ in range(count)]
    history = project.state / "dagster" / "history" / "runs.db"
    for file, table, column in (
        (history, "runs", "run_id"),
        (project.records, "suspended", "run"),
        (project.records, "waits", "run"),
    ):
        with closing(sqlite3.connect(file)) as connection:
            names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            new = {column: "?1", "token": "?1", "root": "?1", "id": "NULL"}
            said = ", ".join(new.get(name, name) for name in names)
            connection.executemany(
                f"INSERT INTO {table} SELECT {said} FROM {table} WHERE {column} = ?2",
                ((id, first) for id in ids),
            )
            connection.commit()


def _measure(project: Project, count: int) -> None:
    with open_instance(project) as instance:
        resumer, waits = Resumer(project, instance), Waits(project.records)
        resumer.look()
        look = _seconds(resumer.look)
        tidy = _seconds(lambda: resumer.tidy(waits))
        assert len(waits.suspended()) == count
        assert not resumer.workers
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{count:>14,} {look * 1000:>9.2f} ms {tidy * 1000:>10.1f} ms {memory:>5.0f} MB")


def _seconds(do: Callable[[], object]) -> float:
    """Return the processor time that something takes, the median of several times."""
    times: list[float] = []
    for _ in range(_LOOKS):
        began = time.process_time()
        do()
        times.append(time.process_time() - began)
    return statistics.median(times)


if __name__ == "__main__":
    main()
