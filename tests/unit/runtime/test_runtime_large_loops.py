"""A loop of 100,000 items is run in memory that does not grow with it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import json, resource, sys
from pathlib import Path

from cloudflow_dagster.compiler.pipeline import compile_flow
from cloudflow_dagster.flow.model import Flow
from cloudflow_dagster.project import find_project
from cloudflow_dagster.providers import catalogue
from cloudflow_dagster.runtime.loops import close_loop, ranges_of, run_range
from cloudflow_dagster.runtime.records import LoopFacts, RecordKey, SqliteRecords
from cloudflow_dagster.runtime.run import Run

class Log:
    def debug(self, message): pass
    def info(self, message): pass
    def warning(self, message): pass

def peak():
    # `getrusage` counts what started this program too: beside a large one it never grows.
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

folder, count = Path(sys.argv[1]), int(sys.argv[2])
flow = Flow.model_validate({
    "version": 1, "id": "large",
    "nodes": [
        {"id": "each", "type": "logic.loop",
         "config": {"items": [], "on_item_error": "collect"}},
        {"id": "body", "type": "generic.transform", "config": {"value": "{{ item }}"}},
    ],
    "edges": [{"source": "each", "source_port": "item", "target": "body"}],
})
plan = compile_flow(flow)
project = find_project(folder)
records = SqliteRecords(folder / "records.sqlite", "run")
run = Run(
    plan=plan, id="run", started_at="2026-11-23T00:00:00Z", project=project,
    registry=catalogue(), records=records, secrets=project.secrets, files=folder / "files",
)
step = plan.step("each")
key = RecordKey("each")

def play(count):
    items = ({"n": n, "text": "x" * 400} for n in range(count))
    records.open_loop(key, LoopFacts(count=count, on_item_error="collect"), items)
    for each in ranges_of(count):
        run_range(run, step, each, lambda *_: Log())
    done = close_loop(run, step, Log())
    assert done.ending == "ok"
    assert done.record.part(frozenset({"errors"})) == {"errors": [], "count": count}

play(1_000)
before = peak()
run.records = records = SqliteRecords(folder / "records.sqlite", "large run")
play(count)
print(json.dumps({
    "grown": peak() - before,
    "stored": (folder / "records.sqlite").stat().st_size / 1e6,
    "done": records.tally("body", "each", 1).statuses,
    "last": next(iter(records.items(key, "each", count - 1, count - 1)))[1]["n"],
}))
"""


@pytest.mark.integration
def test_memory_is_bounded(tmp_path: Path) -> None:
    count = 100_000
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), str(count)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["done"] == {"success": count}
    assert found["last"] == count - 1
    assert found["stored"] > 100
    assert found["grown"] < 40
