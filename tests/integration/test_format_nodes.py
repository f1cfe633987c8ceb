"""The flow format, "Nodes": each field of a node, on running flows."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest

from cloudflow_dagster.engine.definitions import build_definitions
from tests.fixtures.programs import (
    MANUAL,
    Programs,
    Way,
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
from tests.fixtures.web import Answer, Asked, Web, serving

pytestmark = pytest.mark.integration


def codes(programs: Programs, made: dict[str, Any]) -> list[str]:
    return [d.code for d in programs.check(made).diagnostics]


# id, type, what is for people


def test_an_id_is_unique_in_the_flow(programs: Programs) -> None:
    assert codes(programs, flow([MANUAL, value("a"), value("a")])) == ["CF1007"]


def test_outside_loops_the_id_is_the_dagster_step_key(programs: Programs) -> None:
    ended = programs.run(chain(MANUAL, value("first_node"), result("x")))

    assert ended.ran == {"start", "first_node", "end"}


def test_the_type_is_one_of_the_catalogue(programs: Programs) -> None:
    (found,) = programs.check(flow([{"id": "a", "type": "aws.ec2.creat_snapshot"}])).diagnostics

    assert found.code == "CF1011"
    assert "aws.ec2.create_snapshot" in (found.suggestion or "")


def test_label_notes_position_and_parent_change_nothing(programs: Programs) -> None:
    shown = {
        "label": "The value",
        "notes": "{{ not an expression",
        "position": {"x": 1.5, "y": -20},
        "parent": "box",
    }
    nodes = [MANUAL, value("box", 0), value("a", 1, **shown), result("{{ input }}")]
    ended = programs.run(flow(nodes, ["start > a", "a > end"]))

    assert ended.result == 1
    assert codes(programs, flow([value("a", 1, parent="no_such")])) == ["CF2012"]


def test_any_string_in_config_may_hold_expressions(programs: Programs) -> None:
    made = {"list": ["{{ 1 + 1 }}", {"deep": "{{ 'x' }}y"}], "plain": "no"}
    ended = programs.run(chain(MANUAL, result(made)))

    assert ended.result == {"list": [2, {"deep": "xy"}], "plain": "no"}


# credential, region


def account(id: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "type": "aws.sts.get_caller_identity", **more}


def regions(id: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "type": "aws.ec2.describe_availability_zones", **more}


def test_the_credential_is_an_account_and_its_default_region(
    programs: Programs, separate_cloud: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDFLOW_SIMULATED_AWS", separate_cloud)
    nodes = [
        account("mine"),
        account("other", credential="elsewhere"),
        regions("here"),
        regions("there", credential="elsewhere"),
        regions("over", region="ap-south-1"),
    ]
    ended = programs.run(flow(nodes))

    assert ended.status == "success"
    assert ended.output("mine")["Account"] == "123456789012"
    assert ended.output("other")["Account"] == "222222222222"
    zones = {
        id: ended.output(id)["AvailabilityZones"][0]["RegionName"]
        for id in ended.statuses
        if "AvailabilityZones" in ended.output(id)
    }
    assert zones == {"here": "us-east-1", "there": "eu-west-1", "over": "ap-south-1"}


def test_a_credential_has_to_be_one_of_the_project_and_of_the_provider(programs: Programs) -> None:
    (found,) = programs.check(flow([account("a", credential="clod")])).diagnostics

    assert found.code == "CF3005"
    assert "cloud" in (found.suggestion or "")


# retry


@dataclass
class Unsteady:
    """Fails the first requests of each path; notes when each came."""

    failures: int = 2
    status: int = 503
    times: list[float] = field(default_factory=list[float])
    counted: Counter[str] = field(default_factory=Counter[str])

    def __call__(self, asked: Asked) -> Answer:
        self.times.append(time.monotonic())
        self.counted[asked.path] += 1
        failed = self.counted[asked.path] <= self.failures
        return Answer(self.status if failed else 200, "x")


@pytest.fixture
def unsteady() -> Unsteady:
    return Unsteady()


@pytest.fixture
def web(unsteady: Unsteady) -> Iterator[Web]:
    with serving(unsteady) as web:
        yield web


@pytest.mark.parametrize("way", ["cloudflow", "dagster"])
def test_a_failed_attempt_is_repeated_until_it_succeeds(
    programs: Programs, web: Web, way: Way
) -> None:
    ask = get("ask", web.url(), retry={"max_attempts": 5, "delay": 0})
    ended = programs.run(chain(MANUAL, ask), way=way)

    assert ended.status == "success"
    assert ended.summary["nodes"]["ask"]["attempts"] == 3
    assert len(ended.events(dg.DagsterEventType.STEP_UP_FOR_RETRY)) == 2


def test_max_attempts_counts_the_first_one(
    programs: Programs, web: Web, unsteady: Unsteady
) -> None:
    ended = programs.run(
        chain(MANUAL, get("ask", web.url(), retry={"max_attempts": 2, "delay": 0}))
    )

    assert ended.status == "failure"
    assert ended.error("ask")["attempts"] == 2
    assert unsteady.counted == {"/": 2}


def test_without_retry_it_is_tried_once(programs: Programs, web: Web, unsteady: Unsteady) -> None:
    assert programs.run(chain(MANUAL, get("ask", web.url()))).status == "failure"
    assert unsteady.counted == {"/": 1}


@pytest.mark.parametrize(
    ("backoff", "at_least"),
    [("constant", [0.2, 0.2, 0.2]), ("linear", [0.2, 0.4, 0.6]), ("exponential", [0.2, 0.4, 0.8])],
)
def test_backoff_says_how_the_delay_grows(
    programs: Programs, web: Web, unsteady: Unsteady, backoff: str, at_least: list[float]
) -> None:
    """A pause is at least as long as it says; how much longer is the machine's affair."""
    unsteady.failures = 3
    retry = {"max_attempts": 4, "delay": 0.2, "backoff": backoff, "jitter": "none"}
    ended = programs.run(chain(MANUAL, get("ask", web.url(), retry=retry)))
    pauses = [b - a for a, b in zip(unsteady.times, unsteady.times[1:], strict=False)]

    assert ended.status == "success"
    assert all(pause >= least for pause, least in zip(pauses, at_least, strict=True))
    said = [float(s) for s in _delays(ended.history)]
    assert said == pytest.approx(at_least)


