"""The bound on what an expression may cost is one, and is not given up for common expressions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudflow_dagster.expressions import ABSENT, ExpressionError, evaluate, parse_template
from cloudflow_dagster.expressions.scope import survey, take, weigh
from cloudflow_dagster.expressions.template import Expression
from cloudflow_dagster.expressions.values import follow

operands = st.sampled_from(
    ["nodes.a", "params.p", "item", "$item", "$", "$$.item", "'abcdefghijklmnopqrstuvwxyz'", "a",
     "b", "*", "**", "$v", "$params.p", "[1..9]", "(null)"]
)  # fmt: skip


def grown(part: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.tuples(part, part)
    return st.one_of(
        pairs.map(lambda p: f"({p[0]} & {p[1]})"),
        pairs.map(lambda p: f"[{p[0]}, {p[1]}]"),
        pairs.map(lambda p: f"{{'k': {p[0]}, 'l': {p[1]}}}"),
        pairs.map(lambda p: f"({p[0]}).({p[1]})"),
        pairs.map(lambda p: f"({p[0]}).({p[1]} & $)"),
        pairs.map(lambda p: f"({p[0]}).[$, {p[1]}, $]"),
        pairs.map(lambda p: f"({p[0]}).{{'k': $, 'l': {p[1]}}}"),
        pairs.map(lambda p: f"({p[0]})[{p[1]}]"),
        pairs.map(lambda p: f"({p[0]}){{$string(): [$, {p[1]}]}}"),
        pairs.map(lambda p: f"($v := {p[0]}; [$v, {p[1]}, $v])"),
        pairs.map(lambda p: f"$map({p[0]}, function($v){{ [$v, {p[1]}, $v] }})"),
        pairs.map(lambda p: f"$map({p[0]}, function($v, $i){{ $string($v) & {p[1]} }})"),
        pairs.map(lambda p: f"$each({p[0]}, function($v, $k){{ [$k, $v, {p[1]}] }})"),
        pairs.map(lambda p: f"$filter({p[0]}, function($v){{ {p[1]} }})"),
        pairs.map(lambda p: f"$replace($string({p[0]}), 'a', $string({p[1]}))"),
        pairs.map(lambda p: f"$join(({p[0]}).$string(), $string({p[1]}))"),
        pairs.map(lambda p: f"$append({p[0]}, {p[1]})"),
        pairs.map(lambda p: f"$zip({p[0]}, {p[1]})"),
        pairs.map(lambda p: f"({p[0]} ~> |$|{{'z': {p[1]}}}|)"),
        pairs.map(lambda p: f"({p[0]} ? {p[1]})"),
        part.map(lambda p: f"$pad($string({p}), 60, 'xyz')"),
        part.map(lambda p: f"$split($string({p}), '')"),
        part.map(lambda p: f"$match($string({p}), /[a-z]/)"),
        part.map(lambda p: f"$spread({p})"),
        part.map(lambda p: f"$string({p}, true)"),
        part.map(lambda p: f"({p})^($string())"),
        part.map(lambda p: f"({p})#$i.[$, $i]"),
    )


expressions = st.recursive(operands, grown, max_leaves=8)
items = st.sampled_from(
    [
        [{"a": "x" * 50, "b": [1, 2]}, {"a": [{"b": 1}] * 5}],
        {"a": {"b": {"a": [1, 2, 3]}}, "b": "text"},
        ["word"] * 20,
        "a" * 300,
    ]
)


def whole(source: str) -> Expression:
    found = parse_template("{{ " + source + " }}").whole
    assert found is not None
    return found


@settings(max_examples=1500, deadline=None)
@given(expressions, items, items)
def test_no_result_is_larger_than_the_bound(source: str, item: Any, other: Any) -> None:
    expression = whole(source)
    bound = expression.cost.bound
    if bound is None:
        return
    scope = {"item": item, "params": {"p": other}, "nodes": {"a": other}}
    try:
        result = evaluate(expression, scope)
    except ExpressionError:
        return
    if result is ABSENT:
        return
    data = take(scope, expression.needs)
    size = survey(data)[0] + 1
    again = 1 + sum(
        survey(value)[0]
        for path in expression.cost.repeated
        if (value := follow(data, path)) is not ABSENT
    )
    largest = bound.factor * size**bound.degree * again**bound.repeated
    assert survey(result)[0] <= 2 * largest + 2


@pytest.mark.parametrize(
    "source",
    [
        "nodes.v.Volumes[Size > $params.min].VolumeId",
        "nodes.v.Volumes[Tags[Key = 'env'].Value = 'prod']",
        "nodes.v.Volumes.{'id': VolumeId, 'env': $params.env}",
        "$map(nodes.v.Volumes, function($v){ $v.VolumeId & '-' & $params.env })",
        "$count(nodes.each.errors) & ' snapshots failed'",
        "$join(nodes.v.Volumes.VolumeId, ', ')",
        "$sum(nodes.v.Volumes.Size) > 100 ? 'much' : 'little'",
        "$exists(nodes.each.errors[0])",
        "nodes.v.Volumes^(>Size)[0].VolumeId",
        "($v := nodes.v.Volumes; $count($v) = 0 or $v[0].Size > 3)",
        "$replace(run.id, /[^a-z]/, '-')",
        "$fromMillis($toMillis(run.started_at) - 86400000, '[Y0001]-[M01]-[D01]')",
        "$now()",
        "nodes.v.Volumes{State: $count($)}",
        "$filter(nodes.v.Volumes, function($v){ $v.Size > 3 })",
        "$sort(nodes.v.Volumes, function($l, $r){ $l.Size > $r.Size })",
        "$merge(nodes.v.Volumes.Tags.{Key: Value})",
        "$reduce(nodes.v.Volumes.Size, function($sum, $size){ $sum + $size })",
        "nodes.v.Volumes ~> $map(function($v){ $v.Size }) ~> $sum()",
        "$distinct(nodes.v.Volumes.AvailabilityZone)",
        "$pad($string(index), -5, '0')",
        "$lookup(nodes.v.Tags, 'env')",
        "nodes.v.Volumes#$i.{'n': $i, 'id': VolumeId}",
        "[1..10].('x' & $)",
    ],
)
def test_common_expressions_are_evaluated_in_this_process(source: str) -> None:
    from cloudflow_dagster.expressions.evaluate import _is_cheap

    volume = {"VolumeId": "vol-1", "Size": 8, "Tags": [{"Key": "a", "Value": "b"}], "State": "x"}
    scope = {"nodes": {"v": {"Volumes": [volume] * 500}}, "params": {"min": 3, "env": "prod"}}
    expression = whole(source)
    data = take(scope, expression.needs)
    assert _is_cheap(expression, data, weigh(data)[0])


@pytest.mark.parametrize(
    "source",
    [
        "($f := function($n){ $f($n) }; $f(1))",
        "[0..$count(item)]",
        "$pad('a', item)",
        "item.%.item",
        "item@$x.item",
        "$reduce(item, function($a, $b){ $a & $a })",
        "$map(item, function($v, $i, $all){ $all })",
        "$formatInteger(item, 'I')",
        "$fromMillis(item, item)",
    ],
)
def test_what_has_no_bound_is_told_apart(source: str) -> None:
    assert whole(source).cost.bound is None
