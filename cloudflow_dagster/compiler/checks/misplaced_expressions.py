"""Expressions where they mean nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cloudflow_dagster.compiler.graph import Vertex
from cloudflow_dagster.compiler.json_types import is_list, is_object
from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.diagnostics.model import Location, Rule
from cloudflow_dagster.diagnostics.wording import shortened
from cloudflow_dagster.expressions.template import has_expression

MISPLACED = Rule(
    code="CF4020",
    title="An expression stands where none can be",
    explanation=(
        "Expressions can stand in the texts of a node's `config`, in `region`, in `until` and in "
        "the key of `concurrency`. Names of fields, names of credentials and the names of a "
        "switch's cases are needed before anything runs, so they are written out."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "pair", "type": "generic.transform", "config": {"value": {"{{ params.key }}": 1}}}
], "params": {"type": "object", "properties": {"key": {"type": "string", "default": "a"}}}}""",
    right="""{"version": 1, "nodes": [
  {"id": "pair", "type": "generic.transform", "config": {"value": "{{ {params.key: 1} }}"}}
], "params": {"type": "object", "properties": {"key": {"type": "string", "default": "a"}}}}""",
)


def check_misplaced_expressions(subject: Subject) -> None:
    """Report expressions in field names, credentials and names of cases."""
    for vertex in subject.graph.configured():
        if vertex.type is None or vertex.node.disabled:
            continue
        credential = vertex.node.credential
        if credential is not None and has_expression(credential) and not vertex.undoes:
            at = subject.graph.at(vertex, "credential")
            message = "The name of a credential must be written out."
            subject.found.add(MISPLACED, at, message)
        for path in _keys(vertex):
            at = subject.graph.at(vertex, "config", *path)
            at = Location(at.file, at.pointer, at.node, on_key=True)
            message = f"The name of a field cannot be an expression: `{shortened(str(path[-1]))}`."
            suggestion = "Let one expression make the whole object."
            subject.found.add(MISPLACED, at, message, suggestion)
    _check_cases(subject)


def _check_cases(subject: Subject) -> None:
    for text in subject.texts:
        vertex = text.vertex
        if vertex is None or vertex.node.type != "logic.switch" or text.path[:1] != ("cases",):
            continue
        if len(text.path) <= 2 or text.path[2:] == ("name",):  # noqa: PLR2004 - cases, index, name
            message = "The ports of a switch are the names of its cases, which must be written out."
            suggestion = "Only `when` can hold an expression."
            subject.found.add(MISPLACED, text.at, message, suggestion)


def _keys(vertex: Vertex) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of each field whose name holds an expression, but for literal fields."""
    waiting: list[tuple[tuple[str | int, ...], Any]] = [((), vertex.node.config)]
    while waiting:
        path, value = waiting.pop()
        if is_object(value):
            for key, child in value.items():
                here = (*path, key)
                if has_expression(key):
                    yield here
                waiting.append((here, child))
        elif is_list(value):
            waiting += [((*path, n), child) for n, child in enumerate(value)]
