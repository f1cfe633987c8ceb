"""The flow format, "Nodes": `timeout`, `until`, `on_error`, `pin`, `disabled`, on running flows."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest

from cloudflow_dagster.engine.definitions import build_definitions
from tests.fixtures.programs import (
    MANUAL,
    Node,
    Programs,
    breaks,
    chain,
    code,
    cron,
    flow,
    get,
    if_,
    loop,
    result,
    switch,
    value,
)
from tests.fixtures.web import Answer, Asked, Unsteady, Web, serving

pytestmark = pytest.mark.integration


@pytest.fixture
def unsteady() -> Unsteady:
    return Unsteady()


@pytest.fixture
def web(unsteady: Unsteady) -> Iterator[Web]:
    with serving(unsteady) as web:
        yield web


# timeout


def test_timeout_is_for_one_attempt(programs: Programs) -> None:
    """Each attempt gets its own; the third is quick."""
    counted = Counter[str]()

    def site(asked: Asked) -> Answer:
        counted[asked.path] += 1
        if counted[asked.path] < 3:
            time.sleep(3)
        return Answer()

    with serving(site) as web:
        retry = {"max_attempts": 3, "delay": 0}
        slow = get("slow", web.url("/slow"), timeout=0.6, retry=retry)
        ended = programs.run(chain(MANUAL, slow))

    assert ended.status == "success"
    assert ended.summary["nodes"]["slow"]["attempts"] == 3


def test_an_attempt_that_takes_too_long_fails_with_timeout(programs: Programs) -> None:
    ended = programs.run(
        flow([code("slow", "import time\ntime.sleep(30)", timeout=0.5), value("beside", 1)])
    )

    assert ended.code("slow") == "Timeout"
    assert ended.statuses == {"slow": "failure", "beside": "success"}


# until


def test_until_does_it_again_until_the_condition_holds(programs: Programs) -> None:
    counted = Counter[str]()

    def site(asked: Asked) -> Answer:
        counted[asked.path] += 1
        state = "available" if counted[asked.path] == 3 else "creating"
        return Answer(
            body=json.dumps({"State": state}), headers={"Content-Type": "application/json"}
        )

    with serving(site) as web:
        until = {
            "condition": "{{ output.body.State = 'available' }}",
            "interval": 0.1,
            "timeout": 30,
        }
        ended = programs.run(
            chain(MANUAL, get("ask", web.url(), until=until), result("{{ input.body.State }}"))
        )

    assert ended.result == "available"
    assert counted == {"/": 3}
    assert ended.summary["nodes"]["ask"]["attempts"] == 1


def test_the_condition_of_until_sees_the_rest_too(programs: Programs) -> None:
    until = {
        "condition": "{{ output + nodes.one = 3 and input = 1 and run.attempt = 1 }}",
        "timeout": 5,
    }
    ended = programs.run(chain(MANUAL, value("one", 1), value("two", 2, until=until)))

    assert ended.status == "success"


def test_a_failure_within_until_is_a_failure_and_may_be_retried(
    programs: Programs, web: Web, unsteady: Unsteady
) -> None:
    until = {"condition": "{{ output.status = 200 }}", "interval": 0.1}
    retry = {"max_attempts": 3, "delay": 0}
    ended = programs.run(chain(MANUAL, get("ask", web.url(), until=until, retry=retry)))

    assert ended.status == "success"
    assert unsteady.counted == {"/": 3}


# on_error


@pytest.mark.parametrize("on_error", ["fail", None])
def test_on_error_fail_is_the_default(programs: Programs, on_error: str | None) -> None:
    more = {"on_error": on_error} if on_error else {}
    ended = programs.run(chain(MANUAL, breaks("bad", **more), value("after")))

    assert ended.status == "failure"
    assert ended.statuses["after"] == "not_run"


def test_with_continue_the_error_is_in_the_runs_output(programs: Programs) -> None:
    ended = programs.run(
        chain(MANUAL, breaks("bad", on_error="continue"), result({"got": "{{ nodes.bad }}"}))
    )

    assert ended.status == "success"
    assert ended.summary["nodes"]["bad"]["status"] == "failure"
    assert ended.summary["nodes"]["bad"]["output"] is None
    assert "broken on purpose" in ended.error("bad")["message"]
    assert ended.result == {"got": None}


# compensate


def test_compensate_is_checked_as_a_node_of_its_type(programs: Programs) -> None:
    def codes(node: Node, compensate: dict[str, Any]) -> list[tuple[str, str]]:
        return programs.places(flow([{**node, "compensate": compensate}]))

    made = {
        "id": "volume",
        "type": "aws.ec2.create_volume",
        "config": {"AvailabilityZone": "us-east-1a", "Size": 8},
    }
    at = "/nodes/0/compensate"
    delete = "aws.ec2.delete_volume"
    assert codes(made, {"type": delete, "config": {"VolumeId": "{{ output.VolumeId }}"}}) == []
    assert codes(made, {"type": "aws.ec2.delete_volum"}) == [("CF1011", f"{at}/type")]
    assert codes(made, {}) == codes(made, {"type": delete}) == []
    assert codes(made, {"type": "aws.ec2.delete_vpc"}) == [("CF3003", at)]
    assert codes(value("one", 1), {}) == [("CF2022", at)]
    wrong = {"VolumeId": "{{ output.VolumId }}"}
    assert codes(made, {"type": delete, "config": wrong}) == [("CF4015", f"{at}/config/VolumeId")]
    wrong = {"VolumeId": "{{ output.Size }}"}
    assert codes(made, {"type": delete, "config": wrong}) == [("CF4021", f"{at}/config/VolumeId")]
    wrong = {"VolumeId": "{{ nodes.volume.VolumeId & item }}"}
    found = codes(made, {"type": delete, "config": wrong})
    assert sorted(found) == [
        ("CF4006", f"{at}/config/VolumeId"),
        ("CF4008", f"{at}/config/VolumeId"),
    ]
    assert codes(made, {"type": "logic.wait", "config": {"seconds": 1}}) == [
        ("CF2020", f"{at}/type")
    ]
    assert codes(MANUAL, {"type": "generic.transform", "config": {"value": 1}}) == [("CF2019", at)]


# pin


def test_a_pin_stands_for_the_output_in_a_pinned_run(programs: Programs, web: Web) -> None:
    nodes = [
        MANUAL,
        get("ask", web.url(), pin={"status": 200, "headers": {}, "body": {"a": [1, 2]}}),
        result("{{ nodes.ask.body.a[1] + input.status }}"),
    ]
    path = programs.write(flow(nodes, ["start > ask", "ask > end"]))

    assert programs.run(path, pinned=True).result == 202
    assert web.asked == []
    assert programs.run(path).status == "failure"
    assert len(web.asked) == 1


def test_a_pin_of_null_is_a_pin(programs: Programs) -> None:
    made = chain(MANUAL, breaks("bad", pin=None), result({"got": "{{ nodes.bad }}"}))

    assert programs.run(made, pinned=True).result == {"got": None}


def test_ports_of_a_pinned_node_deliver_by_the_pin(programs: Programs) -> None:
    """One port for each field: that of a field which the pin lacks does not deliver."""
    pin = {"Volumes": [{"VolumeId": "vol-1"}]}
    nodes = [
        MANUAL,
        {"id": "volumes", "type": "aws.ec2.describe_volumes", "pin": pin},
        value("ids", "{{ input.VolumeId }}"),
        value("next"),
        value("failed"),
    ]
    edges = [
        "start > volumes",
        "volumes.Volumes > ids",
        "volumes.NextToken > next",
        "volumes.error > failed",
    ]
    ended = programs.run(flow(nodes, edges), pinned=True)

    assert ended.output("ids") == "vol-1"
    assert ended.statuses["next"] == ended.statuses["failed"] == "skipped"


def test_a_pinned_condition_still_chooses(programs: Programs) -> None:
    ask = if_("ask", "{{ input > 1 }}") | {"pin": 5}
    nodes = [MANUAL, value("two", 2), ask, value("yes"), value("no")]
    edges = ["start > two", "two > ask", "ask.true > yes", "ask.false > no"]
    ended = programs.run(flow(nodes, edges), pinned=True)

    assert ended.output("yes") == 5
    assert ended.statuses["no"] == "skipped"


def test_pins_are_never_used_by_a_schedule_or_another_start(programs: Programs) -> None:
    """A schedule's own tick, the Launchpad, and a call from a flow that is run with pins."""
    programs.write(
        chain(
            cron("night"),
            value("two", "{{ trigger.type }}", pin="pinned"),
            result("{{ input }}"),
        ),
        "nightly",
    )
    path = programs.project.flows / "nightly.json"
    assert programs.run(path, way="dagster").result == "trigger.cron"

    made = build_definitions(programs.project)
    (schedule,) = made.schedules or ()
    tick = schedule.evaluate_tick(  # type: ignore[union-attr]
        dg.build_schedule_context(
            instance=programs.instance,
            scheduled_execution_time=datetime(2026, 1, 1, 2, tzinfo=UTC),
        )
    )
    (request,) = tick.run_requests or ()
    assert programs.launch(path, request.run_config).result == "trigger.cron"

    calls = chain(
        MANUAL, {"id": "call", "type": "flow.call", "config": {"flow": "nightly"}}, result()
    )
    assert programs.run(calls, pinned=True).result == "trigger.cron"


