"""Starting a failed run again: nothing that succeeded is done twice, and its values are seen."""

from __future__ import annotations

from typing import Any

from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.plan import Plan
from cloudflow_dagster.runtime.loops import close_loop, open_loop, run_range
from cloudflow_dagster.runtime.record import RecordKey
from cloudflow_dagster.runtime.step import Ending, execute_step
from cloudflow_dagster.runtime.summary import summarise


class Cloud:
    """Fails at some items until it is repaired, and remembers what was done."""

    def __init__(self, *broken: Any) -> None:
        self.broken = set(broken)
        self.done: list[Any] = []

    def __call__(self, call: Any, config: dict[str, Any]) -> Any:
        item = config["item"]
        if item in self.broken:
            raise NodeError("Down", f"{item} is down.")
        self.done.append(item)
        return f"made {item}"


def loop_plan(stage: Any, **config: Any) -> Plan:
    return stage.plan(
        {"id": "make", "config": {"value": ["a", "b", "c"]}},
        {"id": "each", "type": "logic.loop", "config": {"items": "{{ nodes.make }}", **config}},
        {"id": "first", "config": {"item": "{{ item }}"}},
        {"id": "second", "config": {"item": "{{ nodes.first }}"}},
        {"id": "after", "config": {"value": "{{ nodes.each.results }}"}},
        edges=["make -> each", "each.item -> first", "first -> second", "each.done -> after"],
    )


def resume(stage: Any, plan: Plan, log: Any, line: Any, *nodes: str) -> Any:
    """Execute some nodes again, as the engine does after a resumption."""
    run = stage.run(plan, f"r{len(line)}", line)
    for id in nodes:
        execute_step(run, plan.step(id), 1, log)
    return run


def test_items_and_body_nodes_that_succeeded_are_not_run_again(stage: Any, log: Any) -> None:
    first, second = Cloud(), Cloud("made b")
    stage.on |= {"first": first, "second": second}
    plan = loop_plan(stage, concurrency=1)
    played = stage.play(plan, "r0")
    assert played.summary["status"] == "failure"
    assert (first.done, second.done) == (["a", "b"], ["made a"])
    second.broken.clear()
    line = [("r0", frozenset({"each", "after"}), True)]
    run = resume(stage, plan, log, line, "each", "after")
    # Item a was done, and of item b the first node; c had not begun.
    assert first.done == ["a", "b", "c"]
    assert second.done == ["made a", "made b", "made c"]
    summary = summarise(plan, run.records)
    assert summary["status"] == "success"
    expected = ["made made a", "made made b", "made made c"]
    assert summary["nodes"]["after"]["output"] == expected
    assert summary["nodes"]["second"]["status"] == "success"


def test_a_resumption_may_fail_and_be_resumed_too(stage: Any, log: Any) -> None:
    cloud = Cloud("b", "c")
    stage.on |= {"first": cloud, "second": Cloud()}
    plan = loop_plan(stage, concurrency=1)
    stage.play(plan, "r0")
    cloud.broken = {"c"}
    nodes = frozenset({"each", "after"})
    run = resume(stage, plan, log, [("r0", nodes, True)], "each")
    assert summarise(plan, run.records)["nodes"]["each"]["status"] == "failure"
    cloud.broken = set()
    line = [("r1", nodes, True), ("r0", nodes, True)]
    run = resume(stage, plan, log, line, "each", "after")
    assert cloud.done == ["a", "b", "c"]
    assert summarise(plan, run.records)["nodes"]["after"]["output"] == [
        "made made a",
        "made made b",
        "made made c",
    ]


def test_the_items_of_the_first_run_are_kept(stage: Any, log: Any) -> None:
    cloud = Cloud("b")
    stage.on |= {"first": cloud, "second": Cloud()}
    lists = iter([["a", "b"], ["x", "y", "z"]])
    stage.on["make"] = lambda call, config: next(lists)
    plan = loop_plan(stage, concurrency=1)
    stage.play(plan, "r0")
    cloud.broken = set()
    run = resume(stage, plan, log, [("r0", None, True)], "make", "each")
    assert cloud.done == ["a", "b"]
    output = summarise(plan, run.records)["nodes"]["each"]["output"]
    assert output["results"] == ["made made a", "made made b"]


def test_doing_a_loop_again_on_purpose_does_everything_again(stage: Any, log: Any) -> None:
    cloud = Cloud()
    stage.on |= {"first": cloud, "second": Cloud()}
    plan = loop_plan(stage)
    stage.play(plan, "r0")
    resume(stage, plan, log, [("r0", frozenset({"each"}), False)], "each")
    assert sorted(cloud.done) == ["a", "a", "b", "b", "c", "c"]


