"""What expressions give."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from cloudflow_dagster.expressions import (
    ABSENT,
    ExpressionError,
    evaluate,
    evaluate_condition,
    parse_template,
    render,
    render_text,
    to_text,
    truthy,
)

SCOPE: dict[str, Any] = {
    "nodes": {
        "volumes": {
            "Volumes": [
                {"VolumeId": "vol-1", "Size": 1, "Note": None},
                {"VolumeId": "vol-2", "Size": 8, "params": {"min": 9}},
            ]
        },
        "one": {"items": [{"a": 1}], "list": [7]},
    },
    "params": {"min": 3, "nothing": None, "env": "prod", "yes": True, "whole": 2.0, "part": 0.1},
    "item": {"VolumeId": "vol-9"},
    "index": 0,
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ params.env }}", "prod"),
        ("{{ params.yes }}", True),
        ("{{ index }}", 0),
        ("{{ nodes.volumes.Volumes.VolumeId }}", ["vol-1", "vol-2"]),
        ("{{ nodes.volumes.Volumes[Size > $params.min].VolumeId }}", "vol-2"),
        ("{{ nodes.volumes.Volumes[Size > params.min].VolumeId }}", ABSENT),
        ("{{ nodes.volumes.Volumes[Size > $params.min][].VolumeId }}", ["vol-2"]),
        ("{{ nodes.volumes.Volumes[-1].Size }}", 8),
        ("{{ nodes.one.items.a }}", 1),
        ("{{ nodes.one.list }}", [7]),
        ("{{ $sum(nodes.volumes.Volumes.Size) }}", 9),
        ("{{ nodes.volumes.Volumes.{'id': VolumeId, 'env': $params.env} }}",
         [{"id": "vol-1", "env": "prod"}, {"id": "vol-2", "env": "prod"}]),
        ("{{ 10 / 4 }}", 2.5),
        ("{{ params.missing ? 1 : 2 }}", 2),
        ("{{ 'a' in ['a', 'b'] }}", True),
        ("{{ ($f := function($n){ $n < 2 ? 1 : $n * $f($n - 1) }; $f(10)) }}", 3628800),
        ("{{ params ~> $keys() ~> $count() }}", 6),
    ],
)  # fmt: skip
def test_a_whole_expression_keeps_its_type(text: str, value: Any) -> None:
    found = render(text, SCOPE)
    assert found == value
    assert type(found) is type(value)


def test_numbers_are_ints_where_they_are_whole() -> None:
    for text in ("{{ params.whole }}", "{{ 10 / 5 }}", "{{ 1.0 }}", "{{ $sum([0.5, 0.5]) }}"):
        assert type(render(text, SCOPE)) is int
    assert type(render("{{ params.part }}", SCOPE)) is float


def test_absent_and_null_are_told_apart() -> None:
    assert render("{{ params.missing }}", SCOPE) is ABSENT
    assert render("{{ params.nothing }}", SCOPE) is None
    assert render("{{ nodes.nope.x }}", SCOPE) is ABSENT
    assert render("{{ output }}", SCOPE) is ABSENT
    assert render("{{ $lookup(params, 'nothing') }}", SCOPE) is None
    assert render("{{ $lookup(params, 'missing') }}", SCOPE) is ABSENT
    assert render("{{ true ? params.nothing }}", SCOPE) is None
    assert render("{{ false ? params.nothing }}", SCOPE) is ABSENT
    assert render("{{ ($x := params.nothing; $x) }}", SCOPE) is None
    assert render("{{ $params.nothing }}", SCOPE) is None
    assert render("{{ $output }}", SCOPE) is ABSENT
    assert render("{{ nodes.volumes.Volumes.Note }}", SCOPE) is None
    assert render("{{ nodes.volumes.Volumes.Absent }}", SCOPE) is ABSENT
    found = render(
        "{{ [params.nothing, params.missing, {'a': params.missing, 'b': null}] }}", SCOPE
    )
    assert found == [None, {"b": None}]


def test_absent_leaves_out_a_field_and_an_entry_and_is_empty_in_text() -> None:
    config = {
        "gone": "{{ params.missing }}",
        "null": "{{ params.nothing }}",
        "list": ["{{ params.missing }}", "{{ params.nothing }}", {"x": "{{ params.missing }}"}],
        "text": "<{{ params.missing }}|{{ params.nothing }}>",
        "plain": "text",
        "number": 3,
    }
    assert render(config, SCOPE) == {
        "null": None,
        "list": [None, {}],
        "text": "<|null>",
        "plain": "text",
        "number": 3,
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (None, "null"),
        (ABSENT, ""),
        (True, "true"),
        (1.0, "1"),
        (-0.0, "0"),
        (0.1 + 0.2, "0.3"),
        (2**70 + 1, "1180591620717411303425"),
        (1e21, "1e+21"),
        (1.5e300, "1.5e+300"),
        (1e20, "100000000000000000000"),
        (0.000001, "0.000001"),
        (0.0000001, "1e-7"),
        (1.25e-9, "1.25e-9"),
        (0.00001234, "0.00001234"),
        ([1, 1.0, "ä\n", None], '[1,1,"ä\\n",null]'),
        ({"a": {"b": []}, "c": 0.1 + 0.2}, '{"a":{"b":[]},"c":0.3}'),
    ],
)
def test_text_is_as_string_gives_it(value: Any, text: str) -> None:
    assert to_text(value) == text


def test_text_of_what_json_does_not_have_is_an_error() -> None:
    for value in (math.inf, math.nan, [math.inf], object()):
        with pytest.raises(ExpressionError):
            to_text(value)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ExpressionError) as caught:
        to_text(deep)
    assert caught.value.code == "TooDeep"
    with pytest.raises(ExpressionError):
        to_text(10**10_000)


@pytest.mark.parametrize(
    ("value", "holds"),
    [
        (ABSENT, False), (None, False), (False, False), (0, False), (0.0, False), ("", False),
        ([], False), ({}, False), ([0], False), ([[]], False), ([None, 0], False),
        (math.nan, False), (True, True), (-1, True), (0.1, True), ("false", True), ([0, 1], True),
        ([[1]], True), ({"a": 0}, True),
    ],
)  # fmt: skip
def test_truth_is_as_boolean_says(value: Any, holds: bool) -> None:
    assert truthy(value) is holds


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (True, True),
        (False, False),
        ("{{ params.yes }}", True),
        ("{{ params.missing }}", False),
        ("{{ nodes.volumes.Volumes[Size > 100] }}", False),
        ("{{ nodes.volumes.Volumes[Size > 2] }}", True),
        ("{{ params.missing }}{{ params.missing }}", False),
        ("{{ false }} ", True),
        ("false", True),
        ("", False),
    ],
)
def test_conditions(condition: bool | str, holds: bool) -> None:
    assert evaluate_condition(condition, SCOPE) is holds


def test_text_around_expressions() -> None:
    text = "nightly {{ item.VolumeId }}: {{ nodes.volumes.Volumes.Size }} {{ '{{' }}}}"
    assert render(text, SCOPE) == "nightly vol-9: [1,8] {{}}"
    assert render_text("{{ 1 }}", SCOPE) == "1"
    assert render_text(parse_template("{{ params }}"), {"params": {"a": 1.0}}) == '{"a":1}'


@pytest.mark.parametrize(
    "text",
    ["{{ $sum }}", "{{ function($x){ $x } }}", "{{ [1, $sum] }}", "{{ {'a': [{'b': /x/}]} }}",
     "{{ ($f := $uppercase; $f) }}", "{{ $substring(?, 1) }}", "{{ $uppercase ~> $trim }}"],
)  # fmt: skip
def test_a_function_is_no_result(text: str) -> None:
    with pytest.raises(ExpressionError, match="a function, which is no JSON value"):
        render(text, SCOPE)


def test_an_empty_text_is_not_taken_for_a_function() -> None:
    assert render("{{ ($f := function($x){ '' }; [$f(1), null, params.nothing]) }}", SCOPE) == [
        "",
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("x {{ 'a' + 1 }}", "Evaluation", "left side of the + operator must evaluate to a number"),
        ("x {{ 1 / 0 }}", "Evaluation", "The result is not a finite number."),
        ("x {{ [{'a': -1 / 0}] }}", "Evaluation", "The result is not a finite number."),
        ("x {{ $foo(1) }}", "UnknownName", "$foo"),
        ("x {{ $eval('1') }}", "UnknownName", "`$eval` does not exist"),
        ("x {{ $error('mine') }}", "Evaluation", "mine."),
        ("x {{ $toMillis('x') }}", "Evaluation", "."),
    ],
)
def test_a_failure_has_a_code_a_place_and_a_plain_message(
    text: str, code: str, message: str
) -> None:
    with pytest.raises(ExpressionError) as caught:
        render(text, SCOPE)
    error = caught.value
    assert error.code == code
    assert text[error.offset :].lstrip().startswith(("'a'", "1", "[", "$"))
    assert message in error.message
    assert str(error) == error.message


def test_eval_is_refused_however_it_is_written() -> None:
    for source in ("$eval('1')", "'1' ~> $eval", "($e := $eval; $e('1'))", "$map(['1'], $eval)"):
        with pytest.raises(ExpressionError) as caught:
            render("{{ " + source + " }}", SCOPE)
        assert caught.value.code == "UnknownName"


class Lazy(Mapping[str, Any]):
    """A mapping that notes what was looked up."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values_ = values
        self.seen: list[str] = []

    def __getitem__(self, key: str) -> Any:
        self.seen.append(key)
        return self.values_[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_)

    def __len__(self) -> int:
        return len(self.values_)


