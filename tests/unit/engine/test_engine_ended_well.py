"""A process that dies when all nodes have ended, and nobody has said yet that the run has."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from cloudflow_dagster.engine.dead_runs import found_dead
from cloudflow_dagster.engine.flow_runs import summary_of
from cloudflow_dagster.project import Project
from tests.unit.engine.conftest import Flows, value

MANUAL = {"id": "start", "type": "trigger.manual"}
# What it has told is in the history half a second later.
DIES = """
import os, signal, sys, time
from pathlib import Path
from cloudflow_dagster.compiler.pipeline import compile_flow
from cloudflow_dagster.engine.run_flow import run_flow
from cloudflow_dagster.project import find_project

def tell(node, status, seconds, detail=""):
    if node == sys.argv[2]:
        time.sleep(1.5)
        os.kill(os.getpid(), signal.SIGKILL)

project = find_project(Path(sys.argv[1]))
run_flow(project, compile_flow(project.flows / "f.json", project=project), on_event=tell)
"""


@pytest.mark.parametrize(
    ("last", "status"),
    [("end", dg.DagsterRunStatus.SUCCESS), ("each", dg.DagsterRunStatus.FAILURE)],
)
def test_a_run_that_only_lacks_its_end_has_succeeded(
    flows: Flows,
    project: Project,
    instance: dg.DagsterInstance,
    last: str,
    status: dg.DagsterRunStatus,
) -> None:
    nodes = [
        MANUAL,
        {"id": "each", "type": "logic.loop", "config": {"items": [1, 2]}},
        value("one", "{{ item }}"),
        {"id": "end", "type": "flow.result", "config": {"value": "{{ nodes.each.results }}"}},
    ]
    flows.write("f", nodes, ["start > each", "each.item > one", "each.done > end"])
    died = subprocess.run([sys.executable, "-c", DIES, Path(project.root), last], check=False)
    assert died.returncode == -signal.SIGKILL
    (run,) = instance.get_runs()

    assert found_dead(project, instance, run)
    now = instance.get_run_by_id(run.run_id)
    assert now is not None
    assert now.status is status
    ended = summary_of(project, instance, flows.plan("f"), run.run_id)
    assert ended["result"] == ([1, 2] if last == "end" else None)
