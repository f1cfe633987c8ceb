"""What triggers fill the flow's params with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cloudflow_dagster.compiler.config_fit import Holes, by_place, located
from cloudflow_dagster.compiler.fitting import Misfit, find_misfits
from cloudflow_dagster.compiler.graph import Vertex
from cloudflow_dagster.compiler.json_types import is_list, is_object, is_schema
from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.diagnostics.model import Rule, did_you_mean
from cloudflow_dagster.diagnostics.wording import shortened

UNFILLED_PARAM = Rule(
    code="CF5002",
    title="A trigger cannot fill a required param",
    explanation=(
        "A run that a schedule or an event starts has nobody to ask. Every required param needs a "
        "default, or a value in the `params` of each such trigger; expressions there read the "
        "event as `trigger`."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "every_night", "type": "trigger.cron", "config": {"schedule": "0 2 * * *"}}
], "params": {"type": "object", "properties": {"environment": {"type": "string"}},
   "required": ["environment"]}}""",
    right="""{"version": 1, "nodes": [
  {"id": "every_night", "type": "trigger.cron",
   "config": {"schedule": "0 2 * * *", "params": {"environment": "prod"}}}
], "params": {"type": "object", "properties": {"environment": {"type": "string"}},
   "required": ["environment"]}}""",
)
UNKNOWN_FILLED = Rule(
    code="CF5003",
    title="A trigger fills a param that the flow does not have",
    explanation="The names under a trigger's `params` are those of the flow's `params`.",
    wrong="""{"version": 1, "nodes": [
  {"id": "every_night", "type": "trigger.cron",
   "config": {"schedule": "0 2 * * *", "params": {"enviroment": "prod"}}}
], "params": {"type": "object", "properties": {"environment": {"type": "string",
   "default": "dev"}}}}""",
    right="""{"version": 1, "nodes": [
  {"id": "every_night", "type": "trigger.cron",
   "config": {"schedule": "0 2 * * *", "params": {"environment": "prod"}}}
], "params": {"type": "object", "properties": {"environment": {"type": "string",
   "default": "dev"}}}}""",
)
UNFIT_FILLED = Rule(
    code="CF5004",
    title="A trigger fills a param with a value that does not fit",
    explanation="What a trigger fills a param with must fit the param's schema.",
    wrong="""{"version": 1, "nodes": [
  {"id": "every_night", "type": "trigger.cron",
   "config": {"schedule": "0 2 * * *", "params": {"keep": "seven"}}}
], "params": {"type": "object", "properties": {"keep": {"type": "integer", "default": 7}}}}""",
    right="""{"version": 1, "nodes": [
  {"id": "every_night", "type": "trigger.cron",
   "config": {"schedule": "0 2 * * *", "params": {"keep": 8}}}
], "params": {"type": "object", "properties": {"keep": {"type": "integer", "default": 7}}}}""",
)

_BY_HAND = "trigger.manual"


def check_trigger_params(subject: Subject) -> None:
    """Compare what each trigger fills with what the flow has."""
    schema = subject.graph.flow.params or {}
    for vertex in subject.graph.vertices.values():
        if not vertex.trigger or vertex.node.disabled:
            continue
        filled = vertex.node.config.get("params")
        if filled is None or is_object(filled):
            _check_names(subject, vertex, schema, filled or {})
            if filled:
                _check_values(subject, vertex, schema, filled)


def _check_names(
    subject: Subject, vertex: Vertex, schema: Mapping[str, Any], filled: Mapping[str, Any]
) -> None:
    properties = _properties(schema)
    if vertex.node.type != _BY_HAND:
        for name in unfilled(schema, filled):
            given = "params" in vertex.node.config
            at = subject.graph.at(vertex, *(("config", "params") if given else ()))
            message = f"`{vertex.id}` does not fill the required param `{shortened(name)}`."
            suggestion = "Give the param a default, or a value in the trigger's `params`."
            subject.found.add(UNFILLED_PARAM, at, message, suggestion)
    if schema.keys() & {"additionalProperties", "patternProperties", "allOf", "anyOf", "$ref"}:
        return
    for name in filled:
        if name not in properties:
            at = subject.graph.at(vertex, "config", "params", name)
            message = f"The flow has no param `{shortened(name)}`."
            subject.found.add(UNKNOWN_FILLED, at, message, did_you_mean(name, properties))


def unfilled(schema: Mapping[str, Any], filled: Mapping[str, Any]) -> list[str]:
    """Return the required params that have neither a value nor a default."""
    properties = _properties(schema)
    required = schema.get("required")
    return [
        name
        for name in (required if is_list(required) else [])
        if isinstance(name, str) and name not in filled and not _has_default(properties.get(name))
    ]


def _has_default(schema: Any) -> bool:
    return is_schema(schema) and "default" in schema


def _properties(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    properties = schema.get("properties")
    return properties if is_schema(properties) else {}


def _check_values(
    subject: Subject, vertex: Vertex, schema: Mapping[str, Any], filled: Mapping[str, Any]
) -> None:
    holes = Holes(by_place(subject.texts), subject.knowledge, vertex, ("params",))
    known = {name: value for name, value in filled.items() if name in _properties(schema)}
    for problem in find_misfits(known, schema, holes):
        if problem.path and problem.misfit is not Misfit.MISSING:
            at = located(subject.graph, vertex, problem, "params")
            subject.found.add(UNFIT_FILLED, at, problem.message, problem.suggestion)
