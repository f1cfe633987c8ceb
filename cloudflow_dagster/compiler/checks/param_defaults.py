"""Defaults of the flow's params."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cloudflow_dagster.compiler.fitting import find_misfits
from cloudflow_dagster.compiler.json_types import is_schema
from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.diagnostics.model import Rule
from cloudflow_dagster.diagnostics.wording import shortened

BAD_DEFAULT = Rule(
    code="CF5001",
    title="A param's default does not fit the param",
    explanation="A default is used like a value that was given, so it must be one that fits.",
    wrong="""{"version": 1, "nodes": [{"id": "start", "type": "trigger.manual"}],
"params": {"type": "object", "properties": {"keep": {"type": "integer", "default": "7"}}}}""",
    right="""{"version": 1, "nodes": [{"id": "start", "type": "trigger.manual"}],
"params": {"type": "object", "properties": {"keep": {"type": "integer", "default": 7}}}}""",
)


def check_param_defaults(subject: Subject) -> None:
    """Report defaults that do not fit; that the schema itself is valid is known already."""
    params = subject.graph.flow.params or {}
    properties: Mapping[str, Any] = params.get("properties", {})
    for name, schema in properties.items():
        if not is_schema(schema) or "default" not in schema:
            continue
        placed = {"$defs": params.get("$defs", {}), **schema}
        for problem in find_misfits(schema["default"], placed):
            at = subject.graph.place("params", "properties", name, "default", *problem.path)
            message = problem.message.replace("It ", f"The default of `{shortened(name)}` ", 1)
            subject.found.add(BAD_DEFAULT, at, message, problem.suggestion)