@pytest.mark.parametrize(
    ("text", "value", "seen"),
    [
        ("{{ nodes.a.x }}", 1, ["a"]),
        ("{{ nodes.a.x + nodes.b.x }}", 3, ["a", "b"]),
        ("{{ $nodes.b }}", {"x": 2}, ["b"]),
        ("{{ nodes.nope.x }}", ABSENT, ["nope"]),
        ("{{ [nodes.nope.x] }}", [], ["nope"]),
        ("{{ $count($keys(nodes)) }}", 2, ["a", "b"]),
        ("{{ nodes }}", {"a": {"x": 1}, "b": {"x": 2}}, ["a", "b"]),
        ("{{ 1 }}", 1, []),
    ],
)
def test_only_what_is_read_is_looked_up(text: str, value: Any, seen: list[str]) -> None:
    nodes = Lazy({"a": {"x": 1}, "b": {"x": 2}})
    assert render(text, {"nodes": nodes, "params": {}}) == value
    assert nodes.seen == seen


def test_a_function_in_the_scope_is_called_only_if_it_is_read() -> None:
    calls: list[str] = []
    scope = {"input": lambda: calls.append("input") or {"a": 1}, "params": {"x": 2}}
    assert render("{{ params.x }}", scope) == 2
    assert render("{{ params.x + 1 }}", scope) == 3
    assert calls == []
    assert render("{{ input.a }}", scope) == 1
    assert render("{{ $input.a + 1 }}", scope) == 2
    assert calls == ["input", "input"]


