"""The flow format, "Expressions": values, secrets, and what is checked before, on running flows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fixtures.beside_sqlite import contents
from tests.fixtures.programs import (
    MANUAL,
    Ended,
    Programs,
    breaks,
    call,
    chain,
    code,
    cron,
    flow,
    get,
    if_,
    loop,
    params,
    result,
    switch,
    value,
    wait,
)
from tests.fixtures.web import Answer, Asked, Web, serving

pytestmark = pytest.mark.integration

TOKEN = "open-sesame-1859"


def made(programs: Programs, written: Any, **more: Any) -> Any:
    """Return what a config value becomes."""
    return programs.run(chain(MANUAL, result(written), **more)).result


# Values


ABSENT = "{{ params.nothing }}"
NOTHING = {"params": params(nothing={})}


def test_what_is_absent_leaves_out_a_field_drops_from_an_array_and_is_empty_in_text(
    programs: Programs,
) -> None:
    written = {
        "field": ABSENT,
        "list": [1, ABSENT, 2],
        "text": f"<{ABSENT}>",
        "deep": {"x": ABSENT},
    }

    assert made(programs, written, **NOTHING) == {"list": [1, 2], "text": "<>", "deep": {}}


def test_what_is_absent_is_null_as_a_nodes_value(programs: Programs) -> None:
    nodes = [
        MANUAL,
        value("none", ABSENT),
        result({"there": "{{ $exists(nodes.none) }}", "value": "{{ nodes.none }}"}),
    ]
    ended = programs.run(chain(*nodes, **NOTHING))

    assert ended.output("none") is None
    assert ended.result == {"there": True, "value": None}
    assert made(programs, ABSENT, **NOTHING) is None


def test_what_is_absent_is_an_error_as_the_whole_of_a_required_field(programs: Programs) -> None:
    nodes = [MANUAL, get("ask", ABSENT), result("{{ input.message }}")]
    ended = programs.run(flow(nodes, ["start > ask", "ask.error > end"], **NOTHING))

    assert ended.code("ask") == "InvalidConfig"
    assert "`url` is required" in ended.result


def test_null_is_passed_on_and_is_null_in_text(programs: Programs) -> None:
    written = {"field": "{{ null }}", "list": [1, "{{ null }}"], "text": "<{{ null }}>"}

    assert made(programs, written) == {"field": None, "list": [1, None], "text": "<null>"}


def test_in_text_other_values_are_as_string_gives_them(programs: Programs) -> None:
    written = {
        "number": "<{{ 1.5 }}>",
        "whole": "<{{ 2.0 }}>",
        "truth": "<{{ true }}>",
        "list": "<{{ [1, 'a'] }}>",
        "object": "<{{ {'a': [null]} }}>",
        "text": "<{{ 'é\"' }}>",
        "large": "<{{ 1e21 }}>",
    }

    assert made(programs, written) == {
        "number": "<1.5>",
        "whole": "<2>",
        "truth": "<true>",
        "list": '<[1,"a"]>',
        "object": '<{"a":[null]}>',
        "text": '<é">',
        "large": "<1e+21>",
    }


@pytest.fixture
def pages() -> Iterator[Web]:
    with serving(lambda _: Answer()) as web:
        yield web


def test_where_a_field_asks_for_an_array_a_single_value_is_wrapped(
    programs: Programs, separate_cloud: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JSONata gives one match without its array."""
    monkeypatch.setenv("CLOUDFLOW_SIMULATED_AWS", separate_cloud)
    volumes = {"id": "volumes", "type": "aws.ec2.describe_volumes"}
    first = "{{ nodes.volumes.Volumes[0].VolumeId }}"
    one = {
        "id": "one",
        "type": "aws.ec2.describe_volumes",
        "config": {"VolumeIds": first, "Filters": {"Name": "volume-id", "Values": first}},
    }
    one["config"]["Filters"] = (
        "{{ {'Name': 'volume-id', 'Values': [nodes.volumes.Volumes[0].VolumeId]} }}"
    )
    ended = programs.run(chain(MANUAL, volumes, one, result("{{ $count(nodes.one.Volumes) }}")))

    assert ended.result == 1


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("{{ true }}", True),
        ("{{ 0 }}", False),
        ("{{ '' }}", False),
        ("{{ 'x' }}", True),
        ("{{ [] }}", False),
        ("{{ [0] }}", False),
        ("{{ [0, 1] }}", True),
        ("{{ {} }}", False),
        ("{{ null }}", False),
        (ABSENT, False),
        (True, True),
        (False, False),
    ],
)
def test_conditions_go_through_boolean(programs: Programs, condition: Any, holds: bool) -> None:
    """Of `logic.if`, of a case of `logic.switch`, and of `until`."""
    nodes = [
        MANUAL,
        if_("ask", condition),
        switch("pick", case=condition),
        value("yes"),
        value("case"),
    ]
    if isinstance(condition, str):
        until = {"condition": condition, "interval": 0.05, "timeout": 0.1}
        nodes.append(value("until", 1, until=until, on_error="continue"))
    edges = ["start > ask", "start > pick", "ask.true > yes", "pick.case > case"]
    ended = programs.run(flow(nodes, edges, **NOTHING))

    expected = "success" if holds else "skipped"
    assert (ended.statuses["yes"], ended.statuses["case"]) == (expected, expected)
    if isinstance(condition, str):
        assert (ended.statuses["until"] == "success") is holds


