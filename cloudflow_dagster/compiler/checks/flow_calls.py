"""Flows that a flow calls, or starts when it fails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cloudflow_dagster.compiler.checks.trigger_params import unfilled
from cloudflow_dagster.compiler.config_fit import Holes, by_place, located
from cloudflow_dagster.compiler.fitting import Misfit, find_misfits
from cloudflow_dagster.compiler.graph import Vertex
from cloudflow_dagster.compiler.json_types import is_object, is_schema
from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.diagnostics.model import Rule, did_you_mean
from cloudflow_dagster.diagnostics.wording import shortened
from cloudflow_dagster.nodes.spec import Behaviour

UNKNOWN_FLOW = Rule(
    code="CF5005",
    title="A flow calls one that does not exist",
    explanation=(
        "`flow` of `flow.call` is the id of a flow of the same project: its `id`, or the name of "
        "its file in `flows/` without `.json`."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "tidy", "type": "flow.call", "config": {"flow": "tidy_upp", "params": {"days": 3}}}
]}""",
    right="""{"version": 1, "nodes": [
  {"id": "tidy", "type": "flow.call", "config": {"flow": "tidy_up", "params": {"days": 3}}}
]}""",
)
UNFIT_CALL = Rule(
    code="CF5006",
    title="A flow is called with params that do not fit",
    explanation=(
        "`params` of `flow.call` must fit the `params` of the called flow: all that are required "
        "and have no default, none that it does not have, values of the right types."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "tidy", "type": "flow.call", "config": {"flow": "tidy_up", "params": {"days": "three"}}}
]}""",
    right="""{"version": 1, "nodes": [
  {"id": "tidy", "type": "flow.call", "config": {"flow": "tidy_up", "params": {"days": 3}}}
]}""",
)


def literal_call(vertex: Vertex) -> str | None:
    """Return the id of the flow that a node calls, if it is written out."""
    flow = vertex.node.config.get("flow")
    if not vertex.behaves(Behaviour.CALL) or not isinstance(flow, str) or "{{" in flow:
        return None
    return flow


def check_flow_calls(subject: Subject) -> None:
    """Report calls of flows that do not exist, and params that do not fit the called flow's."""
    if subject.siblings is None:
        return
    for vertex in subject.graph.configured():
        called = literal_call(vertex)
        if called is None:
            continue
        sibling = subject.siblings.get(called)
        if sibling is None:
            at = subject.graph.at(vertex, "config", "flow")
            message = f"There is no flow `{shortened(called)}`."
            suggestion = subject.did_you_mean(called, subject.siblings.ids())
            subject.found.add(UNKNOWN_FLOW, at, message, suggestion)
        elif sibling.flow is not None:
            _check_params(subject, vertex, called, sibling.flow.params or {})


def _check_params(subject: Subject, vertex: Vertex, called: str, schema: Mapping[str, Any]) -> None:
    params = vertex.node.config.get("params")
    if params is None:
        params = {}
    if not is_object(params) or any(e.field == "params" for e in subject.graph.into[vertex.id]):
        return
    for name in unfilled(schema, params):
        place = ("config", "params") if "params" in vertex.node.config else ("config",)
        message = f"The flow `{called}` needs the param `{shortened(name)}`."
        subject.found.add(UNFIT_CALL, subject.graph.at(vertex, *place), message)
    for name, suggestion in _unknown(params, schema):
        at = subject.graph.at(vertex, "config", "params", name)
        message = f"The flow `{called}` has no param `{shortened(name)}`."
        subject.found.add(UNFIT_CALL, at, message, suggestion)
    holes = Holes(by_place(subject.texts), subject.knowledge, vertex, ("params",))
    for problem in find_misfits(params, schema, holes):
        if problem.path and problem.misfit is not Misfit.MISSING:
            at = located(subject.graph, vertex, problem, "params")
            subject.found.add(UNFIT_CALL, at, problem.message, problem.suggestion)


def _unknown(
    given: Mapping[str, Any], schema: Mapping[str, Any]
) -> Iterator[tuple[str, str | None]]:
    """Yield the params that a flow does not have, with suggestions, if it says which it has."""
    if schema.keys() & {"additionalProperties", "patternProperties", "allOf", "anyOf", "$ref"}:
        return
    properties = schema.get("properties")
    known: list[str] = list(properties) if is_schema(properties) else []
    for name in given:
        if name not in known:
            yield name, did_you_mean(name, known)
