"""The flow format, edges: order, and what comes in, on running flows."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fixtures.programs import (
    MANUAL,
    Programs,
    flow,
    get,
    if_,
    loop,
    result,
    value,
)
from tests.fixtures.web import Answer, serving

pytestmark = pytest.mark.integration

VOLUMES = {"id": "volumes", "type": "aws.ec2.describe_volumes"}


# Order


def test_edges_alone_make_order(programs: Programs) -> None:
    """Whatever the order in the file is."""
    nodes = [
        result("{{ nodes.a + nodes.b }}"),
        value("b", "{{ nodes.a * 2 }}"),
        value("a", 3),
        MANUAL,
    ]

    assert programs.run(flow(nodes, ["b > end", "a > b", "start > a"])).result == 9


def test_an_expression_that_refers_to_a_node_makes_no_edge(programs: Programs) -> None:
    nodes = [MANUAL, value("a", 1), value("b", "{{ nodes.a }}")]
    (found,) = programs.check(flow(nodes, ["start > a", "start > b"])).diagnostics

    assert (found.code, str(found.at.pointer)) == ("CF4006", "/nodes/2/config/value")


def test_two_edges_into_the_same_config_field_are_an_error(programs: Programs) -> None:
    nodes = [MANUAL, value("a", 1), value("b", 1), {"id": "c", "type": "generic.transform"}]
    edges = ["start > a", "start > b", "a > c.value", "b > c.value"]

    assert programs.codes(flow(nodes, edges)) == ["CF2007"]


def test_edges_that_go_round_are_an_error(programs: Programs) -> None:
    assert "CF2005" in programs.codes(flow([value("a"), value("b")], ["a > b", "b > a"]))


def test_a_disabled_edge_is_as_if_it_were_not_there(programs: Programs) -> None:
    """It makes no order, no circle, no second feed."""
    off = {"disabled": True}
    nodes = [
        MANUAL,
        value("a", 1),
        value("b", 2),
        {"id": "c", "type": "generic.transform"},
        result(),
    ]
    edges: list[Any] = [
        "start > a",
        "start > b",
        "a > c.value",
        {"source": "b", "target": "c", "target_port": "value", **off},
        {"source": "c", "target": "a", **off},
        "c > end",
    ]

    assert programs.run(flow(nodes, edges)).result == 1


# What came in


def test_what_came_in_is_the_output_of_the_edge_that_delivered(programs: Programs) -> None:
    nodes = [
        MANUAL,
        value("one", {"a": 1}),
        value("two", {"b": 2}),
        if_("no", "{{ false }}"),
        value("three"),
        result("{{ input }}"),
    ]
    edges = ["start > one", "one > end", "start > no", "no.true > three", "three > end"]

    assert programs.run(flow(nodes, edges)).result == {"a": 1}


def test_where_several_edges_delivered_it_is_an_object_by_source_node_id(
    programs: Programs,
) -> None:
    nodes = [
        MANUAL,
        value("one", 1),
        value("two", [2]),
        value("three", None),
        result("{{ input }}"),
    ]
    edges = [f"start > {id}" for id in ("one", "two", "three")]
    edges += [f"{id} > end" for id in ("one", "two", "three")]

    assert programs.run(flow(nodes, edges)).result == {"one": 1, "two": [2], "three": None}


def test_where_several_ports_of_one_source_delivered_its_entry_is_an_object_by_port(
    programs: Programs,
) -> None:
    pin = {"Volumes": [{"VolumeId": "vol-1"}], "NextToken": "t"}
    nodes = [MANUAL, VOLUMES | {"pin": pin}, value("one", 1), result("{{ input }}")]
    edges = [
        "start > volumes",
        "start > one",
        "volumes.Volumes > end",
        "volumes.NextToken > end",
        "one > end",
    ]
    both = {"Volumes": [{"VolumeId": "vol-1"}], "NextToken": "t"}

    assert programs.run(flow(nodes, edges), pinned=True).result == {"volumes": both, "one": 1}
    alone = flow(nodes, [e for e in edges if not e.startswith("one")])
    assert programs.run(alone, pinned=True).result == {"volumes": both}


def test_input_is_what_came_in_also_by_error_and_by_item(programs: Programs) -> None:
    with serving(lambda _: Answer(404, "gone")) as web:
        nodes = [
            MANUAL,
            loop("each", ["a"]),
            get("ask", web.url("/{{ input }}")),
            value("caught", "{{ input.code }} {{ item }}"),
            result("{{ nodes.each.results }}"),
        ]
        edges = ["start > each", "each.item > ask", "ask.error > caught", "each.done > end"]
        ended = programs.run(flow(nodes, edges))

    assert ended.result == ["HttpStatus a"]
    assert web.asked[0].path == "/a"


def test_a_node_into_which_nothing_can_come_cannot_read_input(programs: Programs) -> None:
    (found,) = programs.check(flow([MANUAL, value("alone", "{{ input }}")])).diagnostics

    assert found.code == "CF4011"
