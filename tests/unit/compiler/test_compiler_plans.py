"""What a flow compiles to, compared with plans that people have read.

`python tests/unit/compiler/test_compiler_plans.py` writes the plans anew; read them before you
commit them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from cloudflow_dagster.compiler.graph import DEEPEST
from cloudflow_dagster.compiler.pipeline import compile_flow
from cloudflow_dagster.compiler.planning import as_data
from cloudflow_dagster.flow.model import Flow
from cloudflow_dagster.nodes.spec import Behaviour
from cloudflow_dagster.plan import Plan

FIXTURES = Path(__file__).parents[2] / "fixtures" / "plans"
FLOWS = sorted(FIXTURES.glob("*.flow.json"))


def written(path: Path) -> str:
    """Return the plan of a flow as it is kept beside it."""
    flow = Flow.model_validate_json(path.read_text("utf-8"))
    plan = compile_flow(flow.model_copy(update={"id": path.name.split(".")[0]}))
    return json.dumps(as_data(plan), indent=2, ensure_ascii=False) + "\n"


def kept(path: Path) -> Path:
    return path.with_name(path.name.replace(".flow.", ".plan."))


@pytest.mark.parametrize("path", FLOWS, ids=lambda path: path.name.split(".")[0])
def test_a_flow_compiles_to_the_plan_that_is_kept(path: Path) -> None:
    assert written(path) == kept(path).read_text("utf-8")


@pytest.mark.parametrize("path", FLOWS, ids=lambda path: path.name.split(".")[0])
def test_a_plan_survives_being_written_and_read(path: Path) -> None:
    plan = compile_flow(Flow.model_validate_json(path.read_text("utf-8")))
    assert Plan.model_validate_json(plan.model_dump_json()) == plan
    assert Plan.model_validate(as_data(plan)) == plan


def test_the_deepest_nest_of_loops_survives_too() -> None:
    loops = [f"l{number}" for number in range(DEEPEST)]
    deep: object = "x"
    for _ in range(90):
        deep = [deep]
    flow = {
        "version": 1,
        "nodes": [
            *({"id": id, "type": "logic.loop", "config": {"items": [1]}} for id in loops),
            {"id": "work", "type": "generic.transform", "config": {"value": deep}},
        ],
        "edges": [
            {"source": loop, "target": target}
            for loop, target in zip(loops, [*loops[1:], "work"], strict=True)
        ],
    }
    plan = compile_flow(Flow.model_validate(flow))
    assert plan.step("work").loops == tuple(loops)
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


def test_a_disabled_loop_is_a_plain_step_and_its_body_ordinary_ones() -> None:
    plan = compile_flow(Flow.model_validate_json((FIXTURES / "disabled.flow.json").read_text()))
    each = plan.step("each")
    assert (each.behaviour, each.disabled, each.first_port) == (Behaviour.PLAIN, True, "item")
    assert (each.body, each.ends) == ((), ())
    assert plan.step("work").loops == ()


def test_an_expression_that_reads_all_nodes_reads_all_that_lie_upstream() -> None:
    flow = {
        "version": 1,
        "nodes": [
            {"id": "a", "type": "generic.transform", "config": {"value": 1}},
            {"id": "b", "type": "generic.transform", "config": {"value": 1}},
            {"id": "c", "type": "generic.transform", "config": {"value": "{{ $keys(nodes) }}"}},
            {"id": "d", "type": "generic.transform", "config": {"value": 1}},
        ],
        "edges": [{"source": "a", "target": "b"}, {"source": "b", "target": "c"}],
    }
    assert compile_flow(Flow.model_validate(flow)).step("c").reads == ("a", "b")


if __name__ == "__main__":
    for one in FLOWS:
        kept(one).write_text(written(one), "utf-8")
        sys.stdout.write(f"{kept(one)}\n")
