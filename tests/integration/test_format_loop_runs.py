"""The flow format, "Loops": concurrency, failures, depth and size, on running flows."""

from __future__ import annotations

import threading
from collections import Counter
from threading import Barrier, Lock
from typing import Any

import dagster as dg
import pytest

from tests.fixtures.programs import (
    MANUAL,
    Ended,
    Programs,
    Way,
    breaks,
    flow,
    get,
    if_,
    loop,
    over,
    result,
    value,
)
from tests.fixtures.web import Answer, Asked, serving

pytestmark = pytest.mark.integration

FAILS_AT_TWO = value("body", "{{ item = 2 ? $error('two') : item * 10 }}")


# How many at a time, and what a failure does


class Crowd:
    """A site that holds requests until so many are there, and counts the most at a time."""

    def __init__(self, together: int) -> None:
        self._meeting = Barrier(together)
        self._lock = Lock()
        self.now = self.most = 0

    def __call__(self, asked: Asked) -> Answer:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self._meeting.wait(30)
        with self._lock:
            self.now -= 1
        return Answer()


@pytest.mark.parametrize(("config", "at_once"), [({}, 10), ({"concurrency": 3}, 3)])
def test_concurrency_is_how_many_iterations_go_on_at_once_and_10_by_default(
    programs: Programs, config: dict[str, int], at_once: int
) -> None:
    crowd = Crowd(at_once)
    with serving(crowd) as web:
        made = over(list(range(at_once * 2)), get("body", web.url()), **config)
        ended = programs.run(made)

    assert ended.status == "success"
    assert crowd.most == at_once


def test_concurrency_may_be_an_expression(programs: Programs) -> None:
    crowd = Crowd(2)
    with serving(crowd) as web:
        made = over([1, 2, 3, 4], get("body", web.url()), concurrency="{{ 1 + 1 }}")
        ended = programs.run(made)

    assert ended.status == "success"
    assert crowd.most == 2


def test_a_nested_loop_has_a_concurrency_of_its_own(programs: Programs) -> None:
    crowd = Crowd(4)
    with serving(crowd) as web:
        nodes = [
            MANUAL,
            loop("each", [1, 2], concurrency=2),
            loop("inner", [1, 2, 3, 4], concurrency=2),
            get("body", web.url()),
        ]
        ended = programs.run(
            flow(nodes, ["start > each", "each.item > inner", "inner.item > body"])
        )

    assert ended.status == "success"
    assert crowd.most == 4


@pytest.mark.parametrize("nested", [False, True])
def test_with_fail_no_new_iteration_starts_those_that_run_finish_and_the_loop_fails(
    programs: Programs, nested: bool
) -> None:
    """Item 0 fails while 1 is on its way; 1 ends only after 0 has failed, and then asks again."""
    failed = threading.Event()
    asked: list[str] = []

    def site(one: Asked) -> Answer:
        asked.append(one.path)
        if one.path == "/first/0":
            started.wait(30)
            return Answer(500)
        if one.path == "/first/1":
            started.set()
            failed.wait(1)
        return Answer()

    started = threading.Event()
    with serving(site) as web:
        loops = [loop("each", [0, 1, 2, 3, 4], concurrency=2)]
        edges = ["start > each", "each.item > first", "first > second", "each.done > end"]
        if nested:
            loops = [loop("outer", [1]), *loops]
            edges = ["start > outer", "outer.item > each", *edges[1:3], "outer.done > end"]
        nodes = [
            MANUAL,
            *loops,
            get("first", web.url("/first/{{ item }}")),
            get("second", web.url("/second/{{ item }}")),
            result(),
        ]
        ended = programs.run(flow(nodes, edges))

    assert ended.status == "failure"
    assert sorted(asked) == ["/first/0", "/first/1", "/second/1"]
    assert ended.statuses["each"] == "failure"
    assert ended.statuses["first"] == "failure"
    assert ended.statuses["end"] == "not_run"


