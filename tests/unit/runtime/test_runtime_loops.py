"""Every sentence of "Loops"."""

from __future__ import annotations

import threading
from itertools import pairwise
from typing import Any

import pytest

from cloudflow_dagster.nodes.errors import Canceled, NodeError
from cloudflow_dagster.runtime.loops import (
    ItemRange,
    close_loop,
    concurrency_of,
    open_loop,
    ranges_of,
    run_range,
)
from cloudflow_dagster.runtime.records import RecordKey, SqliteRecords
from cloudflow_dagster.runtime.step import Ending, StepFailed, execute_step
from cloudflow_dagster.runtime.summary import summarise


def loop(id: str = "each", **config: Any) -> dict[str, Any]:
    return {"id": id, "type": "logic.loop", "config": config}


def fails_at(*indices: int, code: str = "Boom") -> Any:
    def work(call: Any, config: dict[str, Any]) -> Any:
        if config["index"] in indices:
            raise NodeError(code, f"No {config['index']}.", provider_request_id="r")
        return config.get("value")

    return work


INDEXED = {"value": "{{ item }}", "index": "{{ index }}"}


def test_the_body_runs_once_for_each_item_and_done_carries_the_results(stage: Any) -> None:
    played = stage.flow(
        {"id": "make", "config": {"value": [10, 20, 30]}},
        loop(items="{{ nodes.make }}"),
        {"id": "double", "config": {"value": "{{ item * 2 + index }}"}},
        {"id": "after", "config": {"value": "{{ nodes.each }}"}},
        edges=["make -> each", "each.item -> double", "each.done -> after"],
    )
    expected = {"results": [20, 41, 62], "errors": [], "count": 3}
    assert played.output("each") == expected
    assert played.output("after") == expected
    assert next(c for c in stage.calls if c.node == "after").call.input == expected
    assert played.nodes["double"] == {
        "status": "success",
        "output": None,
        "error": None,
        "attempts": 1,
    }


@pytest.mark.parametrize(
    ("items", "seen"),
    [
        ("{{ nodes.make.nothing }}", []),
        (None, []),
        ("{{ nodes.make.none }}", []),
        ([], []),
        ("{{ nodes.make.one }}", [{"x": 1}]),
        ("text", ["text"]),
        ([[1], [2]], [[1], [2]]),
        (["{{ nodes.make.nothing }}", 5], [5]),
    ],
)
def test_items_that_are_absent_are_none_and_a_single_value_is_a_list_of_one(
    stage: Any, items: Any, seen: list[Any]
) -> None:
    stage.on["make"] = lambda call, config: {"none": None, "one": {"x": 1}}
    played = stage.flow(
        {"id": "make"},
        loop(items=items),
        {"id": "body", "config": {"value": "{{ item }}"}},
        edges=["make -> each", "each.item -> body"],
    )
    assert played.output("each") == {"results": seen, "errors": [], "count": len(seen)}
    assert played.statuses["body"] == ("success" if seen else "skipped")


def test_items_may_be_fed_by_an_edge(stage: Any) -> None:
    stage.on["make"] = lambda call, config: {"a": [1, 2]}
    played = stage.flow(
        {"id": "make"},
        loop(),
        {"id": "body", "config": {"value": "{{ item }}"}},
        edges=["make.a -> each.items", "each.item -> body"],
    )
    assert played.output("each")["results"] == [1, 2]


def test_batches(stage: Any) -> None:
    stage.on["body"] = fails_at(1)
    played = stage.flow(
        loop(items=[1, 2, 3, 4, 5], batch_size=2, on_item_error="collect"),
        {"id": "body", "config": INDEXED},
        edges=["each.item -> body"],
    )
    output = played.output("each")
    assert output["results"] == [[1, 2], None, [5]]
    assert output["count"] == 3
    assert [error["index"] for error in output["errors"]] == [1]


