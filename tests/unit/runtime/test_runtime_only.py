"""Running one node alone."""

from __future__ import annotations

from typing import Any

import pytest

from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.plan import Plan
from cloudflow_dagster.runtime.only import check_only
from cloudflow_dagster.runtime.step import execute_step
from cloudflow_dagster.runtime.summary import summarise


def plan_of(stage: Any, **pins: Any) -> Plan:
    nodes = [
        {"id": "start", "type": "trigger.manual"},
        {"id": "a", "config": {"value": "from a"}},
        {"id": "b", "config": {"value": "from b"}},
        {"id": "c", "config": {"value": "{{ [nodes.a, nodes.b, trigger.payload.size] }}"}},
        {"id": "d"},
    ]
    for node in nodes:
        if node["id"] in pins:
            node["pin"] = pins[str(node["id"])]
    return stage.plan(*nodes, edges=["start -> a", "a -> b", "b -> c", "c -> d"])


def alone(stage: Any, plan: Plan, log: Any, only: str, lineage: Any = ()) -> dict[str, Any]:
    run = stage.run(plan, "alone", lineage, only=only)
    check_only(plan, only, run.records)
    execute_step(run, plan.step(only), 1, log)
    return summarise(plan, run.records, only=only)


def test_inputs_come_from_pins(stage: Any, log: Any) -> None:
    summary = alone(stage, plan_of(stage, a="pinned a", b="pinned b"), log, "c")
    assert summary["nodes"]["c"]["output"] == ["pinned a", "pinned b", 3]
    statuses = {id: node["status"] for id, node in summary["nodes"].items()}
    assert statuses == {
        "start": "not_run",
        "a": "not_run",
        "b": "not_run",
        "c": "success",
        "d": "not_run",
    }
    assert summary["status"] == "success"
    assert stage.called("a") == 0


def test_or_from_an_earlier_run(stage: Any, log: Any) -> None:
    plan = plan_of(stage, b="pinned b")
    stage.play(plan, "before")
    summary = alone(stage, plan, log, "c", [("before", frozenset({"c"}), False)])
    assert summary["nodes"]["c"]["output"] == ["from a", "pinned b", 3]
    assert stage.called("a") == 1


def test_a_trigger_needs_nothing(stage: Any, log: Any) -> None:
    assert alone(stage, plan_of(stage), log, "a")["nodes"]["a"]["output"] == "from a"


def test_what_is_missing_is_said(stage: Any) -> None:
    with pytest.raises(NodeError) as caught:
        check_only(plan_of(stage), "c", stage.records("new"))
    assert caught.value.message == (
        "`c` cannot run alone: `b`, `a` have neither a pin nor an output from an earlier run. "
        "Give each a `pin`, or name a run that has them with `--from RUN`."
    )
    with pytest.raises(NodeError, match="`b` has neither"):
        check_only(plan_of(stage, a=1), "c", None)
    with pytest.raises(NodeError, match="no node `x`"):
        check_only(plan_of(stage), "x", None)


def test_a_node_that_failed_before_gives_its_error(stage: Any, log: Any) -> None:
    def work(call: Any, config: Any) -> Any:
        raise NodeError("Boom", "It broke.")

    stage.on["a"] = work
    plan = stage.plan(
        {"id": "a"},
        {"id": "cure", "config": {"value": "{{ input.code }}"}},
        {"id": "b"},
        edges=["a.error -> cure", "a -> b"],
    )
    stage.play(plan, "before")
    line = [("before", frozenset({"cure"}), False)]
    assert alone(stage, plan, log, "cure", line)["nodes"]["cure"]["output"] == "Boom"
    with pytest.raises(NodeError, match="cannot run alone"):
        check_only(plan, "b", stage.records("new", line))


def test_a_node_inside_a_loop_cannot_run_alone_but_the_loop_can(stage: Any, log: Any) -> None:
    plan = stage.plan(
        {"id": "a", "config": {"value": [1, 2]}, "pin": [7]},
        {"id": "each", "type": "logic.loop", "config": {"items": "{{ nodes.a }}"}},
        {"id": "body", "config": {"value": "{{ {'item': item, 'a': $nodes.a} }}"}},
        edges=["a -> each", "each.item -> body"],
    )
    with pytest.raises(NodeError, match="run `each` alone"):
        check_only(plan, "body", None)
    summary = alone(stage, plan, log, "each")
    assert summary["nodes"]["each"]["output"]["results"] == [{"item": 7, "a": [7]}]
    assert summary["nodes"]["body"]["status"] == "success"