LARGE = 2**63 + 12_345_678_901


def test_integers_stay_exact_beyond_2_to_the_53_where_they_are_passed_on(
    programs: Programs,
) -> None:
    """From a param, a server's answer, code and a literal; by field, list, text, edge and loop."""
    answer = Answer(body=f'{{"n": {LARGE}}}', headers={"Content-Type": "application/json"})
    with serving(lambda _: answer) as web:
        nodes = [
            MANUAL,
            get("ask", web.url()),
            code("code", "return [inputs, inputs - 1]", "{{ nodes.ask.body.n }}"),
            value("written", LARGE),
            loop("each", "{{ [nodes.ask.body.n, nodes.written] }}"),
            value("body", {"n": "{{ item }}"}),
            value("picked", "{{ nodes.each.results[1].n }}"),
            result(
                {
                    "param": "{{ params.n }}",
                    "answer": "{{ nodes.ask.body.n }}",
                    "code": "{{ nodes.code }}",
                    "written": "{{ nodes.written }}",
                    "loop": "{{ nodes.each.results.n }}",
                    "text": "<{{ nodes.written }}>",
                    "picked": "{{ nodes.picked }}",
                    "object": "{{ {'a': [nodes.written]} }}",
                }
            ),
        ]
        edges = [
            "start > ask",
            "ask > code",
            "code > written",
            "written > each",
            "each.item > body",
        ]
        edges += ["each.done > picked", "picked > end"]
        ended = programs.run(flow(nodes, edges, params=params(n={"type": "integer"})), {"n": LARGE})

    assert ended.result == {
        "param": LARGE,
        "answer": LARGE,
        "code": [LARGE, LARGE - 1],
        "written": LARGE,
        "loop": [LARGE, LARGE],
        "text": f"<{LARGE}>",
        "picked": LARGE,
        "object": {"a": [LARGE]},
    }


# Secrets


SECRET = "{{ $secret('token') }}"


@pytest.mark.parametrize(
    "node",
    [
        value("x", SECRET),
        value("x", {"deep": [f"Bearer {SECRET}"]}),
        code("x", "return inputs", SECRET),
        if_("x", "{{ $secret('token') = 'a' }}"),
        switch("x", a="{{ $secret('token') = 'a' }}"),
        loop("x", "{{ [$secret('token')] }}"),
        wait("x", until=SECRET),
        call("x", "{{ $secret('token') }}", max_depth=1),
        result(SECRET, "x"),
    ],
    ids=["transform", "deep", "code", "if", "switch", "loop", "wait", "call", "result"],
)
def test_a_secret_is_not_allowed_where_the_output_would_carry_it(
    programs: Programs, node: dict[str, Any]
) -> None:
    nodes = [MANUAL, node, value("after", 1)]
    edges = ["start > x", "x.item > after" if node["type"] == "logic.loop" else "x > after"]

    assert programs.codes(flow(nodes, edges)) == ["CF4019"]


def test_a_secret_has_to_exist_and_to_be_named_literally(programs: Programs) -> None:
    def asking(expression: str) -> dict[str, Any]:
        return chain(MANUAL, get("ask", "http://x/", {"headers": {"X": expression}}))

    (unknown,) = programs.check(asking("{{ $secret('tokn') }}")).diagnostics
    assert unknown.code == "CF4018"
    assert "token" in (unknown.suggestion or "")
    assert programs.codes(asking("{{ $secret(params.name) }}") | {"params": params(name={})}) == [
        "CF4017"
    ]


def seen_anywhere(programs: Programs, ended: Ended) -> list[str]:
    """Return where the secret is: in the summary, the history, or a file of the project."""
    places = [
        name
        for name, text in {
            "summary": json.dumps(ended.summary),
            "history": ended.history,
        }.items()
        if TOKEN in text
    ]
    files = [f for f in programs.project.state.rglob("*") if f.is_file()]
    return places + [str(f) for f in files if TOKEN.encode() in contents(f)]


