"""What is done in Python gives what the engine gives, and what is apart gives what is here."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cloudflow_dagster.expressions import ABSENT, parse_template, to_text, truthy
from cloudflow_dagster.expressions import evaluate as evaluate_expression
from cloudflow_dagster.expressions.engine import engine_text, evaluate_here
from cloudflow_dagster.expressions.sandbox import evaluate_apart

names = st.sampled_from("abc")
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
    | st.floats(-1000, 1000).map(lambda x: round(x, 3))
    | st.sampled_from([1e21, 1.5e-7, 0.1 + 0.2, 1e-6, 123456.789])
)
values = st.recursive(
    leaves,
    lambda part: st.lists(part, max_size=3) | st.dictionaries(names, part, max_size=3),
    max_leaves=12,
)
indices = st.lists(st.integers(-2, 2), max_size=2)
steps = st.lists(st.tuples(names, indices), max_size=4)


def by_engine(source: str, item: Any) -> Any:
    text = engine_text(source, ("item",), find_functions=False)
    return evaluate_here(text, {"item": item}, (), None, 0).get("v", ABSENT)


def same(one: Any, other: Any) -> bool:
    if one is ABSENT or other is ABSENT:
        return one is other
    return json.dumps(_whole(one)) == json.dumps(_whole(other))


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_whole(part) for part in value]
    if isinstance(value, dict):
        return {key: _whole(part) for key, part in value.items()}
    return value


def written(path: list[tuple[str, list[int]]]) -> str:
    return "".join(f".{name}{''.join(f'[{i}]' for i in at)}" for name, at in path)


@settings(max_examples=1000, deadline=None)
@given(values, indices, steps, st.booleans())
def test_plain_paths_are_followed_as_the_engine_does(
    item: Any, first: list[int], path: list[tuple[str, list[int]]], variable: bool
) -> None:
    source = ("$" if variable else "") + "item" + "".join(f"[{i}]" for i in first) + written(path)
    expression = parse_template("{{" + source + "}}").whole
    assert expression is not None
    assert expression.direct is not None
    assert same(evaluate_expression(expression, {"item": item}), by_engine(source, item))


@settings(max_examples=500, deadline=None)
@given(values)
def test_truth_is_the_engines(item: Any) -> None:
    assert truthy(item) == by_engine("$boolean(item)", item)


@settings(max_examples=500, deadline=None)
@given(values)
def test_text_is_the_engines(item: Any) -> None:
    assert to_text(item) == by_engine("$string(item)", item)


SOURCES = [
    "item", "[item]", "{'x': item}", "item.a", "item.(a & b)", "item[a = 1]", "item.a[0]",
    "item^(a)", "item{a: $count($)}", "$map(item, function($v, $i){ [$i, $v] })", "item.*", "**",
    "$each(item, function($v, $k){ $k })", "$sort(item.a)", "$string(item)", "$keys(item)",
    "$merge(item)", "$distinct(item)", "$reduce(item.a, function($x, $y){ $y })", "item ? 1 : 2",
    "item = item.a", "item ~> |$|{'z': 1}|", "$sift(item, function($v){ $v })", "item#$i.{'i': $i}",
    "($x := item.a; [$x, $x])", "item[-1]", "item.a.b.c", "$type(item)", "item ?? 'none'",
]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SOURCES), values)
def test_a_worker_gives_what_the_engine_gives_here(source: str, item: Any) -> None:
    text = engine_text(source, (), find_functions=False)
    outcomes: list[Any] = []
    for run in (evaluate_here, evaluate_apart):
        try:
            outcomes.append(run(text, {"item": item}, (), None, 0).get("v", ABSENT))
        except Exception as error:
            outcomes.append(str(error))
    assert same(*outcomes)


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(SOURCES), values, values)
def test_leaving_out_what_is_not_read_changes_nothing(source: str, item: Any, other: Any) -> None:
    expression = parse_template("{{ " + source.replace("**", "item.**") + " }}").whole
    assert expression is not None
    scope = {"item": item, "params": other, "nodes": {"a": other}}
    outcomes: list[Any] = []
    for run in (
        lambda: evaluate_expression(expression, scope),
        lambda: by_engine_whole(expression.source, scope),
    ):
        try:
            outcomes.append(run())
        except Exception as error:
            outcomes.append(str(error))
    assert same(*outcomes)


def by_engine_whole(source: str, scope: dict[str, Any]) -> Any:
    text = engine_text(source, (), find_functions=False)
    return evaluate_here(text, scope, (), None, 0).get("v", ABSENT)