def _delays(history: str) -> list[str]:
    return re.findall(r"user_message='Attempt \d+ failed [^']*starts in ([\d.]+) s", history)


@pytest.mark.parametrize("jitter", ["full", "plus_minus"])
def test_jitter_spreads_the_delay(
    programs: Programs, web: Web, unsteady: Unsteady, jitter: str
) -> None:
    unsteady.failures = 6
    retry = {"max_attempts": 7, "delay": 0.05, "backoff": "constant", "jitter": jitter}
    ended = programs.run(chain(MANUAL, get("ask", web.url(), retry=retry)))
    said = [float(s) for s in _delays(ended.history)]

    assert ended.status == "success"
    assert len(set(said)) > 1
    assert all(0 <= delay <= (0.05 if jitter == "full" else 0.1) for delay in said)


def test_on_names_the_error_codes_to_retry(
    programs: Programs, web: Web, unsteady: Unsteady
) -> None:
    unsteady.status = 404
    named = {"max_attempts": 5, "delay": 0, "on": ["HttpStatus"]}
    other = {"max_attempts": 5, "delay": 0, "on": ["Timeout"]}
    nodes = [
        get("named", web.url("/named"), retry=named),
        get("other", web.url("/other"), retry=other),
    ]
    ended = programs.run(flow(nodes))

    assert unsteady.counted == {"/named": 3, "/other": 1}
    assert ended.statuses == {"named": "success", "other": "failure"}


def test_without_on_what_is_transient_is_retried_and_nothing_else(
    programs: Programs, web: Web, unsteady: Unsteady
) -> None:
    retry = {"max_attempts": 3, "delay": 0}
    unsteady.failures = 5
    nodes = [get("busy", web.url("/busy"), retry=retry), code("wrong", "return 1 / 0", retry=retry)]
    ended = programs.run(flow(nodes))
    assert unsteady.counted == {"/busy": 3}
    assert ended.error("busy")["attempts"] == 3
    assert ended.error("wrong")["attempts"] == 1

    unsteady.status = 404
    programs.run(flow([get("missing", web.url("/missing"), retry=retry)]))
    assert unsteady.counted["/missing"] == 1


def test_an_error_of_the_caller_that_aws_names_is_not_retried(
    programs: Programs, separate_cloud: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDFLOW_SIMULATED_AWS", separate_cloud)
    node = {
        "id": "volumes",
        "type": "aws.ec2.describe_volumes",
        "config": {"VolumeIds": ["vol-00000000000000000"]},
        "retry": {"max_attempts": 3, "delay": 0},
    }
    ended = programs.run(flow([node]))

    assert ended.code("volumes") == "InvalidVolume.NotFound"
    assert ended.error("volumes")["attempts"] == 1
    assert ended.error("volumes")["provider_request_id"]


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


def test_compensate_is_not_supported_yet(programs: Programs) -> None:
    undo = {"type": "generic.transform", "config": {"value": "{{ output }}"}}
    (found,) = programs.check(flow([value("a", 1, compensate=undo)])).diagnostics

    assert (found.code, found.severity) == ("CF9004", "error")
    assert "not supported yet" in found.message


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
