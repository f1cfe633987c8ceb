"""The flow format, "Expressions": braces and names, on running flows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.fixtures.programs import (
    MANUAL,
    Programs,
    chain,
    flow,
    get,
    if_,
    loop,
    params,
    result,
    value,
)
from tests.fixtures.web import Answer, Asked, serving

pytestmark = pytest.mark.integration

TOKEN = "open-sesame-1859"


def made(programs: Programs, written: Any, **more: Any) -> Any:
    """Return what a config value becomes."""
    return programs.run(chain(MANUAL, result(written), **more)).result


# {{ … }}


def test_a_string_that_is_one_expression_keeps_its_type_and_any_other_is_text(
    programs: Programs,
) -> None:
    written = {
        "number": "{{ 1 + 1 }}",
        "spaces": "{{2}}",
        "list": "{{ [1, 'a'] }}",
        "object": "{{ {'a': null} }}",
        "truth": "{{ 1 = 1 }}",
        "text": "n = {{ 1 + 1 }}",
        "after": "{{ 2 }} ",
        "two": "{{ 1 }}{{ 2 }}",
        "none": "plain",
    }

    assert made(programs, written) == {
        "number": 2,
        "spaces": 2,
        "list": [1, "a"],
        "object": {"a": None},
        "truth": True,
        "text": "n = 2",
        "after": "2 ",
        "two": "12",
        "none": "plain",
    }


def test_the_end_of_an_expression_is_found_by_a_lexer(programs: Programs) -> None:
    written = {
        "nested": '{{ {"a": {"b": 1}} }}',
        "tight": '{{ {"a": {"b": 1}}}}',
        "in_string": "{{ 'a }} b' & \"}}\" }}",
        "in_text": 'x{{ {"a": {"b": 1}}.a.b }}y}}',
        "escaped": '{{ "a\\" }} b" }}',
        "comment": "{{ 1 /* }} */ }}",
        "name": "{{ {'}}': 3}.`}}` }}",
        "regex": "{{ $replace('a}}b', /\\}\\}/, '-') }}",
    }

    assert made(programs, written) == {
        "nested": {"a": {"b": 1}},
        "tight": {"a": {"b": 1}},
        "in_string": "a }} b}}",
        "in_text": "x1y}}",
        "escaped": 'a" }} b',
        "comment": 1,
        "name": 3,
        "regex": "a-b",
    }


def test_a_literal_pair_of_braces_is_written_as_an_expression(programs: Programs) -> None:
    assert made(programs, "{{ '{{' }} name }}") == "{{ name }}"
    assert made(programs, "{{ '{{' }}") == "{{"
    assert made(programs, "{ {} } }}") == "{ {} } }}"


def test_nothing_else_in_a_flow_is_evaluated(programs: Programs) -> None:
    written = {
        "a": "$sum([1])",
        "b": "${1}",
        "c": "{% x %}",
        "d": "=1+1",
        "e": "{ 1 }",
        "f": "$now()",
    }

    assert made(programs, written) == written


def test_eval_does_not_exist(programs: Programs) -> None:
    assert programs.codes(chain(MANUAL, result("{{ $eval('1') }}"))) == ["CF4004"]
    sneaky = chain(MANUAL, result("{{ $map(['1'], $eval) }}"))
    assert set(programs.codes(sneaky)) == {"CF4004"}


def test_what_comes_from_outside_is_never_an_expression(programs: Programs) -> None:
    """A server's answer, a param, an event: their braces are text."""
    evil = "{{ params.secret }} {{ 1 + 1 }}"

    def site(asked: Asked) -> Answer:
        return Answer(body=json.dumps({"evil": evil}), headers={"Content-Type": "application/json"})

    with serving(site) as web:
        nodes = [
            MANUAL,
            get("ask", web.url()),
            value(
                "passed",
                {"one": "{{ nodes.ask.body.evil }}", "text": "x {{ nodes.ask.body.evil }}"},
            ),
            {"id": "fed", "type": "generic.transform"},
            loop("each", "{{ [nodes.ask.body.evil] }}"),
            get("again", web.url("/?q={{ $encodeUrlComponent(item) }}")),
            result({"param": "{{ params.evil }}", "event": "{{ trigger.payload.evil }}"}),
        ]
        edges = [
            "start > ask",
            "ask > passed",
            "passed > fed.value",
            "fed > each",
            "each.item > again",
            "each.done > end",
        ]
        ended = programs.run(
            flow(nodes, edges, params=params(evil={}, secret={})), {"evil": evil, "secret": "x"}
        )

    assert ended.output("passed") == {"one": evil, "text": f"x {evil}"}
    assert ended.output("fed") == ended.output("passed")
    assert ended.result == {"param": evil, "event": evil}
    assert web.asked[1].query == {"q": evil}


