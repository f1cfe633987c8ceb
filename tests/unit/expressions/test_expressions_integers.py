"""Integers that a float cannot hold."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudflow_dagster.expressions import parse_template, render

BIG = 2**63 + 1
OTHER = 2**63 + 3
NEAR = 2**53 + 1
SCOPE: dict[str, Any] = {
    "nodes": {
        "a": {
            "id": BIG,
            "rows": [{"id": BIG, "n": 1}, {"id": OTHER, "n": 2}, {"id": -NEAR, "n": 3}],
        }
    },
    "item": 2**200,
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ nodes.a.id }}", BIG),
        ("{{ nodes.a.rows.id }}", [BIG, OTHER, -NEAR]),
        ("{{ nodes.a.rows[n = 2].id }}", OTHER),
        ("{{ nodes.a.rows[id = $nodes.a.id].n }}", 1),
        ("{{ [nodes.a.id, {'x': nodes.a.id}] }}", [BIG, {"x": BIG}]),
        ("{{ $reverse(nodes.a.rows).id }}", [-NEAR, OTHER, BIG]),
        ("{{ nodes.a.rows^(>n).id }}", [-NEAR, OTHER, BIG]),
        ("{{ $map(nodes.a.rows, function($r){ $r.id }) }}", [BIG, OTHER, -NEAR]),
        ("{{ ($f := function($x){ $x }; $f(nodes.a.rows.id)) }}", [BIG, OTHER, -NEAR]),
        ("id {{ nodes.a.id }}", f"id {BIG}"),
        ("{{ nodes.a.rows }}", SCOPE["nodes"]["a"]["rows"]),
        ("{{ 'id-' & nodes.a.id }}", f"id-{BIG}"),
        ("{{ nodes.a.id & '-' & nodes.a.rows[1].id }}", f"{BIG}-{OTHER}"),
        ("{{ $string(nodes.a.id) }}", str(BIG)),
        ("{{ nodes.a.rows.('id-' & id) }}", [f"id-{BIG}", f"id-{OTHER}", f"id-{-NEAR}"]),
        ("{{ nodes.a.rows[n=1].id & nodes.a.missing & 'x' }}", f"{BIG}x"),
        ("{{ ($f := function($x){ 'i' & $x }; $f(nodes.a.id)) }}", f"i{BIG}"),
        ("{{ [item] }}", [2**200]),
        ("{{ 'x' & item }}", f"x{2**200}"),
        ("{{ 9007199254740993 }}", NEAR),
        ("{{ [9007199254740993] }}", [NEAR]),
        ("{{ 'x' & 9007199254740993 }}", f"x{NEAR}"),
        ("{{ -nodes.a.rows[2].id > 0 }}", True),
    ],
)
def test_what_is_only_passed_on_stays_exact(text: str, value: Any) -> None:
    assert render(text, SCOPE) == value


def test_arithmetic_rounds() -> None:
    assert render("{{ nodes.a.id * 2 }}", SCOPE) == pytest.approx(BIG * 2)
    assert render("{{ $sum(nodes.a.rows.id) }}", SCOPE) == pytest.approx(2**64 - 2**53)


def test_the_helping_names_are_not_seen() -> None:
    whole = parse_template("{{ 'x' & nodes.a.id }}").whole
    assert whole is not None
    assert whole.unknown == ()


@given(st.lists(st.integers(-(2**80), 2**80), max_size=6))
def test_any_integers_come_out_as_they_went_in(values: list[int]) -> None:
    scope = {"item": {"v": [{"x": value, "i": i} for i, value in enumerate(values)]}}
    found = render("{{ [item.v.x] }}", scope)
    assert found == values
    texts = render("{{ [item.v.('i' & x)] }}", scope)
    small = [f"i{v}" for v in values]
    assert texts == small
