"""The flow format, "Loops": the body, results and items, on running flows."""

from __future__ import annotations

import threading
from collections import Counter
from threading import Lock
from typing import Any

import pytest

from tests.fixtures.programs import (
    MANUAL,
    Programs,
    breaks,
    flow,
    get,
    if_,
    loop,
    over,
    params,
    result,
    value,
)
from tests.fixtures.web import Answer, Asked, serving

pytestmark = pytest.mark.integration

FAILS_AT_TWO = value("body", "{{ item = 2 ? $error('two') : item * 10 }}")


# The body


def test_the_body_is_all_that_can_be_reached_from_item(programs: Programs) -> None:
    """Also what is reached by a branch, by `error`, and by a join inside."""
    nodes = [
        MANUAL,
        loop("each", [1, 2]),
        if_("odd", "{{ item % 2 = 1 }}"),
        value("yes", "odd {{ item }}"),
        breaks("no"),
        value("caught", "{{ input.node }}"),
        value("join", "{{ input }}"),
        result("{{ nodes.each.results }}"),
    ]
    edges = [
        "start > each",
        "each.item > odd",
        "odd.true > yes",
        "odd.false > no",
        "no.error > caught",
        "yes > join",
        "caught > join",
        "each.done > end",
    ]
    ended = programs.run(flow(nodes, edges))

    assert ended.result == ["odd 1", "no"]
    assert ended.ran == {"start", "each", "each__item[0]", "each__item[1]", "each__done", "end"}


def test_an_edge_that_enters_the_body_elsewhere_is_an_error(programs: Programs) -> None:
    made = over([1], value("body"))
    made["edges"].append({"source": "start", "target": "body"})

    assert ("CF2008", "/edges/3") in programs.places(made)


def test_an_edge_that_leads_out_of_the_body_is_an_error(programs: Programs) -> None:
    made = over([1], value("body"))
    made["edges"].append({"source": "body", "target": "end"})

    assert [code for code, _ in programs.places(made)] == ["CF2009"]


def test_an_edge_from_done_into_the_body_is_an_error(programs: Programs) -> None:
    made = over([1], value("body"))
    made["edges"].append({"source": "each", "source_port": "done", "target": "body"})
    codes = [code for code, _ in programs.places(made)]

    assert codes
    assert set(codes) <= {"CF2005", "CF2008"}


def test_what_comes_after_hangs_on_done(programs: Programs) -> None:
    """It runs once, when all items are done."""
    order: list[str] = []
    with serving(lambda asked: order.append(asked.path) or Answer()) as web:
        nodes = [
            MANUAL,
            loop("each", [1, 2, 3]),
            get("body", web.url("/item")),
            get("after", web.url("/after")),
        ]
        ended = programs.run(flow(nodes, ["start > each", "each.item > body", "each.done > after"]))

    assert ended.status == "success"
    assert order == ["/item", "/item", "/item", "/after"]


def test_outside_the_body_its_nodes_cannot_be_read(programs: Programs) -> None:
    made = over([1], value("body"))
    made["nodes"][-1]["config"]["value"] = "{{ nodes.body }}"

    assert programs.places(made) == [("CF4007", "/nodes/3/config/value")]


def test_the_body_reads_nodes_before_the_loop(programs: Programs) -> None:
    nodes = [
        MANUAL,
        value("before", {"by": 10}),
        loop("each", [1, 2]),
        value("body", "{{ item * nodes.before.by }}"),
        result("{{ nodes.each.results }}"),
    ]
    edges = ["start > before", "before > each", "each.item > body", "each.done > end"]

    assert programs.run(flow(nodes, edges)).result == [10, 20]


# Results


def test_done_carries_results_errors_and_count(programs: Programs) -> None:
    ended = programs.run(over([1, 2, 3], FAILS_AT_TWO, on_item_error="collect"))

    assert set(ended.result) == {"results", "errors", "count"}
    assert ended.result["count"] == 3
    assert ended.result["results"] == [10, None, 30]
    (error,) = ended.result["errors"]
    assert set(error) == {"index", "node", "code", "message"}
    assert (error["index"], error["node"], error["code"]) == (1, "body", "ExpressionError")
    assert "two" in error["message"]


