"""Runs whose flow changes between their launch and their start."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from cloudflow_dagster.engine.in_process import NewRun, create_run, execute
from cloudflow_dagster.engine.jobs import job_for
from tests.unit.engine.conftest import Flows, value

MANUAL = {"id": "start", "type": "trigger.manual"}
EACH = {"id": "each", "type": "logic.loop", "config": {"items": [1, 2]}}


def launched(
    flows: Flows, instance: dg.DagsterInstance, steps: Sequence[str] | None = None
) -> dg.DagsterRun:
    """Launch the flow as it is now."""
    job = job_for(flows.plan("f"), flows.project)
    return create_run(instance, job, NewRun(config={}, steps=steps))


def started(flows: Flows, instance: dg.DagsterInstance, run: dg.DagsterRun) -> set[str]:
    """Execute a run with the flow as it is now; return the steps that succeeded."""
    job = job_for(flows.plan("f"), flows.project)
    events = list(execute(instance, job, run))
    return {e.step_key or "" for e in events if e.is_step_success}


def test_a_run_of_all_steps_executes_what_there_is_when_it_starts(
    flows: Flows, instance: dg.DagsterInstance
) -> None:
    flows.write("f", [MANUAL, value("a", 1), value("b", 2)], ["start > a", "a > b"])
    run = launched(flows, instance)
    flows.write("f", [MANUAL, value("a", 1), value("c", 2)], ["start > a", "a > c"])

    assert started(flows, instance, run) == {"start", "a", "c"}
    written = instance.get_run_by_id(run.run_id)
    assert written is not None
    assert written.status is dg.DagsterRunStatus.SUCCESS
    assert set(written.step_keys_to_execute or ()) == {"start", "a", "c"}
    plan = instance.get_execution_plan_snapshot(written.execution_plan_snapshot_id or "")
    assert {step.key for step in plan.steps} == {"start", "a", "c"}
    job = instance.get_job_snapshot(written.job_snapshot_id or "")
    assert set(job.node_names) == {"start", "a", "c"}
    (said,) = [e.message for e in instance.all_logs(run.run_id) if "has changed" in e.message]
    assert "New: `c`. Gone: `b`." in said


def test_a_loop_that_is_new_is_executed_with_all_its_steps(
    flows: Flows, instance: dg.DagsterInstance
) -> None:
    flows.write("f", [MANUAL, value("a", 1)], ["start > a"])
    run = launched(flows, instance)
    body = value("n", "{{ item }}")
    edges = ["start > a", "a > each", "each.item > n"]
    flows.write("f", [MANUAL, value("a", 1), EACH, body], edges)

    done = {"start", "a", "each", "each__done"}
    assert started(flows, instance, run) >= done
    # Nothing has changed for the next one, whose plan has a step for each item.
    again = launched(flows, instance)
    assert started(flows, instance, again) >= done
    assert not [e for e in instance.all_logs(again.run_id) if "has changed" in e.message]


def test_a_run_of_some_steps_stays_one_of_those(flows: Flows, instance: dg.DagsterInstance) -> None:
    flows.write("f", [MANUAL, value("a", 1), value("b", 2)], ["start > a", "a > b"])
    run = launched(flows, instance, ["start", "a"])
    flows.write("f", [MANUAL, value("a", 1), value("c", 2)], ["start > a", "a > c"])

    assert started(flows, instance, run) == {"start", "a"}
