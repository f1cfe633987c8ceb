"""How many runs of a flow go on at the same time, and stopping them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest

from cloudflow_dagster.engine import tags
from cloudflow_dagster.engine.concurrency import (
    Verdict,
    ask_for_place,
    queued_limits,
    rule_of,
)
from cloudflow_dagster.engine.coordinator import FlowRunCoordinator
from cloudflow_dagster.engine.in_process import NewRun, create_run
from cloudflow_dagster.engine.jobs import job_for
from cloudflow_dagster.engine.this_process import process_is_gone, this_process
from tests.unit.engine.conftest import Flows, statuses

MANUAL = {"id": "start", "type": "trigger.manual"}
PARAMS = {
    "type": "object",
    "properties": {
        "env": {"type": "string", "default": "dev"},
        "seconds": {"type": "number", "default": 1.2},
    },
}
WAIT = {"id": "wait", "type": "logic.wait", "config": {"seconds": "{{ params.seconds }}"}}


def write(flows: Flows, when_full: str, **more: Any) -> None:
    flows.write(
        "f",
        [MANUAL, WAIT],
        ["start > wait"],
        concurrency={"limit": 1, "when_full": when_full, **more},
        params=PARAMS,
    )


def new_run(flows: Flows, instance: dg.DagsterInstance, **params: Any) -> dg.DagsterRun:
    job = job_for(flows.plan("f"), flows.project)
    return create_run(instance, job, NewRun(config={"params": params}))


def ask(instance: dg.DagsterInstance, run: dg.DagsterRun, **more: bool) -> Verdict:
    rule = rule_of(run)
    assert rule is not None
    return ask_for_place(instance, run, rule, **more)


def eventually(condition: Callable[[], bool]) -> bool:
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up:
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_runs_are_counted_by_flow_and_key(flows: Flows, instance: dg.DagsterInstance) -> None:
    write(flows, "queue", key="{{ params.env }}")
    dev, also_dev, prod = (
        new_run(flows, instance),
        new_run(flows, instance, env="dev"),
        new_run(flows, instance, env="prod"),
    )

    assert ask(instance, dev) is Verdict.GO
    assert ask(instance, also_dev) is Verdict.WAIT
    assert ask(instance, prod) is Verdict.GO
    instance.report_run_canceled(dev)
    assert ask(instance, also_dev) is Verdict.GO


def test_a_run_that_has_its_place_keeps_it(flows: Flows, instance: dg.DagsterInstance) -> None:
    write(flows, "skip")
    run = new_run(flows, instance)

    assert ask(instance, run) is Verdict.GO
    assert ask(instance, run) is Verdict.GO


def test_a_run_does_not_overtake_those_in_the_queue(
    flows: Flows, instance: dg.DagsterInstance
) -> None:
    write(flows, "queue")
    first, queued, late = (new_run(flows, instance) for _ in range(3))
    ask(instance, first)
    ask(instance, queued)
    instance.report_dagster_event(
        dg.DagsterEvent(dg.DagsterEventType.PIPELINE_ENQUEUED.value, "f"), queued.run_id
    )
    instance.report_run_canceled(first)

    assert ask(instance, late, in_turn=True) is Verdict.WAIT
    assert queued_limits([queued]) == [{"key": tags.SLOT, "value": "f", "limit": 1}]


def test_a_run_whose_process_was_killed_frees_its_place(
    flows: Flows, instance: dg.DagsterInstance
) -> None:
    write(flows, "queue")
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        gone = this_process().rsplit(":", 2)[0] + f":{process.pid}:0"
    dead, alive = new_run(flows, instance), new_run(flows, instance)
    instance.add_run_tags(dead.run_id, {tags.IN_PROCESS: gone})
    ask(instance, dead)

    assert ask(instance, alive) is Verdict.GO
    found = instance.get_run_by_id(dead.run_id)
    assert found is not None
    assert found.status is dg.DagsterRunStatus.FAILURE


@pytest.mark.parametrize(
    ("when_full", "verdict"),
    [
        ("queue", Verdict.WAIT),
        ("skip", Verdict.WAIT),
        # What a newer run has replaced is over.
        ("cancel_oldest", Verdict.SKIP),
    ],
)
def test_a_run_that_goes_on_after_a_restart_takes_its_place_anew(
    flows: Flows, instance: dg.DagsterInstance, when_full: str, verdict: Verdict
) -> None:
    write(flows, when_full)
    first, newer = new_run(flows, instance), new_run(flows, instance)
    assert ask(instance, first) is Verdict.GO
    instance.report_run_failed(first, "All was stopped.")
    assert ask(instance, newer) is Verdict.GO
    before = instance.get_run_by_id(first.run_id)
    assert before is not None
    # As the daemon makes it: with all tags of the run that it goes on with.
    again = instance.create_run_for_job(
        job_for(flows.plan("f"), flows.project),
        run_config=before.run_config,
        tags={**before.tags, tags.IN_PROCESS: this_process(), "dagster/retry_number": "1"},
        parent_run_id=first.run_id,
        root_run_id=first.run_id,
    )

    assert ask(instance, again) is verdict
    for run in (newer, again):
        found = instance.get_run_by_id(run.run_id)
        assert found is not None
        assert found.status is dg.DagsterRunStatus.NOT_STARTED
    instance.report_run_canceled(newer)
    assert ask(instance, again) is Verdict.GO


def test_a_process_is_told_from_others() -> None:
    assert not process_is_gone(this_process())
    assert not process_is_gone("another-machine:1:1")
    assert not process_is_gone("nonsense")


def test_with_queue_one_run_waits_for_the_other(flows: Flows) -> None:
    write(flows, "queue")
    ended: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda: ended.append(flows.run("f"))) for _ in range(2)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [run["status"] for run in ended] == ["success", "success"]
    assert time.monotonic() - started > 2.4


def test_with_skip_one_run_too_many_is_canceled(flows: Flows, instance: dg.DagsterInstance) -> None:
    write(flows, "skip")
    ask(instance, new_run(flows, instance))
    summary = flows.run("f")

    assert summary["status"] == "canceled"
    assert statuses(summary)["wait"] == "not_run"
    messages = [entry.message for entry in instance.all_logs(summary["run_id"])]
    assert any("Skipped: 1 run goes on already" in message for message in messages)


def test_with_cancel_oldest_the_older_run_ends(flows: Flows) -> None:
    write(flows, "cancel_oldest")
    older: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: older.append(flows.run("f", params={"seconds": 50})))
    thread.start()
    assert eventually(lambda: ("start", "success") in flows.told)
    newer = flows.run("f")
    thread.join()

    assert newer["status"] == "success"
    assert older[0]["status"] == "canceled"


def test_a_run_that_is_waited_for_needs_no_place_of_its_own(flows: Flows) -> None:
    call = {
        "id": "call",
        "type": "flow.call",
        "config": {"flow": "f", "max_depth": 2, "params": {"env": "inner"}},
    }
    outer = {
        "id": "outer",
        "type": "logic.if",
        "config": {"condition": "{{ params.env = 'dev' }}"},
    }
    flows.write(
        "f",
        [MANUAL, outer, call],
        ["start > outer", "outer.true > call"],
        concurrency={"limit": 1},
        params=PARAMS,
    )

    summary = flows.run("f")
    assert summary["status"] == "success", summary


def test_the_instance_of_a_project_has_our_coordinator(instance: dg.DagsterInstance) -> None:
    coordinator = instance.run_coordinator

    assert isinstance(coordinator, FlowRunCoordinator)
    assert coordinator.get_run_queue_config().max_concurrent_runs == -1
    # The daemon that takes runs from the queue runs for this kind of coordinator.
    assert "QUEUED_RUN_COORDINATOR" in instance.get_required_daemon_types()


PROGRAM = """
import json, sys
from cloudflow_dagster.compiler.pipeline import compile_flow
from cloudflow_dagster.engine.run_flow import run_flow
from cloudflow_dagster.project import find_project
project = find_project(".")
plan = compile_flow("flows/f.json", project=project)
tell = lambda node, status, seconds, detail="": print(node, status, flush=True)
print(json.dumps(run_flow(project, plan, on_event=tell)), flush=True)
"""


@pytest.mark.parametrize("way", ["ctrl_c", "page"])
def test_a_run_of_the_cli_is_canceled(flows: Flows, instance: dg.DagsterInstance, way: str) -> None:
    wait = {**WAIT, "config": {"seconds": 40}}
    flows.write("f", [MANUAL, wait], ["start > wait"])
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "start success\n"
        (run,) = instance.get_runs()
        if way == "ctrl_c":
            os.kill(process.pid, signal.SIGINT)
        else:
            instance.report_run_canceling(run)
        last = process.stdout.read().splitlines()[-1]
        assert process.wait(20) == 0

    assert '"status": "canceled"' in last
    (run,) = instance.get_runs()
    assert run.status is dg.DagsterRunStatus.CANCELED
