"""Who stops a process: a person who means its run, or a deployment that goes on with it later."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pytest

from cloudflow_dagster.engine.instance import dagster_home
from tests.fixtures.programs import MANUAL, CommandLine, Programs, call, chain, get, result, wait
from tests.fixtures.web import Answer, Asked, serving

pytestmark = pytest.mark.integration


class Gate:
    """A page that says `open` once it is."""

    def __init__(self) -> None:
        self.url = ""
        self.asked = 0
        self.is_open = False

    def __call__(self, _asked: Asked) -> Answer:
        self.asked += 1
        said = "open" if self.is_open else "closed"
        return Answer(200, json.dumps(said), {"Content-Type": "application/json"})

    def node(self) -> dict[str, Any]:
        """Return a node that waits until it is open."""
        until = {"condition": "{{ output.body = 'open' }}", "interval": 0.2, "timeout": 600}
        return get("gate", self.url, until=until)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    with serving(gate) as web:
        gate.url = web.url()
        yield gate


def eventually(condition: Callable[[], Any]) -> None:
    give_up = time.monotonic() + 240
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.1)


def stop(process: subprocess.Popen[str], number: signal.Signals) -> int:
    process.send_signal(number)
    process.communicate(timeout=120)
    return process.returncode


def test_a_run_that_had_waited_is_left_when_the_process_that_goes_on_with_it_is_stopped(
    programs: Programs, cloudflow: CommandLine, gate: Gate
) -> None:
    ask = wait("ask", approval={"message": "Really?"})
    programs.write(chain(MANUAL, ask, gate.node(), result("{{ nodes.ask.approved }}")), "asks")
    run_id = cloudflow("run", "asks", "--format", "json").json["run_id"]
    assert cloudflow("approve", run_id).status == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "cloudflow_dagster.engine.resuming"],
        cwd=programs.project.root,
        env={**os.environ, "DAGSTER_HOME": str(dagster_home(programs.project))},
        stdout=subprocess.PIPE,
        text=True,
    )
    eventually(lambda: gate.asked)

    assert stop(process, signal.SIGTERM) == 0
    (run,) = programs.runs_of("asks")
    assert run.status is dg.DagsterRunStatus.FAILURE
    assert run.tags["dagster/will_retry"] == "true"
    gate.is_open = True
    again = cloudflow("runs", "retry", run_id, "--format", "json").json
    assert (again["status"], again["result"]) == ("success", True)


def test_ctrl_c_cancels_the_run_of_a_terminal_and_the_one_that_it_called(
    programs: Programs, cloudflow: CommandLine, gate: Gate
) -> None:
    programs.write(chain(MANUAL, gate.node()), "child")
    programs.write(chain(MANUAL, call("call", "child"), on_failure="told"), "parent")
    programs.write(chain(MANUAL, result("never")), "told")
    process = cloudflow.start("run", "parent")
    eventually(lambda: gate.asked)

    assert stop(process, signal.SIGINT) != 0
    for flow in ("parent", "child"):
        (run,) = programs.runs_of(flow)
        assert run.status is dg.DagsterRunStatus.CANCELED
    assert programs.runs_of("told") == []
    assert gate.asked < 50


def test_ctrl_c_cancels_a_run_that_waits_for_its_place(
    programs: Programs, cloudflow: CommandLine, gate: Gate
) -> None:
    programs.write(chain(MANUAL, gate.node(), concurrency={"limit": 1}), "alone")
    first = cloudflow.start("run", "alone")
    eventually(lambda: gate.asked)
    second = cloudflow.start("run", "alone")
    eventually(lambda: _says(programs, "Waiting for a place"))

    assert stop(second, signal.SIGINT) != 0
    gate.is_open = True
    first.communicate(timeout=120)
    statuses = [run.status for run in programs.runs_of("alone")]
    assert statuses == [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.CANCELED]


def _says(programs: Programs, words: str) -> bool:
    last = programs.runs_of("alone")[-1].run_id
    return any(words in entry.message for entry in programs.instance.all_logs(last))