# Names


def test_nodes_is_what_a_node_gave_and_absent_if_it_was_skipped(programs: Programs) -> None:
    nodes = [
        MANUAL,
        value("one", {"a": [1, 2]}),
        if_("no", "{{ false }}"),
        value("skipped", 1),
        result(
            {
                "a": "{{ nodes.one.a[1] }}",
                "there": "{{ $exists(nodes.skipped) }}",
                "start": "{{ nodes.start.type }}",
            }
        ),
    ]
    edges = ["start > one", "start > no", "no.true > skipped", "one > end", "skipped > end"]

    assert programs.run(flow(nodes, edges)).result == {
        "a": 2,
        "there": False,
        "start": "trigger.manual",
    }


def test_a_node_further_up_can_be_read_too(programs: Programs) -> None:
    nodes = [MANUAL, value("a", 1), value("b", 2), value("c", 3), result("{{ nodes.a + nodes.b }}")]

    assert programs.run(chain(*nodes)).result == 3


def test_params_trigger_run_and_vars(programs: Programs) -> None:
    written = {
        "params": "{{ params }}",
        "trigger": "{{ trigger }}",
        "run": "{{ run }}",
        "vars": "{{ vars.limits.disks }} {{ vars.team }}",
    }
    ended = programs.run(
        chain(MANUAL, result(written), params=params(n={"type": "integer"})), {"n": 1}
    )
    seen = ended.result

    assert seen["params"] == {"n": 1}
    assert seen["trigger"].keys() == {"type", "time", "payload"}
    assert seen["run"].keys() == {"id", "started_at", "attempt", "flow"}
    assert seen["run"]["id"] == ended.id
    assert seen["run"]["attempt"] == 1
    assert seen["vars"] == "3 ops"


def test_item_index_and_loops(programs: Programs) -> None:
    nodes = [
        MANUAL,
        loop("outer", ["a", "b"]),
        loop("inner", [5]),
        value(
            "body", "{{ loops.outer.item & loops.outer.index & item & index & loops.inner.item }}"
        ),
        result("{{ nodes.outer.results.results }}"),
    ]
    edges = ["start > outer", "outer.item > inner", "inner.item > body", "outer.done > end"]

    assert programs.run(flow(nodes, edges)).result == ["a0505", "b1505"]


def test_names_that_belong_elsewhere_are_errors(programs: Programs) -> None:
    assert programs.codes(chain(MANUAL, result("{{ index }}"))) == ["CF4008"]
    assert programs.codes(chain(MANUAL, result("{{ loops.x.item }}"))) == ["CF4009"]
    assert programs.codes(chain(MANUAL, result("{{ output }}"))) == ["CF4010"]


def test_all_of_these_are_variables_too(programs: Programs) -> None:
    inside = (
        "{{ $params.n & $trigger.type & $run.attempt & $vars.team & $nodes.one & $input.item"
        " & $item & $index & $loops.each.item }}"
    )
    nodes = [
        MANUAL,
        value("one", 1),
        loop("each", ["x"]),
        value("wrapped", {"item": "{{ item }}"}),
        value("body", inside),
        result("{{ nodes.each.results[0] }}"),
    ]
    edges = [
        "start > one",
        "one > each",
        "each.item > wrapped",
        "wrapped > body",
        "each.done > end",
    ]
    ended = programs.run(flow(nodes, edges, params=params(n={"default": 7})))

    assert ended.result == "7trigger.manual1ops1xx0x"
    until = {"condition": "{{ $output = 2 }}", "interval": 0.1, "timeout": 5}
    assert programs.run(chain(MANUAL, value("two", 2, until=until))).status == "success"


def test_inside_a_predicate_or_a_map_only_the_variable_is_found_and_check_reports_the_name(
    programs: Programs,
) -> None:
    volumes = value("v", {"Volumes": [{"Size": 1}, {"Size": 5}]})
    least = params(min={"type": "integer", "default": 3})

    def asking(expression: str) -> dict[str, Any]:
        return chain(MANUAL, volumes, result({"found": expression}), params=least)

    assert programs.run(asking("{{ nodes.v.Volumes[Size > $params.min].Size }}")).result == {
        "found": 5
    }
    wrong = asking("{{ nodes.v.Volumes[Size > params.min] }}")
    (found,) = programs.check(wrong).diagnostics
    assert found.code == "CF4016"
    assert "$params" in (found.suggestion or found.message)
    assert programs.codes(asking("{{ nodes.v.Volumes.{'m': params.min} }}")) == ["CF4016"]