@pytest.mark.parametrize("way", ["cloudflow", "dagster"])
def test_the_error_port_of_a_loop_catches_its_failure(programs: Programs, way: Way) -> None:
    nodes = [
        MANUAL,
        loop("each", [1, 2, 3], concurrency=1),
        FAILS_AT_TWO,
        value("after"),
        result("{{ input }}"),
    ]
    edges = ["start > each", "each.item > body", "each.done > after", "each.error > end"]
    ended = programs.run(flow(nodes, edges), way=way)

    assert ended.status == "success"
    assert ended.statuses == {
        "start": "success",
        "each": "failure",
        "body": "failure",
        "after": "skipped",
        "end": "success",
    }
    assert ended.result["node"] == "each"
    assert set(ended.result) == {"node", "code", "message", "provider_request_id", "attempts"}


def test_on_error_continue_of_a_loop_goes_on_with_null(programs: Programs) -> None:
    made = over([1, 2, 3], FAILS_AT_TWO)
    made["nodes"][1]["on_error"] = "continue"
    made["nodes"][-1]["config"]["value"] = {"each": "{{ nodes.each }}"}
    ended = programs.run(made)

    assert ended.status == "success"
    assert ended.result == {"each": None}
    assert ended.error("each")["node"] == "each"


def test_with_collect_the_loop_succeeds_and_lists_the_errors(programs: Programs) -> None:
    fails = value("body", "{{ item % 3 = 0 ? $error('no') : item }}")
    ended = programs.run(over(list(range(10)), fails, on_item_error="collect", concurrency=4))

    assert ended.status == "success"
    assert ended.statuses["each"] == "success"
    assert ended.result["results"] == [None, 1, 2, None, 4, 5, None, 7, 8, None]
    assert [e["index"] for e in ended.result["errors"]] == [0, 3, 6, 9]


def test_by_default_an_item_that_fails_fails_the_loop(programs: Programs) -> None:
    ended = programs.run(over([2], FAILS_AT_TWO))

    assert ended.status == "failure"
    assert ended.statuses["each"] == "failure"


def test_batch_size_makes_item_a_list_and_counts_batches(programs: Programs) -> None:
    body = value(
        "body",
        {
            "item": "{{ item }}",
            "index": "{{ index }}",
            "fails": "{{ index = 1 ? $error('x') : 0 }}",
        },
    )
    ended = programs.run(over([1, 2, 3, 4, 5], body, batch_size=2, on_item_error="collect"))

    assert ended.result["count"] == 3
    assert [r and r["item"] for r in ended.result["results"]] == [[1, 2], None, [5]]
    assert [r and r["index"] for r in ended.result["results"]] == [0, None, 2]
    assert [e["index"] for e in ended.result["errors"]] == [1]


# Depth and size


def test_loops_nest(programs: Programs) -> None:
    """Four deep, with a condition and a failure that is collected in the middle."""
    nodes = [
        MANUAL,
        loop("a", [1, 2]),
        loop("b", "{{ [item, item * 10] }}"),
        loop("c", [0, 1], on_item_error="collect"),
        value("fails", "{{ item = 1 and loops.b.item = 20 ? $error('no') : item }}"),
        loop("d", ["x"]),
        value(
            "body",
            "{{ loops.a.item }}-{{ loops.b.item }}-{{ loops.c.item }}-{{ item }}-{{ index }}",
        ),
        result("{{ nodes.a }}"),
    ]
    edges = [
        "start > a",
        "a.item > b",
        "b.item > c",
        "c.item > fails",
        "fails > d",
        "d.item > body",
        "a.done > end",
    ]
    ended = programs.run(flow(nodes, edges))

    def at(a: int, b: int, c: int) -> Any:
        return ended.result["results"][a]["results"][b]["results"][c]

    assert at(0, 0, 0) == {"results": ["1-1-0-x-0"], "errors": [], "count": 1}
    assert at(0, 1, 1) == {"results": ["1-10-1-x-0"], "errors": [], "count": 1}
    assert at(1, 1, 0) == {"results": ["2-20-0-x-0"], "errors": [], "count": 1}
    assert at(1, 1, 1) is None
    inner = ended.result["results"][1]["results"][1]
    assert [(e["index"], e["node"]) for e in inner["errors"]] == [(1, "fails")]


