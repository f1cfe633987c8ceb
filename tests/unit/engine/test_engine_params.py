"""What a run starts with: typed params, the trigger and its event."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest
from dagster._config import process_config, resolve_to_config_type

from cloudflow_dagster.engine.config import run_config_schema
from cloudflow_dagster.engine.definitions import build_definitions
from cloudflow_dagster.engine.jobs import job_for
from cloudflow_dagster.engine.params import ParamsError, start_of
from cloudflow_dagster.plan import Plan
from cloudflow_dagster.providers import catalogue
from tests.unit.engine.conftest import Flows, value

MANUAL = {"id": "start", "type": "trigger.manual"}
CRON = {"id": "cron", "type": "trigger.cron", "config": {"schedule": "0 2 * * *"}}
NOW = "2026-02-03T04:05:06+00:00"

PARAMS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "text": {"type": "string", "default": "x", "description": "Any text."},
        "whole": {"type": "integer", "default": 3},
        "number": {"type": "number"},
        "yes": {"type": "boolean"},
        "one_of": {"enum": ["a", "b"], "default": "a"},
        "mixed_enum": {"enum": [1, "b"]},
        "maybe": {"type": ["string", "null"], "default": None},
        "list": {"type": "array", "items": {"type": "integer"}, "default": [1]},
        "object": {"type": "object", "properties": {"inner": {"type": "integer", "default": 1}}},
        "closed": {
            "type": "object",
            "properties": {"inner": {"type": "integer"}},
            "additionalProperties": False,
        },
        "map": {"type": "object", "additionalProperties": {"type": "integer"}},
        "anything": True,
        "either": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
    },
}


def check(params: dict[str, Any], config: dict[str, Any]) -> Any:
    schema = run_config_schema("f", params, ("start", "cron"))
    return process_config(resolve_to_config_type(dg.Shape(schema)), config)


def test_defaults_are_seen_in_the_launchpad() -> None:
    result = check(PARAMS, {})

    assert result.success
    assert result.value["params"] == {
        "text": "x",
        "whole": 3,
        "one_of": "a",
        "maybe": None,
        "list": [1],
    }
    assert result.value["pinned"] is False


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("text", "t", 1),
        ("whole", 2, "x"),
        ("number", 1.5, "x"),
        ("yes", True, "x"),
        ("one_of", "b", "c"),
        ("mixed_enum", 1, None),
        ("maybe", None, 1),
        ("list", [1, 2], ["x"]),
        ("object", {"inner": 2, "more": 1}, {"inner": "x"}),
        ("closed", {"inner": 2}, {"more": 1}),
        ("map", {"a": 1}, {"a": "x"}),
        ("anything", [1, {"a": None}], None),
        ("either", "x", None),
    ],
)
def test_params_have_their_types(name: str, good: object, bad: object) -> None:
    assert check(PARAMS, {"params": {name: good}}).success
    if bad is not None:
        assert not check(PARAMS, {"params": {name: bad}}).success


def test_a_required_param_must_be_given() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}

    assert not check(schema, {}).success
    assert check(schema, {"params": {"a": "x"}}).success


def test_unknown_params_are_taken_unless_the_schema_is_closed() -> None:
    assert check(PARAMS, {"params": {"other": 1}}).success
    assert not check({**PARAMS, "additionalProperties": False}, {"params": {"other": 1}}).success


def test_the_trigger_must_be_one_of_the_flow() -> None:
    assert check(PARAMS, {"trigger": "cron"}).success
    assert not check(PARAMS, {"trigger": "other"}).success


def test_the_launchpad_asks_for_params_and_nothing_of_dagster(flows: Flows) -> None:
    flows.write("f", [MANUAL], [], params=PARAMS)
    job = job_for(flows.plan("f"), flows.project)

    assert dg.validate_run_config(job, {"params": {"whole": 4}})
    with pytest.raises(dg.DagsterInvalidConfigError, match=r"params:whole|whole"):
        dg.validate_run_config(job, {"params": {"whole": "x"}})


def start(plan: Plan, **given: Any) -> Any:
    return start_of(plan, given, catalogue(), time=NOW)


def test_started_by_hand_the_payload_is_the_params_given(flows: Flows) -> None:
    flows.write("f", [CRON, MANUAL], [], params=PARAMS)
    begun = start(flows.plan("f"), params={"whole": 4})

    assert begun.trigger == "start"
    assert begun.event == {"type": "trigger.manual", "time": NOW, "payload": {"whole": 4}}
    assert begun.params["whole"] == 4
    assert begun.params["text"] == "x"


def test_started_by_hand_without_a_manual_trigger_the_first_gives_its_sample(flows: Flows) -> None:
    flows.write("f", [CRON], [])
    begun = start(flows.plan("f"))

    assert begun.trigger == "cron"
    assert set(begun.event["payload"]) == {"scheduled_at"}


def test_a_flow_without_a_trigger_has_no_event(flows: Flows) -> None:
    flows.write("f", [value("one", 1)], [])
    begun = start(flows.plan("f"))

    assert (begun.trigger, begun.event) == (None, None)


def test_a_trigger_fills_params_and_what_is_given_by_hand_wins(flows: Flows) -> None:
    config = {"schedule": "0 2 * * *", "params": {"text": "{{ trigger.payload.scheduled_at }}"}}
    flows.write("f", [{**CRON, "config": config}], [], params=PARAMS)
    plan = flows.plan("f")
    event = {"type": "trigger.cron", "time": NOW, "payload": {"scheduled_at": "then"}}

    assert start(plan, event=event).params["text"] == "then"
    assert start(plan, event=event, params={"text": "mine"}).params["text"] == "mine"


def test_defaults_inside_objects_are_filled_in(flows: Flows) -> None:
    flows.write("f", [MANUAL], [], params=PARAMS)

    assert start(flows.plan("f"), params={"object": {}}).params["object"] == {"inner": 1}


def test_all_params_that_do_not_fit_are_named(flows: Flows) -> None:
    flows.write("f", [MANUAL], [], params=PARAMS)

    with pytest.raises(ParamsError) as raised:
        start(flows.plan("f"), params={"whole": "x", "list": [1, "y"]})
    assert "params.whole: 'x' is not of type 'integer'" in str(raised.value)
    assert "params.list[1]" in str(raised.value)
    with pytest.raises(ParamsError, match="no trigger `nope`"):
        start(flows.plan("f"), trigger="nope")


def test_a_cron_trigger_becomes_a_running_schedule(flows: Flows) -> None:
    config = {
        "schedule": ["0 2 * * *", "30 3 * * 1"],
        "timezone": "Europe/Berlin",
        "params": {"text": "{{ trigger.payload.scheduled_at }}"},
    }
    off = {**CRON, "id": "off", "disabled": True}
    flows.write("f", [{**CRON, "config": config}, off], [], params=PARAMS)
    (schedule,) = build_definitions(flows.project).get_repository_def().schedule_defs

    assert schedule.name == "f__cron"
    assert schedule.cron_schedule == config["schedule"]
    assert schedule.execution_timezone == "Europe/Berlin"
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING

    at = datetime(2026, 2, 3, 2, tzinfo=UTC)
    tick = schedule.evaluate_tick(dg.build_schedule_context(scheduled_execution_time=at))
    assert tick.run_requests is not None
    (request,) = tick.run_requests
    assert request.run_key == at.isoformat()
    assert request.run_config["trigger"] == "cron"
    assert request.run_config["event"]["payload"] == {"scheduled_at": at.isoformat()}
    assert request.run_config["params"] == {"text": at.isoformat()}


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        ("^[a-z]+$", "abc", "ABC"),
        ("^(a+)+$", "a" * 5000, "a" * 5000 + "!"),
        ("^(?!prod)", "dev", "prod"),
    ],
)
def test_patterns_are_matched_in_bounded_time(
    flows: Flows, pattern: str, good: str, bad: str
) -> None:
    params = {"type": "object", "properties": {"a": {"type": "string", "pattern": pattern}}}
    flows.write("f", [MANUAL, value("a", 1)], ["start > a"], params=params)
    plan = flows.plan("f")
    started = start_of(plan, {"params": {"a": good}}, catalogue(), time=NOW)
    assert started.params == {"a": good}
    with pytest.raises(ParamsError, match=r"params\.a: .* does not have the form"):
        start_of(plan, {"params": {"a": bad}}, catalogue(), time=NOW)