def test_data_is_never_an_expression() -> None:
    scope = {"trigger": {"payload": "{{ 1 + 1 }}"}}
    assert render("{{ trigger.payload }}", scope) == "{{ 1 + 1 }}"
    assert render("a {{ trigger.payload }}", scope) == "a {{ 1 + 1 }}"
    assert render("{{ trigger.payload & '' }}", scope) == "{{ 1 + 1 }}"


@pytest.mark.parametrize("value", [{1, 2}, b"x", object(), [{1: object()}]])
def test_what_is_no_json_in_the_scope_is_an_error(value: Any) -> None:
    for text in ("{{ [item] }}", "{{ ($f := function(){ item }; $f()) }}"):
        with pytest.raises(ExpressionError) as caught:
            render(text, {"item": value})
        assert "no JSON value" in caught.value.message


def test_invalid_unicode_in_the_scope_is_an_error_or_passed_on() -> None:
    scope = {"item": "\ud800"}
    assert render("{{ item }}", scope) == "\ud800"
    for text in ("{{ item & 'x' }}", "{{ ($f := function(){ item & 'x' }; $f()) }}"):
        with pytest.raises(ExpressionError):
            render(text, scope)


def test_nested_too_deep_is_an_error() -> None:
    deep: Any = "{{ 1 }}"
    for _ in range(150):
        deep = [deep]
    assert render(deep, {}) is not ABSENT
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ExpressionError) as caught:
        render(deep, {})
    assert caught.value.code == "TooDeep"
    with pytest.raises(ExpressionError) as caught:
        render("{{ ($f := function(){ item }; $f()) }}", {"item": deep})
    assert caught.value.offset == 2
    assert render("{{ $length(item & '') > 100000 }}", {"item": deep}) is True


def test_an_expression_is_evaluated_by_itself_too() -> None:
    whole = parse_template("{{ params.min }}").whole
    assert whole is not None
    assert evaluate(whole, SCOPE) == 3
