"""The flow format: a run that failed is started again from the point of failure.

By Dagster's public API (`dg.ReexecutionOptions.from_failure`), as its pages do it. A web server
counts who asked: nobody who succeeded may ask again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.fixtures.programs import MANUAL, Programs, flow, get, if_, loop, params, result, value
from tests.fixtures.web import Answer, Asked, Web, serving

pytestmark = pytest.mark.integration


@dataclass
class Site:
    """Answers each path with how often it was asked; paths in `broken` answer 500."""

    broken: set[str] = field(default_factory=set[str])
    counted: Counter[str] = field(default_factory=Counter[str])

    def __call__(self, asked: Asked) -> Answer:
        self.counted[asked.path] += 1
        if asked.path in self.broken:
            return Answer(500, "broken")
        return Answer(body=f"{asked.path} {self.counted[asked.path]}")


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def web(site: Site) -> Iterator[Web]:
    with serving(site) as web:
        yield web


def one_then_two(programs: Programs, web: Web) -> Path:
    """Write a flow of two calls, one after the other, that gives what both gave."""
    seen = {"one": "{{ nodes.one.body }}", "two": "{{ nodes.two.body }}"}
    nodes = [MANUAL, get("one", web.url("/one")), get("two", web.url("/two")), result(seen)]
    return programs.write(flow(nodes, ["start > one", "one > two", "two > end"]))


def test_nodes_that_succeeded_are_not_run_again_and_the_rest_sees_what_they_gave(
    programs: Programs, site: Site, web: Web
) -> None:
    path = one_then_two(programs, web)
    site.broken = {"/two"}
    first = programs.run(path, way="dagster")
    assert first.status == "failure"
    site.broken.clear()
    second = programs.again(path, first)

    assert second.status == "success"
    assert second.result == {"one": "/one 1", "two": "/two 2"}
    assert site.counted == {"/one": 1, "/two": 2}
    assert second.ran == {"two", "end"}
    assert second.run.parent_run_id == first.id
    assert second.statuses == dict.fromkeys(["start", "one", "two", "end"], "success")


def test_selected_nodes_are_run_again_and_see_what_the_others_gave(
    programs: Programs, site: Site, web: Web
) -> None:
    path = one_then_two(programs, web)
    first = programs.run(path, way="dagster")
    assert first.status == "success"
    second = programs.again(path, first, ["two*"])

    assert second.status == "success"
    assert second.result == {"one": "/one 1", "two": "/two 2"}
    assert site.counted == {"/one": 1, "/two": 2}
    assert second.ran == {"two", "end"}
    assert second.run.parent_run_id == first.id
    # One more time, from a run that itself executed some of it only.
    third = programs.again(path, second, ["end"])
    assert third.result == {"one": "/one 1", "two": "/two 2"}
    assert third.ran == {"end"}


def test_a_selected_part_of_a_flow_runs_alone(programs: Programs, site: Site, web: Web) -> None:
    nodes = [MANUAL, get("one", web.url("/one")), get("two", web.url("/two"))]
    path = programs.write(flow(nodes, ["start > one", "one > two"]))
    part = programs.launch(path, {}, ["*one"])

    assert part.status == "success"
    assert part.ran == {"start", "one"}
    assert site.counted == {"/one": 1}


def test_a_run_of_the_command_line_is_started_again_in_the_same_way(
    programs: Programs, site: Site, web: Web
) -> None:
    nodes = [MANUAL, get("one", web.url("/one")), get("two", web.url("/two"))]
    path = programs.write(flow(nodes, ["start > one", "one > two"]))
    site.broken = {"/two"}
    first = programs.run(path, way="cloudflow")
    site.broken.clear()

    assert programs.again(path, first).status == "success"
    assert site.counted == {"/one": 1, "/two": 2}


def test_the_event_and_the_params_stay_and_the_attempt_counts(
    programs: Programs, site: Site, web: Web
) -> None:
    seen = {"n": "{{ params.n }}", "event": "{{ trigger }}", "run": "{{ run }}"}
    nodes = [MANUAL, value("before", seen), get("bad", web.url("/")), result(seen)]
    edges = ["start > before", "before > bad", "bad > end"]
    path = programs.write(flow(nodes, edges, params=params(n={"type": "integer"})))
    site.broken = {"/"}
    first = programs.run(path, {"n": 5}, way="dagster")
    second = programs.again(path, first)
    assert second.status == "failure"
    site.broken.clear()
    third = programs.again(path, second)

    before, after = third.output("before"), third.result
    assert after["n"] == 5
    assert after["event"] == before["event"]
    assert before["run"]["attempt"] == 1
    assert after["run"]["attempt"] == 3
    assert after["run"]["started_at"] == before["run"]["started_at"]
    assert after["run"]["flow"] == path.stem
    assert third.ran == {"bad", "end"}


def test_a_branch_that_was_not_taken_stays_so(programs: Programs, site: Site, web: Web) -> None:
    nodes = [
        MANUAL,
        if_("ask", "{{ false }}"),
        get("yes", web.url("/yes")),
        get("no", web.url("/no")),
        get("bad", web.url("/bad")),
        result("{{ input.body }}"),
    ]
    edges = [
        "start > ask",
        "ask.true > yes",
        "ask.false > no",
        "no > bad",
        "yes > end",
        "bad > end",
    ]
    path = programs.write(flow(nodes, edges))
    site.broken = {"/bad"}
    first = programs.run(path, way="dagster")
    site.broken.clear()
    second = programs.again(path, first)

    assert second.result == "/bad 2"
    assert second.statuses["yes"] == "skipped"
    assert site.counted == {"/no": 1, "/bad": 2}


def test_a_failure_that_was_caught_is_not_tried_again(
    programs: Programs, site: Site, web: Web
) -> None:
    nodes = [
        MANUAL,
        get("caught", web.url("/caught")),
        get("goes_on", web.url("/goes_on"), on_error="continue"),
        get("bad", web.url("/bad")),
        result({"caught": "{{ input.caught.code }}", "continued": "{{ nodes.goes_on }}"}),
    ]
    edges = [
        "start > caught",
        "caught.error > end",
        "start > goes_on",
        "goes_on > bad",
        "bad > end",
    ]
    path = programs.write(flow(nodes, edges))
    site.broken = {"/caught", "/goes_on", "/bad"}
    first = programs.run(path, way="dagster")
    assert first.statuses["end"] == "not_run"
    site.broken.clear()
    second = programs.again(path, first)

    assert second.status == "success"
    assert second.result == {"caught": "HttpStatus", "continued": None}
    assert site.counted == {"/caught": 1, "/goes_on": 1, "/bad": 2}


@pytest.mark.parametrize("concurrency", [1, 4])
def test_items_that_succeeded_are_not_run_again(
    programs: Programs, site: Site, web: Web, concurrency: int
) -> None:
    nodes = [
        MANUAL,
        loop("each", ["a", "b", "c", "d"], concurrency=concurrency),
        get("ask", web.url("/{{ item }}")),
        result("{{ nodes.each }}"),
    ]
    path = programs.write(flow(nodes, ["start > each", "each.item > ask", "each.done > end"]))
    site.broken = {"/c"}
    first = programs.run(path, way="dagster")
    assert first.status == "failure"
    succeeded = {p for p in site.counted if p != "/c"}
    site.broken.clear()
    second = programs.again(path, first)

    assert second.status == "success"
    assert second.result["count"] == 4
    assert second.result["errors"] == []
    assert [r["body"] for r in second.result["results"]] == ["/a 1", "/b 1", "/c 2", "/d 1"]
    assert site.counted == {"/a": 1, "/b": 1, "/c": 2, "/d": 1}
    assert {"/a", "/b"} <= succeeded


def test_in_an_item_that_failed_the_nodes_that_succeeded_are_not_run_again(
    programs: Programs, site: Site, web: Web
) -> None:
    nodes = [
        MANUAL,
        loop("each", ["a", "b"]),
        get("one", web.url("/one/{{ item }}")),
        get("two", web.url("/two/{{ item }}")),
        result("{{ nodes.each.results.body }}"),
    ]
    edges = ["start > each", "each.item > one", "one > two", "each.done > end"]
    path = programs.write(flow(nodes, edges))
    site.broken = {"/two/b"}
    first = programs.run(path, way="dagster")
    site.broken.clear()
    second = programs.again(path, first)

    assert second.result == ["/two/a 1", "/two/b 2"]
    assert site.counted == {"/one/a": 1, "/one/b": 1, "/two/a": 1, "/two/b": 2}


def test_in_nested_loops_only_the_inner_item_that_failed_runs_again(
    programs: Programs, site: Site, web: Web
) -> None:
    nodes = [
        MANUAL,
        loop("outer", [1, 2]),
        loop("inner", ["a", "b"]),
        get("ask", web.url("/{{ loops.outer.item }}{{ item }}")),
        result("{{ nodes.outer.results.results.body }}"),
    ]
    edges = ["start > outer", "outer.item > inner", "inner.item > ask", "outer.done > end"]
    path = programs.write(flow(nodes, edges))
    site.broken = {"/2a"}
    first = programs.run(path, way="dagster")
    assert first.status == "failure"
    site.broken.clear()
    second = programs.again(path, first)

    assert second.result == ["/1a 1", "/1b 1", "/2a 2", "/2b 1"]
    assert site.counted == {"/1a": 1, "/1b": 1, "/2a": 2, "/2b": 1}


def test_a_loop_that_succeeded_with_errors_is_not_run_again(
    programs: Programs, site: Site, web: Web
) -> None:
    nodes = [
        MANUAL,
        loop("each", ["a", "b"], on_item_error="collect"),
        get("ask", web.url("/{{ item }}")),
        get("bad", web.url("/bad")),
        result("{{ nodes.each.errors.index }}"),
    ]
    edges = ["start > each", "each.item > ask", "each.done > bad", "bad > end"]
    path = programs.write(flow(nodes, edges))
    site.broken = {"/b", "/bad"}
    first = programs.run(path, way="dagster")
    site.broken.clear()
    second = programs.again(path, first)

    assert second.result == 1
    assert site.counted == {"/a": 1, "/b": 1, "/bad": 2}


def test_of_more_than_500_items_only_those_that_failed_run_again(
    programs: Programs, site: Site, web: Web
) -> None:
    """A range of items is one step; those of it that succeeded are left out all the same."""
    nodes = [
        MANUAL,
        loop("each", list(range(1002)), concurrency=1),
        if_("special", "{{ item < 2 }}"),
        get("ask", web.url("/{{ item }}")),
        value("number", "{{ item }}"),
        result({"count": "{{ nodes.each.count }}", "errors": "{{ nodes.each.errors }}"}),
    ]
    edges = [
        "start > each",
        "each.item > special",
        "special.true > ask",
        "special.false > number",
        "each.done > end",
    ]
    path = programs.write(flow(nodes, edges))
    site.broken = {"/1"}
    first = programs.run(path, way="dagster")
    assert first.status == "failure"
    assert "each__item[0_1]" in first.ran
    site.broken.clear()
    second = programs.again(path, first)

    assert second.status == "success"
    assert second.result == {"count": 1002, "errors": []}
    assert site.counted == {"/0": 1, "/1": 2}
