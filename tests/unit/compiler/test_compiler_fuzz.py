"""Whatever somebody writes into a flow, compiling it ends with findings or a plan."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloudflow_dagster.compiler.json_types import is_list, is_object
from cloudflow_dagster.compiler.pipeline import compile_project
from cloudflow_dagster.plan import Plan
from cloudflow_dagster.project import Project, find_project

PLANS = Path(__file__).parents[2] / "fixtures" / "plans"
FLOWS: list[Any] = [json.loads(path.read_text()) for path in sorted(PLANS.glob("*.flow.json"))]
WORDS = st.sampled_from([
    "", "item", "out", "error", "in", "each", "volumes", "start", "example", "logic.loop",
    "logic.switch", "flow.call", "flow.result", "trigger.cron", "aws.ec2.describe_volumes",
    "{{ item }}", "{{ nodes.each.results[0] }}", "{{ nodes", "{{ $secret('x') }}", "x {{ input }}",
    "{{ params.env[x > index].y }}", "{{ $$ }}", "{{ loops.each.item }}", "$ref",
    "#", "\ud83d\ude80",
])  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    children: Any = ()
    if is_object(value):
        children = value.items()
    elif is_list(value):
        children = enumerate(value)
    for key, child in children:
        yield from places(child, (*path, key))


@st.composite
def broken_flows(draw: st.DrawFn) -> Any:
    flow = copy.deepcopy(draw(st.sampled_from(FLOWS)))
    for _ in range(draw(st.integers(1, 4))):
        *way, last = draw(st.sampled_from(list(places(flow))))
        parent: Any = flow
        for part in way:
            parent = parent[part]
        match draw(st.sampled_from(["replace", "remove", "add"])):
            case "replace":
                parent[last] = draw(JSON)
            case "remove":
                del parent[last]
            case _ if is_list(parent):
                parent.append(copy.deepcopy(parent[last]))
            case _:
                parent[draw(WORDS)] = draw(JSON)
    return flow


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("project")
    (folder / "flows").mkdir()
    return find_project(folder)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(flow=broken_flows())
def test_compiling_never_raises_and_plans_what_has_no_error(project: Project, flow: Any) -> None:
    (project.flows / "example.json").write_text(json.dumps(flow))
    (compiled,) = compile_project(project)
    assert (compiled.plan is None) == compiled.failed
    for diagnostic in compiled.diagnostics:
        assert diagnostic.line is not None
        assert diagnostic.message.endswith((".", "?", "…"))
    if compiled.plan is not None:
        assert Plan.model_validate_json(compiled.plan.model_dump_json()) == compiled.plan
