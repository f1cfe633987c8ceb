"""What Dagster's pages say of failures, retries and params: sentences, and no stacks."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from cloudflow_dagster.engine.config import run_config_schema
from cloudflow_dagster.engine.in_process import NewRun, create_run, execute
from cloudflow_dagster.engine.jobs import job_for
from cloudflow_dagster.engine.told import Told
from tests.unit.engine.conftest import Flows, breaks, value

MANUAL = {"id": "start", "type": "trigger.manual"}
KEEP = {"type": "object", "properties": {"keep": {"type": "integer", "minimum": 1}}}


def events(instance: dg.DagsterInstance, run_id: str, kind: dg.DagsterEventType) -> list[Any]:
    entries = instance.all_logs(run_id, of_type=kind)
    return [entry.get_dagster_event() for entry in entries]


def test_a_failure_is_its_sentence(flows: Flows, instance: dg.DagsterInstance) -> None:
    flows.write("f", [MANUAL, breaks("one")], ["start > one"])
    run_id = flows.run("f")["run_id"]
    (event,) = events(instance, run_id, dg.DagsterEventType.STEP_FAILURE)
    error = event.step_failure_data.error
    assert error.message.startswith("ExpressionError: ")
    assert (list(error.stack), error.cause, error.context) == ([], None, None)
    assert "error" in event.step_failure_data.user_failure_data.metadata


def test_a_planned_retry_says_why_and_when(flows: Flows, instance: dg.DagsterInstance) -> None:
    ask = {
        "id": "one",
        "type": "generic.http.request",
        "config": {"url": "http://127.0.0.1:9/"},
        "retry": {"max_attempts": 2, "delay": 0.0123456, "jitter": "none"},
    }
    flows.write("f", [MANUAL, ask], ["start > one"])
    run_id = flows.run("f")["run_id"]
    (event,) = events(instance, run_id, dg.DagsterEventType.STEP_UP_FOR_RETRY)
    assert event.message.endswith("has requested a retry in 0.01 seconds.")
    assert event.step_retry_data.error.to_string().count("\n") == 0
    warned = [e.user_message for e in instance.all_logs(run_id) if "Attempt 1" in e.user_message]
    assert ". The next one starts in 0.0123 s." in warned[0]


def test_a_param_that_breaks_its_schema_is_refused_before_there_is_a_run(flows: Flows) -> None:
    flows.write("f", [MANUAL, value("one", 1)], ["start > one"], params=KEEP)
    job = job_for(flows.plan("f"), flows.project)
    dg.validate_run_config(job, {"params": {"keep": 1}})
    with pytest.raises(Told, match=r"params\.keep: 0 is less than the minimum of 1"):
        dg.validate_run_config(job, {"params": {"keep": 0}})


def test_required_params_may_still_come_from_the_trigger(flows: Flows) -> None:
    trigger = {
        "id": "start",
        "type": "trigger.cron",
        "config": {"schedule": "0 1 * * *", "params": {"keep": 3}},
    }
    params = {**KEEP, "required": ["keep"]}
    flows.write("f", [trigger, value("one", "{{ params.keep }}")], ["start > one"], params=params)
    assert flows.run("f")["status"] == "success"


def test_params_that_the_trigger_fills_wrongly_are_told_in_one_sentence(
    flows: Flows, instance: dg.DagsterInstance
) -> None:
    trigger = {
        "id": "start",
        "type": "trigger.cron",
        "config": {"schedule": "0 1 * * *", "params": {"keep": "{{ $length(trigger.type) - 12 }}"}},
    }
    flows.write("f", [trigger, value("one", 1)], ["start > one"], params=KEEP)
    job = job_for(flows.plan("f"), flows.project)
    run = create_run(instance, job, NewRun(config={}, tags={}, steps=None, listed=True))
    (error,) = [
        event.job_failure_data.error
        for event in execute(instance, job, run)
        if event.event_type is dg.DagsterEventType.RUN_FAILURE
    ]
    assert "params.keep: 0 is less than the minimum of 1" in error.message
    assert list(error.stack) == []


@pytest.mark.parametrize(
    ("schema", "about"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 30}, "At least 1, at most 30."),
        ({"type": "string", "pattern": "^a+$"}, "Of the form `^a+$`."),
        ({"enum": [1, None]}, "One of 1, null."),
        ({"type": "string", "enum": ["a", "b"]}, None),
        ({"type": "string", "description": "Where"}, "Where"),
        (
            {"type": "string", "description": "Where", "minLength": 2},
            "Where. At least 2 characters.",
        ),
    ],
)
def test_limits_that_dagster_does_not_know_stand_in_the_description(
    schema: dict[str, Any], about: str | None
) -> None:
    params = {"type": "object", "properties": {"x": schema}}
    fields: Any = run_config_schema("f", params, ())["params"].config_type
    assert fields.fields["x"].description == about