def test_a_loop_and_its_body_may_be_pinned(programs: Programs) -> None:
    nodes = [
        MANUAL,
        loop("each", [1, 2]),
        breaks("body", pin="p"),
        loop("whole", [1]) | {"pin": {"results": ["w"], "errors": [], "count": 1}},
        breaks("inside"),
        result("{{ $append(nodes.each.results, nodes.whole.results) }}"),
    ]
    edges = [
        "start > each",
        "each.item > body",
        "each.done > whole",
        "whole.item > inside",
        "whole.done > end",
    ]
    ended = programs.run(flow(nodes, edges), pinned=True)

    assert ended.result == ["p", "p", "w"]


# disabled


@pytest.mark.parametrize(
    "off",
    [breaks("off"), switch("off", a="{{ true }}"), loop("off", [1, 2, 3])],
    ids=["action", "switch", "loop"],
)
def test_a_disabled_node_is_passed_through(programs: Programs, off: dict[str, Any]) -> None:
    """Whatever it is: what comes in goes on at its first output port."""
    nodes = [MANUAL, value("one", {"a": 1}), off | {"disabled": True}, result("{{ input.a }}")]
    ended = programs.run(flow(nodes, ["start > one", "one > off", "off > end"]))

    assert ended.status == "success"
    assert ended.result == 1
    assert ended.output("off") == {"a": 1}


def test_a_disabled_trigger_does_not_start_the_flow(programs: Programs) -> None:
    nodes = [
        MANUAL | {"disabled": True},
        cron("night"),
        value("by_hand"),
        result("{{ trigger.type }}"),
    ]
    path = programs.write(flow(nodes, ["start > by_hand", "night > end"]))
    ended = programs.run(path)

    assert ended.result == "trigger.cron"
    assert ended.statuses["start"] == ended.statuses["by_hand"] == "skipped"
    programs.write(flow([cron("off") | {"disabled": True}, MANUAL]), "quiet")
    assert {s.name for s in build_definitions(programs.project).schedules or ()} == {
        f"{path.stem}__night"
    }