def test_a_secret_is_fetched_at_run_time_and_is_never_seen(programs: Programs) -> None:
    """The server gives it back in every way it can, also in an error."""

    def site(asked: Asked) -> Answer:
        said = json.dumps(
            {"headers": asked.headers, "query": asked.query, "body": asked.body.decode()}
        )
        status = 500 if asked.path == "/fails" else 200
        headers = {"Content-Type": "application/json", "X-Echo": asked.headers["x-token"]}
        return Answer(status, said, headers)

    with serving(site) as web:
        asking = {"headers": {"X-Token": SECRET}, "query": {"q": f"a{SECRET}"}}
        nodes = [
            MANUAL,
            get("ask", web.url("/ok"), asking),
            value("passed", "{{ nodes.ask.body }}"),
            get("fails", web.url("/fails"), {**asking, "body": SECRET, "method": "POST"}),
            loop("each", [1]),
            get("inside", web.url("/ok"), asking),
            result("{{ $string(nodes.ask) }}"),
        ]
        edges = [
            "start > ask",
            "ask > passed",
            "passed > fails",
            "fails.error > each",
            "each.item > inside",
            "each.done > end",
        ]
        ended = programs.run(flow(nodes, edges))

    assert ended.status == "success"
    assert web.asked[0].headers["x-token"] == TOKEN
    assert web.asked[0].query == {"q": f"a{TOKEN}"}
    assert ended.output("passed")["headers"]["x-token"] != TOKEN
    assert seen_anywhere(programs, ended) == []


def test_the_value_of_a_secret_is_the_one_of_the_moment(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(lambda _: Answer()) as web:
        path = programs.write(chain(MANUAL, get("ask", web.url(), {"headers": {"X": SECRET}})))
        programs.run(path)
        monkeypatch.setenv("FORMAT_TOKEN", "another-one-2024")
        programs.run(path)

    assert [asked.headers["x"] for asked in web.asked] == [TOKEN, "another-one-2024"]


def test_a_secret_is_not_allowed_in_a_triggers_params_which_are_stored_with_the_run(
    programs: Programs,
) -> None:
    night = cron("night", params={"p": SECRET})
    (found,) = programs.check(flow([night], params=params(p={"type": "string"}))).diagnostics

    assert found.code == "CF4019"
    assert "would be kept" in found.message


# Checked before anything runs


def test_syntax_is_checked_with_its_place(programs: Programs) -> None:
    (found,) = programs.check(chain(MANUAL, result("ok {{ 1 + }}"))).diagnostics

    assert found.code == "CF4001"
    assert str(found.at.pointer) == "/nodes/1/config/value"
    assert found.line == 1
    assert found.column is not None


@pytest.mark.parametrize(
    ("expression", "code", "suggestion"),
    [
        ("{{ nodes.snapsho }}", "CF4005", "snapshot"),
        ("{{ nodse.snapshot }}", "CF4002", "nodes"),
        ("{{ params.environmnt }}", "CF4013", "environment"),
        ("{{ vars.taem }}", "CF4014", "team"),
        ("{{ nodes.snapshot.SnapshotID }}", "CF4015", "SnapshotId"),
        ("{{ $cuont([1]) }}", "CF4003", "count"),
        ("{{ run.attemt }}", "CF4015", "attempt"),
        ("{{ trigger.paylod }}", "CF4015", "payload"),
    ],
)
def test_unknown_names_are_checked_with_a_suggestion(
    programs: Programs, expression: str, code: str, suggestion: str
) -> None:
    snapshot = {
        "id": "snapshot",
        "type": "aws.ec2.create_snapshot",
        "config": {"VolumeId": "vol-1"},
    }
    environment = params(environment={"type": "string"})
    (found,) = programs.check(
        chain(MANUAL, snapshot, result(expression), params=environment)
    ).diagnostics

    assert found.code == code
    assert suggestion in (found.suggestion or "")
    assert str(found.at.pointer) == "/nodes/2/config/value"


def test_references_to_nodes_that_do_not_lie_upstream_are_checked(programs: Programs) -> None:
    nodes = [MANUAL, value("left", 1), value("right", "{{ nodes.left }}"), value("below", 1)]
    edges = ["start > left", "start > right", "right > below"]
    assert programs.codes(flow(nodes, edges)) == ["CF4006"]
    nodes[1] = value("left", "{{ nodes.left }}")
    assert programs.codes(flow(nodes[:2], edges[:1])) == ["CF4006"]


def test_types_that_cannot_fit_the_config_field_are_checked(programs: Programs) -> None:
    volume = {"id": "v", "type": "aws.ec2.describe_volumes"}
    asks = get("ask", "http://x/", {"timeout": "{{ nodes.v.NextToken }}"})
    (found,) = programs.check(chain(MANUAL, volume, asks)).diagnostics

    assert (found.code, str(found.at.pointer)) == ("CF4021", "/nodes/2/config/timeout")


def test_what_cannot_be_known_before_is_found_at_the_node(programs: Programs) -> None:
    nodes = [
        MANUAL,
        value("text", "{{ params.t }}"),
        get("ask", "http://x/", {"timeout": "{{ nodes.text }}"}),
    ]
    ended = programs.run(chain(*nodes, params=params(t={})), {"t": "soon"})

    assert ended.code("ask") == "InvalidConfig"
    assert "timeout" in ended.error("ask")["message"]


def test_an_expression_that_fails_is_an_error_of_its_node(programs: Programs) -> None:
    ended = programs.run(chain(MANUAL, breaks("bad")))

    assert ended.code("bad") == "ExpressionError"
    assert "`value`" in ended.error("bad")["message"]