def test_with_collect_the_failed_items_alone_are_tried_again(stage: Any, log: Any) -> None:
    cloud = Cloud("b")
    stage.on |= {"first": cloud, "second": Cloud()}
    plan = loop_plan(stage, on_item_error="collect")
    stage.play(plan, "r0")
    cloud.broken = set()
    run = resume(stage, plan, log, [("r0", frozenset({"each"}), True)], "each")
    assert sorted(cloud.done) == ["a", "b", "c"]
    assert summarise(plan, run.records)["nodes"]["each"]["output"]["errors"] == []


def test_the_engine_resumes_the_failed_range_and_the_end_alone(stage: Any, log: Any) -> None:
    """Dagster keeps the opened loop and the ranges that succeeded."""
    cloud = Cloud("b")
    stage.on |= {"first": cloud, "second": Cloud()}
    plan = loop_plan(stage)
    step = plan.step("each")
    run = stage.run(plan, "r0")
    execute_step(run, plan.step("make"), 1, log)
    first, second, third = open_loop(run, step, log)
    results = [run_range(run, step, r, lambda *_: log) for r in (first, third, second)]
    assert [r.failed for r in results] == [False, False, True]
    cloud.broken = set()
    run = stage.run(plan, "r1", [("r0", frozenset({"each", "after"}), True)])
    assert not run_range(run, step, second, lambda *_: log).failed
    done = close_loop(run, step, log)
    assert done.ending is Ending.OK
    execute_step(run, plan.step("after"), 1, log)
    assert summarise(plan, run.records)["nodes"]["after"]["output"] == [
        "made made a",
        "made made b",
        "made made c",
    ]
    assert sorted(cloud.done) == ["a", "b", "c"]


def test_nested_loops_are_gone_on_with_too(stage: Any, log: Any) -> None:
    cloud = Cloud("y2")
    stage.on["body"] = cloud
    plan = stage.plan(
        {"id": "outer", "type": "logic.loop", "config": {"items": ["x", "y"], "concurrency": 1}},
        {
            "id": "inner",
            "type": "logic.loop",
            "config": {"items": "{{ [item & '1', item & '2'] }}", "concurrency": 1},
        },
        {"id": "body", "config": {"item": "{{ item }}"}},
        edges=["outer.item -> inner", "inner.item -> body"],
    )
    stage.play(plan, "r0")
    assert cloud.done == ["x1", "x2", "y1"]
    cloud.broken = set()
    run = resume(stage, plan, log, [("r0", frozenset({"outer"}), True)], "outer")
    assert cloud.done == ["x1", "x2", "y1", "y2"]
    output = summarise(plan, run.records)["nodes"]["outer"]["output"]
    assert [r["results"] for r in output["results"]] == [
        ["made x1", "made x2"],
        ["made y1", "made y2"],
    ]


def test_a_failure_that_was_caught_in_an_item_is_not_done_again(stage: Any, log: Any) -> None:
    """Its cure has run: trying it again could have both go on."""
    risky, cure, last = Cloud("a"), Cloud(), Cloud("a")
    stage.on |= {"risky": risky, "cure": cure, "last": last}
    config = {"item": "{{ item }}"}
    plan = stage.plan(
        {"id": "each", "type": "logic.loop", "config": {"items": ["a"]}},
        {"id": "risky", "config": config},
        {"id": "fine", "config": config},
        {"id": "cure", "config": config},
        {"id": "last", "config": config},
        edges=["each.item -> risky", "risky -> fine", "risky.error -> cure", "cure -> last"],
    )
    stage.play(plan, "r0")
    risky.broken = last.broken = set()
    run = resume(stage, plan, log, [("r0", frozenset({"each"}), True)], "each")
    assert (risky.done, cure.done, last.done) == ([], ["a"], ["a"])
    assert stage.called("fine") == 0
    assert summarise(plan, run.records)["status"] == "success"


def test_nodes_that_are_not_run_again_give_what_they_gave(stage: Any, log: Any) -> None:
    cloud = Cloud("x")
    stage.on |= {"b": cloud}
    plan = stage.plan(
        {"id": "a", "config": {"value": {"id": "vol-1"}}},
        {"id": "b", "config": {"item": "x"}},
        {"id": "c", "config": {"value": "{{ [nodes.a.id, nodes.b, run.attempt] }}"}},
        edges=["a -> b", "b -> c"],
    )
    stage.play(plan, "r0")
    cloud.broken = set()
    run = resume(stage, plan, log, [("r0", frozenset({"b", "c"}), True)], "b", "c")
    assert summarise(plan, run.records)["nodes"]["c"]["output"] == ["vol-1", "made x", 2]
    assert stage.called("a") == 1


def test_a_node_that_is_executed_again_is_not_taken_from_before(stage: Any) -> None:
    plan = stage.plan({"id": "a", "config": {"value": 1}})
    stage.play(plan, "r0")
    run = stage.run(plan, "r1", [("r0", None, False)])
    assert run.records.read(RecordKey("a")) is None
    assert summarise(plan, run.records)["nodes"]["a"]["status"] == "not_run"
