"""The node types of triggers, logic and flows, and the transform."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from cloudflow_dagster.nodes.errors import Canceled, NodeError
from cloudflow_dagster.nodes.spec import Behaviour, Carries, Chosen, NodeType
from cloudflow_dagster.nodes.waits import Wait
from cloudflow_dagster.providers import catalogue
from tests.fixtures.calls import WorkingCall


def node_type(id: str) -> NodeType:
    found = catalogue().get(id)
    assert found is not None
    return found


def run(call: WorkingCall, id: str, config: dict[str, Any]) -> Any:
    handler = node_type(id).handler
    assert handler is not None
    return handler(call, config)


def findings(id: str, config: dict[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
    check = node_type(id).check_config
    assert check is not None
    return check(config)


@pytest.fixture
def call(tmp_path: Path) -> WorkingCall:
    return WorkingCall(tmp_path)


def test_the_output_ports_are_those_of_the_format() -> None:
    expected = {
        "trigger.manual": ["out"],
        "trigger.cron": ["out"],
        "logic.if": ["true", "false", "error"],
        "logic.switch": ["default", "error"],
        "logic.loop": ["item", "done", "error"],
        "logic.wait": ["out", "error"],
        "generic.transform": ["out", "error"],
        "generic.code": ["out", "error"],
        "generic.http.request": ["out", "error"],
        "flow.call": ["out", "error"],
        "flow.result": ["out", "error"],
    }
    assert {id: [p.name for p in node_type(id).outputs] for id in expected} == expected


def test_the_config_fields_are_those_of_the_format() -> None:
    expected = {
        "trigger.manual": {"params"},
        "trigger.cron": {"schedule", "timezone", "params"},
        "logic.if": {"condition"},
        "logic.switch": {"cases"},
        "logic.loop": {"items", "concurrency", "on_item_error", "batch_size"},
        "logic.wait": {"seconds", "until", "approval", "resume"},
        "generic.transform": {"value"},
        "generic.code": {"code", "inputs"},
        "generic.http.request": {
            *("method", "url", "query", "headers", "json", "form", "body", "auth", "timeout"),
            *("expect", "paginate", "response", "idempotency_header"),
        },
        "flow.call": {"flow", "params", "max_depth"},
        "flow.result": {"value"},
    }
    assert {id: set(node_type(id).config_schema["properties"]) for id in expected} == expected


def test_secrets_are_allowed_only_where_no_output_would_carry_them() -> None:
    allowed = {id for id in catalogue().ids() if not id.startswith("aws.")}
    allowed = {id for id in allowed if node_type(id).secrets}
    services = {"generic.slack.message", "generic.github.dispatch", "generic.github.issue"}
    services |= {"generic.http.request", "generic.sql.query", "generic.mail.send"}
    assert allowed == {"trigger.manual", "trigger.cron", *services}


def test_the_engine_knows_those_it_treats_in_a_way_of_its_own() -> None:
    assert node_type("logic.loop").behaviour is Behaviour.LOOP
    assert node_type("logic.wait").behaviour is Behaviour.WAIT
    assert node_type("flow.call").behaviour is Behaviour.CALL
    assert node_type("flow.result").behaviour is Behaviour.RESULT


def test_if_chooses(call: WorkingCall) -> None:
    assert run(call, "logic.if", {"condition": lambda: True}) == Chosen("true")
    assert run(call, "logic.if", {"condition": lambda: False}) == Chosen("false")


def test_switch_takes_the_first_case_that_holds_and_asks_no_further(call: WorkingCall) -> None:
    def never() -> bool:
        raise AssertionError

    cases = [
        {"name": "small", "when": lambda: False},
        {"name": "big", "when": lambda: True},
        {"name": "huge", "when": never},
    ]
    assert run(call, "logic.switch", {"cases": cases}) == Chosen("big")
    assert run(call, "logic.switch", {"cases": cases[:1]}) == Chosen("default")


def test_switch_has_a_port_for_each_case() -> None:
    config = {"cases": [{"name": "b"}, {"name": "a"}, {"name": "b"}, {"name": "1"}, {}, 3]}
    ports = node_type("logic.switch").outputs_for(config)
    assert [p.name for p in ports] == ["b", "a", "default", "error"]
    assert ports[0].carries is Carries.BRANCH
    assert [p.name for p in node_type("logic.switch").outputs_for({"cases": "x"})] == [
        "default",
        "error",
    ]


def test_switch_finds_names_that_are_taken() -> None:
    cases = [{"name": "a"}, {"name": "error"}, {"name": "a"}, {"name": "default"}]
    assert [path for path, _ in findings("logic.switch", {"cases": cases})] == [
        ("cases", 1, "name"),
        ("cases", 2, "name"),
        ("cases", 3, "name"),
    ]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"items": [1, 2, 3]}, [1, 2, 3]),
        ({"items": None}, []),
        ({"items": {"a": 1}}, [{"a": 1}]),
        ({"items": "text"}, ["text"]),
        ({"items": [1, 2, 3], "batch_size": 2}, [[1, 2], [3]]),
        ({"items": [], "batch_size": 2}, []),
    ],
)
def test_a_loop_makes_its_list(call: WorkingCall, config: Any, expected: Any) -> None:
    assert run(call, "logic.loop", config) == expected


def test_a_loop_refuses_settings_that_cannot_be(call: WorkingCall) -> None:
    for wrong in ({"concurrency": 0}, {"batch_size": 0}, {"on_item_error": "ignore"}):
        with pytest.raises(NodeError, match="InvalidConfig"):
            run(call, "logic.loop", {"items": [], **wrong})


def test_done_carries_results_errors_and_count() -> None:
    done = node_type("logic.loop").outputs[1]
    assert done.schema is not None
    assert set(done.schema["properties"]) == {"results", "errors", "count"}
    error = done.schema["properties"]["errors"]["items"]
    assert set(error["properties"]) == {"index", "node", "code", "message"}


def test_a_short_wait_really_waits_and_hands_on_what_came_in(call: WorkingCall) -> None:
    call.input = {"a": 1}
    began = time.monotonic()
    assert run(call, "logic.wait", {"seconds": 0.2}) == {"a": 1}
    assert time.monotonic() - began >= 0.2
    assert run(call, "logic.wait", {"seconds": 0}) == {"a": 1}


@pytest.mark.parametrize(
    ("until", "due"),
    [
        ("2999-01-01T00:00:00Z", 32472144000.0),
        ("2999-01-01T01:00:00+01:00", 32472144000.0),
        ("2999-01-01", 32472144000.0),
    ],
)
def test_a_wait_until_a_time_waits_until_then(call: WorkingCall, until: str, due: float) -> None:
    call.input = {"a": 1}
    assert run(call, "logic.wait", {"until": until}) == {"a": 1}
    assert call.waits == [Wait(way="time", due=due)]


def test_a_wait_ends_when_the_run_is_canceled(call: WorkingCall) -> None:
    Timer(0.1, lambda: setattr(call, "canceled", True)).start()
    with pytest.raises(Canceled):
        run(call, "logic.wait", {"seconds": 30})


def test_a_wait_of_more_than_a_minute_outlives_its_process(call: WorkingCall) -> None:
    before = time.time()
    run(call, "logic.wait", {"seconds": 61})
    (wait,) = call.waits
    assert wait.way == "time"
    assert before + 61 <= (wait.due or 0) <= time.time() + 61


@pytest.mark.parametrize(
    ("config", "asked"),
    [
        (
            {"approval": {"message": "Go on?", "approvers": ["ada", "bob"]}},
            Wait(way="approval", message="Go on?", approvers=("ada", "bob")),
        ),
        ({"approval": {}}, Wait(way="approval")),
        ({"resume": True}, Wait(way="resume")),
    ],
)
def test_an_approval_and_a_resume_call_give_what_is_answered(
    call: WorkingCall, config: dict[str, Any], asked: Wait
) -> None:
    call.answer = {"approved": False}
    assert run(call, "logic.wait", config) == {"approved": False}
    assert call.waits == [asked]


@pytest.mark.parametrize(
    "config", [{}, {"seconds": 1, "resume": True}, {"resume": False}, {"until": "soon"}]
)
def test_a_wait_for_nothing_or_for_two_things_is_found_before_and_at_run_time(
    call: WorkingCall, config: dict[str, Any]
) -> None:
    assert findings("logic.wait", config)
    with pytest.raises(NodeError, match="InvalidConfig"):
        run(call, "logic.wait", config)


def test_a_wait_until_what_an_expression_says_is_not_judged_before() -> None:
    assert findings("logic.wait", {"until": "{{ params.at }}"}) == []
    assert findings("logic.wait", {"seconds": 0}) == []


def test_flow_call_runs_the_flow_with_params_and_depth(call: WorkingCall) -> None:
    call.flows["other"] = lambda params, depth: [params, depth]
    assert run(call, "flow.call", {"flow": "other"}) == [{}, None]
    config = {"flow": "other", "params": {"a": 1}, "max_depth": 3}
    assert run(call, "flow.call", config) == [{"a": 1}, 3]


@pytest.mark.parametrize("id", ["flow.result", "generic.transform"])
@pytest.mark.parametrize("value", [None, 2**70, [1, {"a": None}], "x"])
def test_a_value_is_handed_on_as_it_is(call: WorkingCall, id: str, value: Any) -> None:
    assert run(call, id, {"value": value}) == value


def test_the_sample_of_a_schedule_fits_its_event() -> None:
    cron = node_type("trigger.cron")
    assert cron.sample is not None
    assert cron.output_schema is not None
    payload = cron.output_schema["properties"]["payload"]
    assert set(cron.sample) == set(payload["properties"])
    assert datetime.fromisoformat(cron.sample["scheduled_at"]).tzinfo is not None
