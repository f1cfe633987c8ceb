"""The flow format, "When a node runs": each sentence on running flows.

Each flow runs twice: as `cloudflow run` runs it, and as a job of `build_definitions` by Dagster's
public API.
"""

from __future__ import annotations

from threading import Barrier

import pytest

from tests.fixtures.programs import (
    MANUAL,
    Programs,
    Way,
    breaks,
    chain,
    cron,
    flow,
    get,
    if_,
    params,
    result,
    switch,
    value,
)
from tests.fixtures.web import Answer, Asked, serving

pytestmark = pytest.mark.integration


@pytest.fixture(params=["cloudflow", "dagster"])
def way(request: pytest.FixtureRequest) -> Way:
    return request.param


SEEN = params(n={"type": "integer", "default": 1})


def test_a_run_starts_at_one_trigger_and_the_others_do_not_deliver(
    programs: Programs, way: Way
) -> None:
    nodes = [cron("night"), MANUAL, value("by_night"), value("by_hand"), value("without_edge", 1)]
    ended = programs.run(flow(nodes, ["night > by_night", "start > by_hand"], params=SEEN), way=way)

    assert ended.status == "success"
    assert ended.statuses == {
        "night": "skipped",
        "start": "success",
        "by_night": "skipped",
        "by_hand": "success",
        "without_edge": "success",
    }


def test_started_by_hand_it_starts_at_trigger_manual_wherever_that_stands(
    programs: Programs, way: Way
) -> None:
    """`a_night` and `z_night` stand before and after it, by place and by name."""
    nodes = [cron("a_night"), MANUAL, cron("z_night"), result("{{ trigger }}")]
    ended = programs.run(
        flow(nodes, ["a_night > end", "start > end", "z_night > end"], params=SEEN),
        {"n": 7},
        way=way,
    )

    assert ended.result["type"] == "trigger.manual"
    assert ended.result["payload"] == {"n": 7}
    assert ended.statuses["a_night"] == ended.statuses["z_night"] == "skipped"


def test_without_trigger_manual_it_starts_at_the_first_trigger_with_its_sample(
    programs: Programs, way: Way
) -> None:
    nodes = [cron("first"), cron("second"), result("{{ trigger }}")]
    ended = programs.run(flow(nodes, ["first > end", "second > end"]), way=way)

    assert ended.statuses == {"first": "success", "second": "skipped", "end": "success"}
    assert ended.result["type"] == "trigger.cron"
    assert set(ended.result["payload"]) == {"scheduled_at"}


def test_started_by_hand_with_a_payload_given(programs: Programs) -> None:
    nodes = [MANUAL, cron("night"), result("{{ trigger.payload.scheduled_at }}")]
    event = {
        "type": "trigger.cron",
        "time": "2026-01-01T00:00:00Z",
        "payload": {"scheduled_at": "2026-01-01T02:00:00+01:00"},
    }
    ended = programs.run(
        flow(nodes, ["night > end", "start > end"]),
        way="dagster",
        config={"trigger": "night", "event": event},
    )

    assert ended.result == "2026-01-01T02:00:00+01:00"
    assert ended.statuses["start"] == "skipped"


def test_nodes_without_an_edge_into_them_start_with_the_run(programs: Programs, way: Way) -> None:
    nodes = [MANUAL, value("alone", "{{ run.flow }}"), result("{{ nodes.alone }}")]
    path = programs.write(flow(nodes, ["alone > end"]))
    ended = programs.run(path, way=way)

    assert ended.result == path.stem


def test_a_flow_without_any_trigger_runs(programs: Programs, way: Way) -> None:
    ended = programs.run(chain(value("alone", 1), result("{{ input + 1 }}")), way=way)

    assert ended.status == "success"
    assert ended.result == 2


def test_a_node_runs_once_if_at_least_one_edge_delivers(programs: Programs, way: Way) -> None:
    nodes = [
        MANUAL,
        if_("ask", "{{ params.n = 1 }}"),
        value("yes", "y"),
        value("no", "n"),
        result("{{ input }}"),
    ]
    edges = ["start > ask", "ask.true > yes", "ask.false > no", "yes > end", "no > end"]
    ended = programs.run(flow(nodes, edges, params=SEEN), way=way)

    assert ended.status == "success"
    assert ended.result == "y"
    assert ended.statuses["no"] == "skipped"


def test_a_node_waits_until_every_edge_into_it_is_decided(programs: Programs, way: Way) -> None:
    """The edge from `start` has delivered long before the slow answer comes."""
    nodes_before_join: list[str] = []

    def site(asked: Asked) -> Answer:
        nodes_before_join.append(asked.path)
        return Answer(body="{}", headers={"Content-Type": "application/json"})

    with serving(site) as web:
        nodes = [
            MANUAL,
            {"id": "pause", "type": "logic.wait", "config": {"seconds": 0.3}},
            get("slow", web.url("/slow")),
            get("join", web.url("/join")),
        ]
        edges = ["start > pause", "pause > slow", "slow > join", "start > join"]
        ended = programs.run(flow(nodes, edges), way=way)

    assert ended.status == "success"
    assert nodes_before_join == ["/slow", "/join"]