def test_the_outermost_loops_iterations_are_seen_as_steps_one_each(programs: Programs) -> None:
    nodes = [MANUAL, loop("each", [1, 2, 3]), loop("inner", [1, 2]), value("body", 1)]
    edges = ["start > each", "each.item > inner", "inner.item > body"]
    ended = programs.run(flow(nodes, edges))
    steps = ended.events(dg.DagsterEventType.STEP_SUCCESS)

    assert sorted(steps) == [
        "each",
        "each__done",
        "each__item[0]",
        "each__item[1]",
        "each__item[2]",
        "start",
    ]


def test_beyond_500_items_a_step_holds_a_contiguous_range(programs: Programs) -> None:
    body = value("body", "{{ item * 2 }}")
    ended = programs.run(over(list(range(1203)), body, concurrency=50))
    ranges = [
        tuple(int(n) for n in key.removeprefix("each__item[").removesuffix("]").split("_"))
        for key in ended.ran
        if key.startswith("each__item")
    ]
    held = [n for one in sorted(ranges) for n in range(one[0], one[-1] + 1)]

    assert ended.result["results"] == [n * 2 for n in range(1203)]
    assert len(ranges) == 500
    assert held == list(range(1203))


# What is shown of the body


def body_of(ended: Ended) -> dict[str, Any]:
    return ended.summary["nodes"]["body"]


def test_a_body_nodes_status_is_the_worst_over_its_items_and_its_output_null(
    programs: Programs,
) -> None:
    """One item fails, one is skipped, one succeeds; then without the failure; then all skipped."""

    def run(items: list[int]) -> dict[str, Any]:
        odd = if_("odd", "{{ item % 2 = 1 }}")
        body = value("body", "{{ item = 5 ? $error('five') : item }}")
        edges = ["each.item > odd", "odd.true > body"]
        return body_of(programs.run(over(items, odd, body, edges=edges, on_item_error="collect")))

    failed = run([1, 2, 5])
    assert failed["status"] == "failure"
    assert failed["output"] is None
    assert failed["error"]["node"] == "body"
    mixed = run([1, 2])
    assert (mixed["status"], mixed["output"], mixed["error"]) == ("success", None, None)
    assert run([2])["status"] == "skipped"
    assert run([])["status"] == "skipped"


def test_a_body_of_a_nested_loop_is_shown_too(programs: Programs) -> None:
    nodes = [
        MANUAL,
        loop("each", [1, 2]),
        loop("inner", [1, 2], on_item_error="collect"),
        value("body", "{{ loops.each.item = 2 and item = 2 ? $error('no') : 1 }}"),
        value("after"),
    ]
    edges = ["start > each", "each.item > inner", "inner.item > body", "body > after"]
    ended = programs.run(flow(nodes, edges))

    assert ended.status == "success"
    assert ended.statuses["body"] == "failure"
    assert ended.statuses["inner"] == "success"
    assert ended.statuses["after"] == "not_run"


def test_the_logs_and_errors_of_the_body_are_on_the_iterations_step(programs: Programs) -> None:
    ended = programs.run(over([1, 2], FAILS_AT_TWO, on_item_error="collect"))
    entries = [
        entry.user_message
        for entry in ended.instance.all_logs(ended.id)
        if entry.step_key == "each__item[1]"
    ]

    assert any("two" in text for text in entries)


def test_in_the_body_retries_timeouts_and_on_error_work_as_outside(programs: Programs) -> None:
    count = Counter[str]()

    def site(asked: Asked) -> Answer:
        count[asked.path] += 1
        return Answer(503 if count[asked.path] < 3 else 200)

    with serving(site) as web:
        retried = get("body", web.url("/{{ item }}"), retry={"max_attempts": 3, "delay": 0})
        fails = breaks("fails", on_error="continue")
        seen = value("seen", {"status": "{{ nodes.body.status }}", "fails": "{{ nodes.fails }}"})
        ended = programs.run(over([1, 2], retried, fails, seen))

    assert ended.result["results"] == [{"status": 200, "fails": None}] * 2
    assert body_of(ended)["attempts"] == 3


def test_outside_the_body_item_cannot_be_read(programs: Programs) -> None:
    made = over([1], value("body"))
    made["nodes"][-1]["config"]["value"] = "{{ item }}"

    assert [code for code, _ in programs.places(made)] == ["CF4008"]