class TestResults:
    def test_collect_lists_errors_and_the_loop_succeeds(self, stage: Any) -> None:
        stage.on["body"] = fails_at(1, 3)
        played = stage.flow(
            loop(items=list("abcde"), on_item_error="collect"),
            {"id": "body", "config": INDEXED},
            {"id": "after"},
            edges=["each.item -> body", "each.done -> after"],
        )
        assert played.summary["status"] == "success"
        assert played.output("each") == {
            "results": ["a", None, "c", None, "e"],
            "errors": [
                {"index": 1, "node": "body", "code": "Boom", "message": "No 1."},
                {"index": 3, "node": "body", "code": "Boom", "message": "No 3."},
            ],
            "count": 5,
        }
        assert played.statuses["body"] == "failure"
        assert played.error("body")["message"] == "No 1."

    def test_a_skipped_end_gives_null(self, stage: Any) -> None:
        played = stage.flow(
            loop(items=[1, 2, 3]),
            {"id": "big", "type": "logic.if", "config": {"condition": "{{ item > 1 }}"}},
            {"id": "end", "config": {"value": "{{ item }}"}},
            edges=["each.item -> big", "big.true -> end"],
        )
        assert played.output("each")["results"] == [None, 2, 3]

    def test_several_ends_give_an_object_of_those_that_ran(self, stage: Any) -> None:
        played = stage.flow(
            loop(items=[1, 2]),
            {"id": "big", "type": "logic.if", "config": {"condition": "{{ item > 1 }}"}},
            {"id": "yes", "config": {"value": "y"}},
            {"id": "no", "config": {"value": "n"}},
            {"id": "also", "config": {"value": "{{ item }}"}},
            edges=["each.item -> big", "big.true -> yes", "big.false -> no", "each.item -> also"],
        )
        assert played.output("each")["results"] == [{"no": "n", "also": 1}, {"yes": "y", "also": 2}]

    def test_a_condition_that_is_the_end_gives_what_came_in(self, stage: Any) -> None:
        played = stage.flow(
            loop(items=[1, 2]),
            {"id": "last", "type": "logic.if", "config": {"condition": "{{ item > 1 }}"}},
            edges=["each.item -> last"],
        )
        assert played.output("each")["results"] == [1, 2]

    def test_an_end_that_failed_and_continues_gives_null(self, stage: Any) -> None:
        stage.on["body"] = fails_at(0)
        played = stage.flow(
            loop(items=["a", "b"]),
            {"id": "body", "config": INDEXED, "on_error": "continue"},
            edges=["each.item -> body"],
        )
        assert played.output("each") == {"results": [None, "b"], "errors": [], "count": 2}

    def test_an_error_that_is_caught_in_the_body_is_none_of_the_loops(self, stage: Any) -> None:
        stage.on["body"] = fails_at(0)
        played = stage.flow(
            loop(items=["a", "b"]),
            {"id": "body", "config": INDEXED},
            {"id": "cure", "config": {"value": "{{ input.message }}"}},
            edges=["each.item -> body", "body.error -> cure"],
        )
        assert played.summary["status"] == "success"
        assert played.output("each")["results"] == ["No 0.", None]
        assert played.output("each")["errors"] == []

    def test_a_loop_without_a_body_gives_nulls(self, stage: Any) -> None:
        from cloudflow_dagster.plan import Plan

        plan = stage.plan(loop(items=[1, 2]), {"id": "body"}, edges=["each.item -> body"])
        data = plan.model_dump()
        data["steps"][0].update(body=(), ends=(), ports=())
        played = stage.play(Plan.model_validate(data))
        assert played.output("each") == {"results": [None, None], "errors": [], "count": 2}

    def test_large_results_keep_every_digit(self, stage: Any) -> None:
        text = "x" * 40_000
        played = stage.flow(
            {"id": "make", "config": {"value": [{"n": 2**70, "t": text}]}},
            loop(items="{{ nodes.make }}"),
            {"id": "body", "config": {"value": "{{ item }}"}},
            edges=["make -> each", "each.item -> body"],
        )
        assert played.output("each")["results"] == [{"n": 2**70, "t": text}]


