from __future__ import annotations

import json
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudflow_dagster.diagnostics import Diagnostics
from cloudflow_dagster.flow.canonical import canonical_order, canonical_text
from cloudflow_dagster.flow.source import parse_flow, read_document
from tests.unit.flow.written_flows import Writer, flows, unhurried


def formatted(text: str) -> str:
    return canonical_text(read_document(text, "a.json", Diagnostics()))


def meaning(text: str) -> Any:
    """What a flow says, whatever the order of its nodes and edges."""
    found = Diagnostics()
    flow = parse_flow(read_document(text, "a.json", found), found)
    assert flow is not None
    dumped = flow.model_dump(mode="json", by_alias=True, exclude_unset=True)
    for part in ("nodes", "edges"):
        if part in dumped:
            dumped[part] = sorted(json.dumps(item, sort_keys=True) for item in dumped[part])
    return dumped


def in_order(pairs: list[tuple[str, str]], ids: list[str]) -> bool:
    return all(ids.index(source) < ids.index(target) for source, target in pairs)


@unhurried
@given(flows(), st.randoms(use_true_random=False))
def test_formatting_never_changes_what_a_flow_means(flow: Any, random: Random) -> None:
    text = Writer(random).write(flow)
    assert meaning(formatted(text)) == meaning(text)


@unhurried
@given(flows(), st.randoms(use_true_random=False))
def test_formatting_again_changes_nothing(flow: Any, random: Random) -> None:
    once = formatted(Writer(random).write(flow))
    assert formatted(once) == once


@unhurried
@given(flows(), st.randoms(use_true_random=False))
def test_the_order_in_the_file_does_not_matter(flow: Any, random: Random) -> None:
    shuffled = dict(flow, nodes=random.sample(flow["nodes"], len(flow["nodes"])))
    assert canonical_text(shuffled) == canonical_text(flow)


def test_a_flow_in_canonical_form() -> None:
    flow = {
        "edges": [
            {"target": "b", "source": "c"},
            {"target": "c", "source": "start", "target_port": "x"},
            {"disabled": True, "target": "start", "source": "b"},
            {"target": "a", "source": "start"},
        ],
        "nodes": [
            {"config": {"z": 1, "a": []}, "type": "t", "id": "b", "retry": {"delay": 1, "on": []}},
            {"type": "t", "id": "a", "pin": {}},
            {"type": "t", "id": "c"},
            {"type": "trigger.manual", "id": "start", "position": {"y": 1, "x": 2}},
        ],
        "name": "Grüße 🚀",
        "version": 1,
    }
    assert canonical_text(flow) == (
        """{
  "version": 1,
  "name": "Grüße 🚀",
  "nodes": [
    {
      "id": "start",
      "type": "trigger.manual",
      "position": {
        "x": 2,
        "y": 1
      }
    },
    {
      "id": "a",
      "type": "t",
      "pin": {}
    },
    {
      "id": "c",
      "type": "t"
    },
    {
      "id": "b",
      "type": "t",
      "config": {
        "z": 1,
        "a": []
      },
      "retry": {
        "delay": 1,
        "on": []
      }
    }
  ],
  "edges": [
    {
      "source": "start",
      "target": "a"
    },
    {
      "source": "start",
      "target": "c",
      "target_port": "x"
    },
    {
      "source": "c",
      "target": "b"
    },
    {
      "source": "b",
      "target": "start",
      "disabled": true
    }
  ]
}
"""
    )


def test_numbers_stay_as_they_are_written() -> None:
    numbers = ["1e3", "1E3", "0.50", "1.0", "-0.0", "1e-400", "3.14159265358979323846", f"{10**40}"]
    pin = f"[{', '.join(numbers)}]"
    text = f'{{"version": 1, "nodes": [{{"id": "a", "type": "t", "pin": {pin}}}]}}'
    lines = [line.strip(" ,") for line in formatted(text).splitlines()]
    assert [line for line in lines if line in numbers] == numbers


def test_text_stays_readable_but_nothing_in_it_is_hidden() -> None:
    name = 'ü 日本 🚀 \u202e \u2028 \ufeff \x7f \x00 \n " \\ /'
    text = formatted(json.dumps({"version": 1, "name": name, "nodes": []}))
    assert r'"ü 日本 🚀 \u202e \u2028 \ufeff \u007f \u0000 \n \" \\ /"' in text
    assert json.loads(text)["name"] == name


def test_a_byte_order_mark_is_taken_out() -> None:
    assert formatted('\ufeff{"version": 1, "nodes": []}').startswith("{")


def test_explicit_defaults_and_nulls_stay() -> None:
    node = {"id": "a", "type": "t", "label": None, "on_error": "fail"}
    assert json.loads(canonical_text({"version": 1, "nodes": [node]})) == {
        "version": 1,
        "nodes": [node],
    }


@pytest.mark.parametrize(
    ("ids", "edges", "expected"),
    [
        ([], [], []),
        (["b", "a"], [], ["a", "b"]),
        (["a", "b"], [("b", "a")], ["b", "a"]),
        (["d", "c", "b", "a"], [("a", "d"), ("a", "d"), ("d", "b")], ["a", "c", "d", "b"]),
        (["a"], [("a", "a"), ("a", "x"), ("x", "a")], ["a"]),
        (["c", "b", "a"], [("c", "b"), ("b", "c")], ["a", "b", "c"]),
        (["z", "b", "a"], [("z", "a"), ("a", "b"), ("b", "a")], ["z", "a", "b"]),
    ],
)
def test_canonical_order_is_topological_then_alphabetical(
    ids: list[str], edges: list[tuple[str, str]], expected: list[str]
) -> None:
    assert canonical_order(ids, edges) == expected


@given(
    st.lists(st.sampled_from("abcdefgh"), unique=True),
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("abcdefgh"))),
)
def test_canonical_order_has_each_node_once_and_follows_edges_that_make_no_cycle(
    ids: list[str], edges: list[tuple[str, str]]
) -> None:
    assert sorted(canonical_order(ids, edges)) == sorted(ids)
    forward = [(a, b) for a, b in edges if a < b and a in ids and b in ids]
    assert in_order(forward, canonical_order(ids, forward))


def test_canonical_order_copes_with_a_chain_and_a_ring_of_many_thousand_nodes() -> None:
    ids = [f"n{i}" for i in range(20_000)]
    chain = list(pairwise(ids))
    assert canonical_order(ids[::-1], chain) == ids
    assert canonical_order(ids, [*chain, (ids[-1], ids[0])]) == ids
    assert len(
        canonical_order(ids, [(a, b) for x, y in chain for a, b in ((x, y), (y, x))])
    ) == len(ids)
