"""A process that is killed in the middle of a loop loses nothing that was done."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cloudflow_dagster.runtime.step import execute_step
from cloudflow_dagster.runtime.summary import summarise

SCRIPT = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.unit.runtime.conftest import Log, Stage
from tests.unit.runtime.test_runtime_kills import plan_of, write_to

folder = Path(sys.argv[2])
stage = Stage(folder)
write = write_to(folder / "done.txt")

def work(call, config):
    if config["item"] == 37:
        os.kill(os.getpid(), signal.SIGKILL)
    return write(call, config)

stage.on["body"] = work
stage.play(plan_of(stage), "killed")
"""


def write_to(path: Path) -> Any:
    def write(call: Any, config: dict[str, Any]) -> Any:
        with path.open("a") as file:
            file.write(f"{config['item']}\n")
        return config["item"]

    return write


def plan_of(stage: Any) -> Any:
    return stage.plan(
        {"id": "each", "type": "logic.loop", "config": {"items": "{{ [0..99] }}"}},
        {"id": "before", "type": "generic.transform", "config": {"value": "{{ item }}"}},
        {"id": "body", "config": {"item": "{{ nodes.before }}"}},
        edges=["each.item -> before", "before -> body"],
    )


@pytest.mark.integration
def test_what_was_done_is_not_done_again(stage: Any, log: Any, tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(root), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    before = (tmp_path / "done.txt").read_text().split()
    assert 0 < len(before) < 100
    stage.on["body"] = write_to(tmp_path / "done.txt")
    plan = plan_of(stage)
    run = stage.run(plan, "resumed", [("killed", frozenset({"each"}), True)])
    execute_step(run, plan.step("each"), 1, log)
    summary = summarise(plan, run.records)
    assert summary["nodes"]["each"]["output"]["results"] == list(range(100))
    items = [int(item) for item in (tmp_path / "done.txt").read_text().split()]
    assert sorted(set(items)) == list(range(100))
    # Ten ran at the same time: those that had written their line, but not their record yet.
    assert len(items) - 100 < 10