def test_if_none_delivers_it_is_skipped_and_what_hangs_on_it_too(
    programs: Programs, way: Way
) -> None:
    nodes = [
        MANUAL,
        if_("ask", "{{ false }}"),
        if_("ask_too", "{{ false }}"),
        value("both"),
        value("after"),
        value("error_of_skipped"),
        value("join", "{{ input }}"),
        value("side", "side"),
    ]
    edges = [
        "start > ask",
        "start > ask_too",
        "ask.true > both",
        "ask_too.true > both",
        "both > after",
        "both.error > error_of_skipped",
        "after > join",
        "start > side",
        "side > join",
    ]
    ended = programs.run(flow(nodes, edges), way=way)

    assert ended.status == "success"
    skipped = {id for id, status in ended.statuses.items() if status == "skipped"}
    assert skipped == {"both", "after", "error_of_skipped"}
    assert ended.output("join") == "side"


def test_a_branch_that_is_not_taken_does_not_deliver(programs: Programs, way: Way) -> None:
    nodes = [MANUAL, switch("pick", a="{{ false }}", b="{{ true }}", c="{{ true }}")]
    nodes += [value(id) for id in ("at_a", "at_b", "at_c", "at_default")]
    edges = ["start > pick", *(f"pick.{p} > at_{p}" for p in ("a", "b", "c", "default"))]
    ended = programs.run(flow(nodes, edges), way=way)

    assert {id for id, s in ended.statuses.items() if s == "success"} == {"start", "pick", "at_b"}


def test_a_disabled_edge_does_not_deliver(programs: Programs, way: Way) -> None:
    edges = [
        "start > on",
        "start > off",
        {"source": "on", "target": "after_off", "disabled": True},
        "off > after_off",
        {"source": "on", "target": "free", "disabled": True},
    ]
    nodes = [
        MANUAL,
        value("on", 1),
        if_("off", "{{ false }}"),
        value("after_off", 1),
        value("free", 1),
    ]
    ended = programs.run(flow(nodes, edges), way=way)

    assert ended.statuses["after_off"] == "skipped"
    assert (
        ended.statuses["free"] == "success"
    )  # no edge into it that counts: it starts with the run


def test_the_error_port_of_a_node_that_succeeded_does_not_deliver(
    programs: Programs, way: Way
) -> None:
    nodes = [MANUAL, value("fine", 1), value("caught", 1), result("{{ input }}")]
    edges = ["start > fine", "fine.error > caught", "fine > end", "caught > end"]
    ended = programs.run(flow(nodes, edges), way=way)

    assert ended.result == 1
    assert ended.statuses["caught"] == "skipped"


def test_the_other_ports_of_a_node_that_failed_do_not_deliver(programs: Programs, way: Way) -> None:
    nodes = [
        MANUAL,
        if_("ask", "{{ $error('no') }}"),
        value("yes"),
        value("no"),
        breaks("bad"),
        value("after_bad"),
        result("{{ input }}"),
    ]
    edges = [
        "start > ask",
        "ask.true > yes",
        "ask.false > no",
        "ask.error > bad",
        "bad > after_bad",
        "bad.error > end",
    ]
    ended = programs.run(flow(nodes, edges), way=way)

    assert ended.status == "success"
    assert {id for id, s in ended.statuses.items() if s == "skipped"} == {"yes", "no", "after_bad"}
    assert ended.result["node"] == "bad"


def test_with_an_edge_on_error_the_run_goes_on_after_the_last_attempt(
    programs: Programs, way: Way
) -> None:
    with serving(lambda _: Answer(503, "busy")) as web:
        bad = get("bad", web.url("/"), retry={"max_attempts": 3, "delay": 0})
        nodes = [MANUAL, bad, result("{{ input }}")]
        ended = programs.run(flow(nodes, ["start > bad", "bad.error > end"]), way=way)

    assert len(web.asked) == 3
    assert ended.status == "success"
    assert ended.statuses["bad"] == "failure"
    assert set(ended.result) == {"node", "code", "message", "provider_request_id", "attempts"}
    assert ended.result["node"] == "bad"
    assert ended.result["code"] == "HttpStatus"
    assert "503" in ended.result["message"]
    assert ended.result["attempts"] == 3
    assert ended.error("bad") == ended.result


