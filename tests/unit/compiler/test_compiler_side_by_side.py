"""Many flows are checked in several processes, with what one process finds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

BOTH = """
from pathlib import Path
from cloudflow_dagster.compiler.pipeline import compile_project
from cloudflow_dagster.compiler.side_by_side import _processes, check_project, checked
from cloudflow_dagster.project import find_project
from cloudflow_dagster.providers import catalogue
project = find_project(Path.cwd())
found = check_project(project, catalogue())
alone = [checked(compiled) for compiled in compile_project(project, catalogue())]
assert found == alone
print(len(found), sum(len(one.diagnostics) for one in found), _processes(len(found)))
"""


def test_many_flows_are_checked_as_one_by_one(tmp_path: Path) -> None:
    flows = tmp_path / "flows"
    flows.mkdir()
    for number in range(130):
        # Each third calls a flow that is not there, each other its neighbour.
        called = f"flow_{number}_" if number % 3 == 0 else f"flow_{(number + 1) % 130}"
        node = {"id": "call", "type": "flow.call", "config": {"flow": called}}
        flow = {"version": 1, "nodes": [{"id": "start", "type": "trigger.manual"}, node]}
        text = json.dumps({**flow, "edges": [{"source": "start", "target": "call"}]})
        (flows / f"flow_{number}.json").write_text(text if number != 7 else text[:-1])

    # In a process without threads: where there are some, nothing is forked.
    done = subprocess.run(
        [sys.executable, "-c", BOTH], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    flows_found, problems, processes = map(int, done.stdout.split())
    assert flows_found == 130
    assert problems >= 130 // 3
    assert processes == len(os.sched_getaffinity(0))
