"""The flow format, "Starting, waiting, calling", on running flows."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from cloudflow_dagster.engine.definitions import build_definitions
from cloudflow_dagster.engine.flow_runs import go_on
from cloudflow_dagster.runtime.waits import Waits
from tests.fixtures.programs import (
    MANUAL,
    Programs,
    Way,
    breaks,
    call,
    chain,
    cron,
    flow,
    if_,
    loop,
    params,
    result,
    value,
    wait,
)

pytestmark = pytest.mark.integration

JSON = {"Content-Type": "application/json"}


def found(programs: Programs, made: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(d.code, d.severity, str(d.at.pointer)) for d in programs.check(made).diagnostics]


def tick(programs: Programs, schedule: str, at: datetime) -> dg.RunRequest:
    """Return the run that a schedule asks for at a time."""
    made = build_definitions(programs.project)
    (one,) = [s for s in made.schedules or () if s.name == schedule]
    context = dg.build_schedule_context(instance=programs.instance, scheduled_execution_time=at)
    data = one.evaluate_tick(context)  # type: ignore[union-attr]
    (request,) = data.run_requests or ()
    return request


# Starting


def test_a_schedules_params_fill_the_flows_params(programs: Programs) -> None:
    """With expressions over `trigger`; those that are not filled have their defaults."""
    night = cron(
        "night",
        timezone="UTC",
        params={"day": "{{ $substring(trigger.payload.scheduled_at, 0, 10) }}", "keep": 3},
    )
    path = programs.write(
        chain(
            night,
            result("{{ params }}"),
            params=params(
                day={"type": "string"},
                keep={"type": "integer", "default": 7},
                env={"type": "string", "default": "prod"},
            ),
        ),
        "nightly",
    )
    request = tick(programs, "nightly__night", datetime(2026, 3, 1, 2, tzinfo=UTC))
    ended = programs.launch(path, request.run_config)

    assert ended.result == {"day": "2026-03-01", "keep": 3, "env": "prod"}


def test_without_params_a_start_by_hand_fills_them_and_others_use_the_defaults(
    programs: Programs,
) -> None:
    made = flow(
        [MANUAL, cron("night"), result("{{ params.keep }}")],
        ["start > end", "night > end"],
        params=params(keep={"type": "integer", "default": 7}),
    )
    path = programs.write(made, "nightly")
    request = tick(programs, "nightly__night", datetime(2026, 3, 1, 2, tzinfo=UTC))

    assert programs.run(path, {"keep": 3}).result == 3
    assert programs.launch(path, request.run_config).result == 7


def test_params_of_a_manual_trigger_are_overridden_by_what_is_given(programs: Programs) -> None:
    start = MANUAL | {"config": {"params": {"a": "filled", "b": "filled"}}}
    made = chain(
        start,
        result("{{ params }}"),
        params=params(a={"type": "string"}, b={"type": "string", "default": "default"}),
    )

    assert programs.run(made, {"a": "given"}).result == {"a": "given", "b": "filled"}


def test_a_required_param_that_an_automatic_trigger_cannot_fill_is_an_error(
    programs: Programs,
) -> None:
    needed = {**params(env={"type": "string"}), "required": ["env"]}

    assert found(programs, flow([cron("night")], params=needed)) == [
        ("CF5002", "error", "/nodes/0")
    ]
    assert found(programs, flow([MANUAL], params=needed)) == []
    filled = cron("night", params={"env": "prod"})
    assert found(programs, flow([filled], params=needed)) == []


def test_a_cron_trigger_is_a_schedule_and_its_payload_is_scheduled_at(programs: Programs) -> None:
    """With a list of schedules and a time zone."""
    night = cron("night", ["0 2 * * *", "30 14 * * *"], timezone="Europe/Berlin")
    path = programs.write(chain(night, result("{{ trigger }}")), "nightly")
    (schedule,) = build_definitions(programs.project).schedules or ()
    assert isinstance(schedule, dg.ScheduleDefinition)
    assert list(schedule.cron_schedule) == ["0 2 * * *", "30 14 * * *"]
    assert schedule.execution_timezone == "Europe/Berlin"

    at = datetime(2026, 3, 1, 2, tzinfo=UTC)
    event = programs.launch(path, tick(programs, "nightly__night", at).run_config).result
    assert set(event) == {"type", "time", "payload"}
    assert event["type"] == "trigger.cron"
    assert event["payload"].keys() == {"scheduled_at"}
    assert datetime.fromisoformat(event["payload"]["scheduled_at"]) == at


def test_a_manual_triggers_payload_is_the_params_given(programs: Programs) -> None:
    made = chain(
        MANUAL,
        result("{{ trigger.payload }}"),
        params=params(a={"type": "integer"}, b={"type": "integer", "default": 2}),
    )
    path = programs.write(made)

    assert programs.run(path, {"a": 1}).result == {"a": 1}
    assert programs.run(path, {"a": 1}, way="dagster").result == {"a": 1}
    assert programs.run(path).result == {}


# Waiting


def test_a_wait_passes_on_what_came_in(programs: Programs) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    nodes = [
        MANUAL,
        value("one", {"a": 1}),
        wait("seconds", seconds=0.2),
        wait("until", until="{{ '" + soon + "' }}"),
        result("{{ [input, $now() >= '" + soon[:19] + "'] }}"),
    ]
    ended = programs.run(chain(*nodes))

    assert ended.result == [{"a": 1}, True]
    assert ended.output("seconds") == {"a": 1}


@pytest.mark.parametrize(
    ("config", "answer", "given"),
    [
        ({"approval": {"message": "Go on?"}}, {"approved": True}, {"approved": True}),
        ({"resume": True}, [1, 2], [1, 2]),
    ],
)
def test_an_approval_and_a_resume_call_give_what_was_answered(
    programs: Programs, config: dict[str, Any], answer: Any, given: Any
) -> None:
    waiting = programs.run(chain(MANUAL, wait("pause", **config), result("{{ nodes.pause }}")))
    assert waiting.status == "waiting"
    waits = Waits(programs.project.records)
    (open_,) = waits.of_run(waiting.id)
    assert waits.answer(open_, answer, "ada")
    done = go_on(programs.project, programs.instance, waiting.id)
    assert done
    assert done["result"] == given


@pytest.mark.parametrize(
    "config", [{"seconds": 3600}, {"seconds": "{{ 60 * 60 }}"}, {"until": "2126-01-01T00:00:00Z"}]
)
def test_a_wait_longer_than_a_minute_holds_no_process(
    programs: Programs, config: dict[str, Any]
) -> None:
    waiting = programs.run(chain(MANUAL, wait("pause", **config), result("{{ input }}")))
    assert waiting.status == "waiting"
    (open_,) = Waits(programs.project.records).of_run(waiting.id)
    assert open_.due is not None
    assert open_.due > time.time() + 3500


@pytest.mark.parametrize("config", [{}, {"seconds": 1, "until": "{{ $now() }}"}])
def test_a_wait_has_one_of_its_fields(programs: Programs, config: dict[str, Any]) -> None:
    assert [c for c, _, _ in found(programs, chain(MANUAL, wait("pause", **config)))] == ["CF3004"]


# Calling


DOUBLE = chain(MANUAL, result("{{ params.n * 2 }}"), params=params(n={"type": "integer"}))


@pytest.mark.parametrize("way", ["cloudflow", "dagster"])
def test_a_call_runs_another_flow_as_a_child_run_and_gives_its_result(
    programs: Programs, way: Way
) -> None:
    programs.write(DOUBLE, "double")
    before = len(programs.runs_of("double"))
    ended = programs.run(
        chain(MANUAL, call("call", "double", params={"n": "{{ 20 + 1 }}"}), result()), way=way
    )
    children = programs.runs_of("double")[before:]

    assert ended.result == 42
    assert ended.output("call") == 42
    assert [child.tags["cloudflow/parent_run"] for child in children] == [ended.id]
    assert children[0].status is dg.DagsterRunStatus.SUCCESS


def test_a_child_that_fails_fails_the_call(programs: Programs) -> None:
    programs.write(chain(MANUAL, breaks("bad")), "bad_child")
    nodes = [MANUAL, call("call", "bad_child"), result("{{ input.message }}")]
    ended = programs.run(flow(nodes, ["start > call", "call.error > end"]))

    assert "`bad`" in ended.result
    assert "broken on purpose" in ended.result


def test_a_flow_may_reach_itself_only_with_max_depth_set(programs: Programs) -> None:
    nodes = [
        MANUAL,
        if_("more", "{{ params.n > 0 }}"),
        call("call", "down", params={"n": "{{ params.n - 1 }}"}, max_depth=3),
        result("{{ params.n = 0 ? [0] : $append(nodes.call, params.n) }}"),
    ]
    edges = ["start > more", "more.true > call", "call > end", "more.false > end"]
    made = flow(nodes, edges, params=params(n={"type": "integer"}))
    path = programs.write(made, "down")

    assert programs.run(path, {"n": 2}).result == [0, 1, 2]
    assert "MaxDepth" in programs.run(path, {"n": 3}).error("call")["message"]
    del nodes[2]["config"]["max_depth"]
    diagnostics = programs.check(flow(nodes, edges, params=params(n={"type": "integer"})), "down")
    assert [d.code for d in diagnostics.diagnostics] == ["CF5007"]


def test_a_flow_that_reaches_itself_by_another_one_needs_max_depth_too(
    programs: Programs,
) -> None:
    programs.write(chain(MANUAL, call("call", "ping")), "pong")
    codes = [
        d.code for d in programs.check(chain(MANUAL, call("call", "pong")), "ping").diagnostics
    ]

    assert "CF5007" in codes


def test_a_call_is_checked_against_the_other_flow(programs: Programs) -> None:
    programs.write(DOUBLE, "double")

    (unknown,) = programs.check(chain(MANUAL, call("call", "doubel"))).diagnostics
    assert unknown.code == "CF5005"
    assert "double" in (unknown.suggestion or "")
    wrong = chain(MANUAL, call("call", "double", params={"n": "many"}))
    assert [c for c, _, _ in found(programs, wrong)] == ["CF5006"]


# Results


def test_flow_result_sets_what_the_flow_returns(programs: Programs) -> None:
    """It may stand anywhere, and what comes after it runs too."""
    ended = programs.run(
        chain(MANUAL, result({"a": [1]}, "early"), value("after", "{{ input.a }}"))
    )

    assert ended.result == {"a": [1]}
    assert ended.output("after") == [1]


def test_flow_result_is_not_allowed_inside_loops(programs: Programs) -> None:
    made = flow([MANUAL, loop("each", [1]), result(1)], ["start > each", "each.item > end"])

    assert [c for c, _, _ in found(programs, made)] == ["CF2010"]


def test_of_several_results_that_ran_the_last_in_canonical_order_counts(
    programs: Programs,
) -> None:
    """Topological, then alphabetical: neither the file's order, nor which ended last."""
    nodes = [
        result("b", "b_result"),
        result("a", "a_result"),
        result("skipped", "z_skipped"),
        if_("no", "{{ false }}"),
        wait("slow", seconds=0.3),
        MANUAL,
    ]
    edges = [
        "start > b_result",
        "start > slow",
        "slow > a_result",
        "start > no",
        "no.true > z_skipped",
    ]
    # canonical: start, b_result, no, slow, a_result, z_skipped
    assert programs.run(flow(nodes, edges)).result == "a"
    without_wait = flow(
        [n for n in nodes if n["id"] != "slow"], ["start > a_result", *edges[:1], *edges[3:]]
    )
    assert programs.run(without_wait).result == "b"


def test_without_a_result_it_is_null(programs: Programs) -> None:
    programs.write(chain(MANUAL, value("one", 1)), "silent")
    ended = programs.run(chain(MANUAL, call("call", "silent"), result({"got": "{{ input }}"})))

    assert ended.result == {"got": None}
    assert programs.run(chain(MANUAL, value("one", 1))).result is None


def test_a_result_of_null_is_a_result(programs: Programs) -> None:
    nodes = [MANUAL, result(1, "a"), result(None, "b")]

    assert programs.run(chain(*nodes)).result is None