def test_without_an_edge_on_error_the_run_fails_and_independent_branches_are_finished(
    programs: Programs, way: Way
) -> None:
    """The other branch goes on for steps after the failure."""
    nodes = [
        MANUAL,
        breaks("bad"),
        {"id": "pause", "type": "logic.wait", "config": {"seconds": 0.3}},
        value("then", 1),
        value("last", 1),
    ]
    edges = ["start > bad", "start > pause", "pause > then", "then > last"]
    ended = programs.run(flow(nodes, edges), way=way)

    assert ended.status == "failure"
    assert ended.statuses["last"] == "success"
    assert ended.run.status.value == "FAILURE"


def test_a_node_below_an_unhandled_failure_is_not_run_even_if_another_edge_delivered(
    programs: Programs, way: Way
) -> None:
    nodes = [
        MANUAL,
        breaks("bad"),
        value("after"),
        value("good", 1),
        value("join"),
        value("far"),
        if_("ask", "{{ false }}"),
    ]
    edges = [
        "start > bad",
        "bad > after",
        "start > good",
        "after > join",
        "good > join",
        "join > far",
        "start > ask",
        "ask.true > far",
    ]
    ended = programs.run(flow(nodes, edges), way=way)

    assert ended.statuses == {
        "start": "success",
        "bad": "failure",
        "after": "not_run",
        "good": "success",
        "join": "not_run",
        "far": "not_run",
        "ask": "success",
    }


def test_after_a_failure_its_value_is_absent(programs: Programs, way: Way) -> None:
    nodes = [MANUAL, breaks("bad"), result({"seen": "{{ $exists(nodes.bad) }}"})]
    ended = programs.run(flow(nodes, ["start > bad", "bad.error > end"]), way=way)

    assert ended.result == {"seen": False}


def test_with_on_error_continue_its_value_is_null_and_out_delivers(
    programs: Programs, way: Way
) -> None:
    nodes = [
        MANUAL,
        breaks("bad", on_error="continue"),
        value("caught"),
        result(
            {"there": "{{ $exists(nodes.bad) }}", "value": "{{ nodes.bad }}", "in": "{{ input }}"}
        ),
    ]
    edges = ["start > bad", "bad > end", "bad.error > caught"]
    ended = programs.run(flow(nodes, edges), way=way)

    assert ended.status == "success"
    assert ended.result == {"there": True, "value": None, "in": None}
    assert ended.statuses["caught"] == "skipped"
    assert ended.statuses["bad"] == "failure"
    assert ended.code("bad") == "ExpressionError"


def test_a_disabled_node_hands_its_input_to_its_first_output_port(
    programs: Programs, way: Way
) -> None:
    nodes = [
        MANUAL,
        value("one", 1),
        breaks("off", disabled=True),
        if_("ask", "{{ false }}") | {"disabled": True},
        value("other_port"),
        result({"input": "{{ input }}", "off": "{{ nodes.off }}", "ask": "{{ nodes.ask }}"}),
    ]
    edges = ["start > one", "one > off", "off > ask", "ask.true > end", "ask.false > other_port"]
    ended = programs.run(flow(nodes, edges), way=way)

    assert ended.result == {"input": 1, "off": 1, "ask": 1}
    assert ended.statuses["other_port"] == "skipped"


def test_a_disabled_node_into_which_nothing_comes_is_skipped(programs: Programs, way: Way) -> None:
    nodes = [MANUAL, if_("ask", "{{ false }}"), value("off", disabled=True), value("after", 1)]
    ended = programs.run(flow(nodes, ["start > ask", "ask.true > off", "off > after"]), way=way)

    assert ended.statuses["off"] == ended.statuses["after"] == "skipped"


def test_independent_branches_run_at_the_same_time(programs: Programs, way: Way) -> None:
    """All four requests have to be there before any is answered."""
    meeting = Barrier(4)

    def site(asked: Asked) -> Answer:
        meeting.wait(30)
        return Answer(body=asked.path)

    with serving(site) as web:
        nodes = [MANUAL, *(get(f"get_{n}", web.url(f"/{n}")) for n in range(4))]
        ended = programs.run(flow(nodes, [f"start > get_{n}" for n in range(4)]), way=way)

    assert ended.status == "success"


def test_until_that_runs_out_of_time_fails_and_is_not_retried(programs: Programs, way: Way) -> None:
    with serving(lambda _: Answer(body="no")) as web:
        until = {"condition": "{{ output.body = 'yes' }}", "interval": 0.1, "timeout": 0.4}
        retry = {"max_attempts": 5, "delay": 0, "on": ["UntilTimeout"]}
        ask = get("ask", web.url("/"), until=until, retry=retry)
        ended = programs.run(chain(MANUAL, ask), way=way)

    assert ended.status == "failure"
    assert ended.code("ask") == "UntilTimeout"
    assert ended.summary["nodes"]["ask"]["attempts"] == 1
    assert len(web.asked) > 1