class TestFail:
    def test_the_loop_fails_and_no_new_iteration_starts(self, stage: Any) -> None:
        stage.on["body"] = fails_at(2)
        played = stage.flow(
            loop(items=list(range(50)), concurrency=1),
            {"id": "body", "config": INDEXED},
            {"id": "after"},
            edges=["each.item -> body", "each.done -> after"],
        )
        assert stage.called("body") == 3
        assert played.summary["status"] == "failure"
        assert played.statuses == {"each": "failure", "body": "failure", "after": "not_run"}
        assert played.error("each") == {
            "node": "each",
            "code": "Boom",
            "message": "Item 2 failed in `body`: No 2.",
            "provider_request_id": "r",
            "attempts": 1,
        }

    def test_those_that_run_finish(self, stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        running = threading.Barrier(3, timeout=10)
        stopped = threading.Event()
        stop_loop = SqliteRecords.stop_loop

        def stop(records: SqliteRecords, key: RecordKey) -> None:
            stop_loop(records, key)
            stopped.set()

        monkeypatch.setattr(SqliteRecords, "stop_loop", stop)

        def work(call: Any, config: dict[str, Any]) -> Any:
            running.wait()
            if config["index"] == 0:
                raise NodeError("Boom", "No.")
            assert stopped.wait(10)
            return "finished"

        stage.on["body"] = work
        played = stage.flow(
            loop(items=list(range(9)), concurrency=3),
            {"id": "body", "config": INDEXED},
            edges=["each.item -> body"],
        )
        records = played.run.records
        assert stage.called("body") == 3
        assert records.tally("body", "each", 1).statuses == {"success": 2, "failure": 1}

    def test_the_loops_error_port_catches_it(self, stage: Any) -> None:
        stage.on["body"] = fails_at(1)
        played = stage.flow(
            loop(items=[1, 2]),
            {"id": "body", "config": INDEXED},
            {"id": "cure", "config": {"value": "{{ input }}"}},
            {"id": "after"},
            edges=["each.item -> body", "each.error -> cure", "each.done -> after"],
        )
        assert played.summary["status"] == "success"
        assert played.output("cure")["node"] == "each"
        assert played.output("cure")["code"] == "Boom"
        assert played.statuses["after"] == "skipped"

    def test_on_error_continue_of_the_loop(self, stage: Any) -> None:
        stage.on["body"] = fails_at(1)
        played = stage.flow(
            {**loop(items=[1, 2]), "on_error": "continue"},
            {"id": "body", "config": INDEXED},
            {"id": "after", "config": {"value": "{{ nodes.each = null }}"}},
            edges=["each.item -> body", "each.done -> after"],
        )
        assert played.summary["status"] == "success"
        assert played.output("after") is True

    def test_items_that_cannot_be_evaluated_fail_the_loop(self, stage: Any) -> None:
        played = stage.flow(
            loop(items="{{ $error('no items') }}"), {"id": "body"}, edges=["each.item -> body"]
        )
        assert played.error("each")["code"] == "ExpressionError"
        assert played.statuses == {"each": "failure", "body": "not_run"}

    def test_a_body_node_after_a_failure_is_not_run(self, stage: Any) -> None:
        stage.on["first"] = fails_at(0)
        played = stage.flow(
            loop(items=[1]),
            {"id": "first", "config": INDEXED},
            {"id": "second"},
            {"id": "beside"},
            edges=["each.item -> first", "first -> second", "each.item -> beside"],
        )
        assert played.statuses["second"] == "not_run"
        assert played.statuses["beside"] == "success"


class TestExpressions:
    def test_a_body_sees_the_nodes_of_its_own_iteration(self, stage: Any) -> None:
        played = stage.flow(
            {"id": "outside", "config": {"value": 100}},
            loop(items=[1, 2, 3]),
            {"id": "first", "config": {"value": "{{ item * 10 }}"}},
            {"id": "second", "config": {"value": "{{ nodes.first + nodes.outside + input }}"}},
            edges=["outside -> each", "each.item -> first", "first -> second"],
        )
        assert played.output("each")["results"] == [120, 140, 160]

    def test_what_comes_into_the_body_is_the_item(self, stage: Any) -> None:
        played = stage.flow(
            loop(items=["a"]),
            {"id": "b", "config": {"value": "{{ input }}"}},
            edges=["each.item -> b"],
        )
        assert played.output("each")["results"] == ["a"]

    def test_nested_loops_see_all_items(self, stage: Any) -> None:
        text = "{{ [loops.outer.item, loops.outer.index, loops.inner.item, item, index] }}"
        played = stage.flow(
            loop("outer", items=["a", "b"]),
            loop("inner", items="{{ [item & '1', item & '2'] }}"),
            {"id": "body", "config": {"value": text}},
            edges=["outer.item -> inner", "inner.item -> body"],
        )
        assert played.output("outer")["results"] == [
            {
                "results": [[o, i, f"{o}{n + 1}", f"{o}{n + 1}", n] for n in range(2)],
                "errors": [],
                "count": 2,
            }
            for i, o in enumerate("ab")
        ]


class TestNested:
    def test_a_nested_loops_body_is_no_end_of_the_outer_one(self, stage: Any) -> None:
        played = stage.flow(
            loop("outer", items=[1, 2]),
            loop("inner", items="{{ [item, item * 10] }}"),
            {"id": "body", "config": {"value": "{{ item }}"}},
            {"id": "end", "config": {"value": "{{ $sum(nodes.inner.results) }}"}},
            edges=["outer.item -> inner", "inner.item -> body", "inner.done -> end"],
        )
        assert played.output("outer")["results"] == [11, 22]

    def test_three_deep_with_concurrency_of_their_own(self, stage: Any) -> None:
        played = stage.flow(
            loop("l1", items=[1, 2], concurrency=2),
            loop("l2", items="{{ [item, item] }}", concurrency=2),
            loop("l3", items="{{ [item, item, item] }}", concurrency=3),
            {"id": "body", "config": {"value": "{{ item }}"}},
            edges=["l1.item -> l2", "l2.item -> l3", "l3.item -> body"],
        )
        inner = [[r["results"] for r in o["results"]] for o in played.output("l1")["results"]]
        assert inner == [[[1, 1, 1]] * 2, [[2, 2, 2]] * 2]
        assert stage.called("body") == 12

    def test_an_inner_failure_fails_the_outer_item(self, stage: Any) -> None:
        stage.on["body"] = fails_at(1)
        played = stage.flow(
            loop("outer", items=["a"], on_item_error="collect"),
            loop("inner", items=[1, 2]),
            {"id": "body", "config": INDEXED},
            edges=["outer.item -> inner", "inner.item -> body"],
        )
        assert played.output("outer")["errors"] == [
            {
                "index": 0,
                "node": "inner",
                "code": "Boom",
                "message": "Item 1 failed in `body`: No 1.",
            }
        ]
        assert played.statuses["inner"] == "failure"

    def test_stopping_an_inner_loop_stops_it_for_one_outer_item_alone(self, stage: Any) -> None:
        stage.on["body"] = lambda call, config: _fail_if(config["outer"] == 0)
        played = stage.flow(
            loop("outer", items=[0, 1], on_item_error="collect", concurrency=1),
            loop("inner", items=[1, 2, 3], concurrency=1),
            {"id": "body", "config": {"outer": "{{ loops.outer.item }}"}},
            edges=["outer.item -> inner", "inner.item -> body"],
        )
        assert stage.called("body") == 4
        assert played.output("outer")["results"][1]["count"] == 3


def _fail_if(wrong: bool) -> None:
    if wrong:
        raise NodeError("Boom", "No.")


def test_iterations_run_at_the_same_time_up_to_the_concurrency(stage: Any) -> None:
    lock = threading.Lock()
    running = 0
    most = 0
    together = threading.Barrier(4, timeout=10)

    def work(call: Any, config: Any) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait()
        with lock:
            running -= 1

    stage.on["body"] = work
    stage.flow(
        loop(items=list(range(8)), concurrency=4), {"id": "body"}, edges=["each.item -> body"]
    )
    assert most == 4


def test_retries_happen_inside_the_iteration(stage: Any) -> None:
    tried: dict[int, int] = {}

    def work(call: Any, config: dict[str, Any]) -> Any:
        tried[config["index"]] = tried.get(config["index"], 0) + 1
        if tried[config["index"]] < 3:
            raise NodeError("Busy", "Later.")
        return "ok"

    stage.on["body"] = work
    played = stage.flow(
        loop(items=[1, 2]),
        {"id": "body", "config": INDEXED, "retry": {"max_attempts": 3, "delay": 0.01}},
        edges=["each.item -> body"],
    )
    assert played.output("each")["results"] == ["ok", "ok"]
    assert played.nodes["body"]["attempts"] == 3


def test_a_loop_that_nothing_came_into_is_skipped_with_its_body(stage: Any) -> None:
    played = stage.flow(
        {"id": "way", "type": "test.pick", "config": {"port": "left"}},
        loop(items=[1]),
        {"id": "body"},
        {"id": "after"},
        edges=["way.right -> each", "each.item -> body", "each.done -> after"],
    )
    assert set(played.statuses.values()) == {"success", "skipped"}
    assert played.statuses["body"] == "skipped"


def test_lines_of_body_steps_say_which_item_they_are_of(stage: Any) -> None:
    stage.on["body"] = lambda call, config: call.log.info("working")
    played = stage.flow(
        loop("outer", items=["a"]),
        loop("inner", items=["x", "y"], concurrency=1),
        {"id": "body"},
        edges=["outer.item -> inner", "inner.item -> body"],
    )
    assert "info: body[0, 1]: working" in played.log.lines


def test_stopping_the_run_ends_a_loop_soon(stage: Any) -> None:
    stop = threading.Event()

    def work(call: Any, config: dict[str, Any]) -> None:
        stop.set()
        call.sleep(60)

    stage.on["body"] = work
    plan = stage.plan(loop(items=list(range(100))), {"id": "body"}, edges=["each.item -> body"])
    with pytest.raises(Canceled):
        stage.play(plan, "stopped", stop=stop)
    assert stage.called("body") <= 10


class TestParts:
    """The three parts in which the engine executes a loop."""

    @pytest.mark.parametrize("count", [0, 1, 499, 500, 501, 1000, 1234, 1_000_000])
    def test_ranges_are_contiguous_and_at_most_500(self, count: int) -> None:
        ranges = ranges_of(count)
        assert len(ranges) == min(count, 500)
        assert sum(r.last - r.first + 1 for r in ranges) == count
        assert all(a.last + 1 == b.first for a, b in pairwise(ranges))
        sizes = {r.last - r.first + 1 for r in ranges}
        assert not sizes or max(sizes) - min(sizes) <= 1
        assert [ItemRange.of(r.key) for r in ranges] == ranges

    def test_open_run_and_close(self, stage: Any, log: Any) -> None:
        plan = stage.plan(
            loop(items="{{ [1..1200] }}", concurrency=7),
            {"id": "body", "config": {"value": "{{ item }}"}},
            edges=["each.item -> body"],
        )
        run = stage.run(plan)
        step = plan.step("each")
        ranges = open_loop(run, step, log)
        assert len(ranges) == 500
        assert concurrency_of(run, step) == 7
        for each in reversed(ranges):
            # A range may be executed in another process: another run object on the same records.
            other = stage.run(plan, run.id)
            assert not run_range(other, step, each, lambda *_: log).failed
        done = close_loop(run, step, log)
        assert done.ending is Ending.OK
        assert done.record.output["results"] == list(range(1, 1201))

    def test_a_failure_stops_the_ranges_of_other_processes(self, stage: Any, log: Any) -> None:
        stage.on["body"] = fails_at(0)
        plan = stage.plan(
            loop(items=[1, 2, 3]), {"id": "body", "config": INDEXED}, edges=["each.item -> body"]
        )
        run = stage.run(plan)
        step = plan.step("each")
        first, second, _ = open_loop(run, step, log)
        result = run_range(run, step, first, lambda *_: log)
        assert result.failed
        assert result.errors == [{"index": 0, "node": "body", "code": "Boom", "message": "No 0."}]
        other = stage.run(plan, run.id)
        result = run_range(other, step, second, lambda *_: log)
        assert result.failed
        assert result.stopped
        assert result.errors == []
        assert stage.called("body") == 1
        # Dagster does not come to close the loop then: its record is there all the same.
        assert summarise(plan, run.records)["nodes"]["each"]["status"] == "failure"

    def test_a_failure_that_is_caught_leaves_the_closing_to_the_engine(
        self, stage: Any, log: Any
    ) -> None:
        stage.on["body"] = fails_at(0)
        plan = stage.plan(
            loop(items=[1, 2]),
            {"id": "body", "config": INDEXED},
            {"id": "cure"},
            edges=["each.item -> body", "each.error -> cure"],
        )
        run = stage.run(plan)
        step = plan.step("each")
        for each in open_loop(run, step, log):
            assert not run_range(run, step, each, lambda *_: log).failed
        done = close_loop(run, step, log)
        assert done.ending is Ending.CAUGHT
        assert done.record.ports == ("error",)

    def test_collect_never_fails_a_range(self, stage: Any, log: Any) -> None:
        stage.on["body"] = fails_at(0, 1)
        plan = stage.plan(
            loop(items=[1, 2], on_item_error="collect"),
            {"id": "body", "config": INDEXED},
            edges=["each.item -> body"],
        )
        run = stage.run(plan)
        step = plan.step("each")
        results = [run_range(run, step, r, lambda *_: log) for r in open_loop(run, step, log)]
        assert [(r.failed, len(r.errors)) for r in results] == [(False, 1), (False, 1)]
        assert close_loop(run, step, log).ending is Ending.OK

    def test_items_that_fail_end_the_opening(self, stage: Any, log: Any) -> None:
        plan = stage.plan(
            loop(items="{{ $error('no') }}"), {"id": "body"}, edges=["each.item -> body"]
        )
        run = stage.run(plan)
        with pytest.raises(StepFailed, match="ExpressionError"):
            open_loop(run, plan.step("each"), log)
        caught = stage.plan(
            loop(items="{{ $error('no') }}"),
            {"id": "body"},
            {"id": "cure"},
            edges=["each.item -> body", "each.error -> cure"],
        )
        run = stage.run(caught)
        assert open_loop(run, caught.step("each"), log) == []
        assert close_loop(run, caught.step("each"), log).ending is Ending.CAUGHT

    def test_a_loop_that_is_skipped_or_pinned_has_no_ranges(self, stage: Any, log: Any) -> None:
        plan = stage.plan(
            {"id": "way", "type": "test.pick", "config": {"port": "left"}},
            loop(items=[1]),
            {**loop("other", items=[1]), "pin": {"results": [], "errors": [], "count": 0}},
            {"id": "body"},
            {"id": "body2"},
            edges=["way.right -> each", "each.item -> body", "other.item -> body2"],
        )
        run = stage.run(plan, pinned=True)
        execute_step(run, plan.step("way"), 1, log)
        assert open_loop(run, plan.step("each"), log) == []
        assert close_loop(run, plan.step("each"), log).ending is Ending.SKIPPED
        assert open_loop(run, plan.step("other"), log) == []
        assert close_loop(run, plan.step("other"), log).ending is Ending.OK

    def test_items_that_never_ended_are_not_taken_for_success(self, stage: Any, log: Any) -> None:
        plan = stage.plan(loop(items=[1, 2]), {"id": "body"}, edges=["each.item -> body"])
        run = stage.run(plan)
        first, _ = open_loop(run, plan.step("each"), log)
        run_range(run, plan.step("each"), first, lambda *_: log)
        done = close_loop(run, plan.step("each"), log)
        assert done.ending is Ending.FAILED
        assert done.record.error is not None
        assert done.record.error["code"] == "Incomplete"

    def test_running_a_range_again_does_not_repeat_what_succeeded(
        self, stage: Any, log: Any
    ) -> None:
        plan = stage.plan(
            loop(items="{{ [1..1000] }}"),
            {"id": "body", "config": {"value": "{{ item }}"}},
            edges=["each.item -> body"],
        )
        run = stage.run(plan)
        ranges = open_loop(run, plan.step("each"), log)
        for _ in range(2):
            run_range(run, plan.step("each"), ranges[3], lambda *_: log)
        assert stage.called("body") == 2