def test_results_are_in_the_order_of_the_items_whoever_ends_first(programs: Programs) -> None:
    """The first item's answer is only sent when all others have been asked for."""
    last_come = threading.Event()
    count = Counter[str]()
    lock = Lock()

    def site(asked: Asked) -> Answer:
        with lock:
            count["asked"] += 1
            if count["asked"] == 4:
                last_come.set()
        if asked.path == "/0":
            last_come.wait(30)
        return Answer(body=asked.path)

    with serving(site) as web:
        body = get("body", web.url("/{{ item }}"))
        ended = programs.run(over([0, 1, 2, 3], body, concurrency=4))

    assert [r["body"] for r in ended.result["results"]] == ["/0", "/1", "/2", "/3"]


def test_the_result_is_null_where_the_end_was_skipped(programs: Programs) -> None:
    edges = ["each.item > odd", "odd.true > body"]
    odd = if_("odd", "{{ item % 2 = 1 }}")
    ended = programs.run(over([1, 2, 3], odd, value("body", "{{ item }}"), edges=edges))

    assert ended.result == {"results": [1, None, 3], "errors": [], "count": 3}


def test_an_iterations_result_is_the_output_of_the_bodys_end(programs: Programs) -> None:
    body = [
        value("one", "{{ item }}"),
        value("two", "{{ input + 1 }}"),
        value("three", "{{ input * 2 }}"),
    ]
    ended = programs.run(over([1, 2], *body))

    assert ended.result["results"] == [4, 6]


def test_with_several_ends_it_is_an_object_by_node_id_of_those_that_ran(
    programs: Programs,
) -> None:
    body = [if_("odd", "{{ item % 2 = 1 }}"), value("a", "a{{ item }}"), value("b", "b{{ item }}")]
    edges = ["each.item > odd", "odd.true > a", "each.item > b"]
    ended = programs.run(over([1, 2], *body, edges=edges))

    assert ended.result["results"] == [{"a": "a1", "b": "b1"}, {"b": "b2"}]


def test_a_nested_loops_body_does_not_count_as_an_end_of_the_outer_one(
    programs: Programs,
) -> None:
    nodes = [
        MANUAL,
        loop("each", [1, 2]),
        loop("inner", ["a", "b"]),
        value("body", "{{ loops.each.item }}{{ item }}"),
        result("{{ nodes.each.results }}"),
    ]
    edges = ["start > each", "each.item > inner", "inner.item > body", "each.done > end"]
    ended = programs.run(flow(nodes, edges))

    assert ended.result == [
        {"results": ["1a", "1b"], "errors": [], "count": 2},
        {"results": ["2a", "2b"], "errors": [], "count": 2},
    ]


def test_what_hangs_on_the_inner_loops_done_is_the_outer_ones_end(programs: Programs) -> None:
    nodes = [
        MANUAL,
        loop("each", [[1, 2], [3]]),
        loop("inner", "{{ item }}"),
        value("body", "{{ item * 10 }}"),
        value("sum", "{{ $sum(input.results) }}"),
        result("{{ nodes.each.results }}"),
    ]
    edges = [
        "start > each",
        "each.item > inner",
        "inner.item > body",
        "inner.done > sum",
        "each.done > end",
    ]

    assert programs.run(flow(nodes, edges)).result == [30, 30]


# Items


@pytest.mark.parametrize(
    ("items", "results"),
    [
        ("{{ params.nothing }}", []),
        ("{{ null }}", []),
        (None, []),
        ([], []),
        ("{{ 5 }}", [5]),
        ({"a": 1}, [{"a": 1}]),
        ("{{ 'text' }}", ["text"]),
        ("{{ [[1, 2]] }}", [[1, 2]]),
        ([None, 1], [None, 1]),
    ],
)
def test_what_is_absent_or_null_is_an_empty_list_and_a_single_value_a_list_of_one(
    programs: Programs, items: Any, results: list[Any]
) -> None:
    made = over(items, value("body", "{{ item }}")) | {"params": params(nothing={})}
    ended = programs.run(made)

    assert ended.result == {"results": results, "errors": [], "count": len(results)}


def test_items_may_come_by_an_edge(programs: Programs) -> None:
    nodes = [
        MANUAL,
        value("list", [1, 2]),
        {"id": "each", "type": "logic.loop"},
        value("body", "{{ item }}"),
        result("{{ nodes.each.count }}"),
    ]
    edges = ["start > list", "list > each.items", "each.item > body", "each.done > end"]

    assert programs.run(flow(nodes, edges)).result == 2
