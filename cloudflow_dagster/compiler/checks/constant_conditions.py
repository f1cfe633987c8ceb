"""Conditions that are text."""

from __future__ import annotations

from collections.abc import Iterator

from cloudflow_dagster.compiler.graph import Graph, Vertex
from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.compiler.texts import strings
from cloudflow_dagster.diagnostics.model import Location, Rule, Severity
from cloudflow_dagster.expressions.template import has_expression

CONSTANT_CONDITION = Rule(
    code="CF4022",
    title="A condition is text without an expression",
    explanation=(
        "What stands outside `{{ }}` is text, and text that is not empty holds: the condition "
        "never looks at anything. Put it into `{{ }}`. A condition that is meant to be constant "
        "is `true` or `false`, without quotes."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "start", "type": "trigger.manual"},
  {"id": "again", "type": "logic.if", "config": {"condition": "run.attempt > 1"}}
], "edges": [{"source": "start", "target": "again"}]}""",
    right="""{"version": 1, "nodes": [
  {"id": "start", "type": "trigger.manual"},
  {"id": "again", "type": "logic.if", "config": {"condition": "{{ run.attempt > 1 }}"}}
], "edges": [{"source": "start", "target": "again"}]}""",
    severity=Severity.WARNING,
)


def check_constant_conditions(subject: Subject) -> None:
    """Report conditions that hold, or do not, whatever happens."""
    graph = subject.graph
    for vertex in graph.configured():
        for at, text in _plain_conditions(graph, vertex):
            always = "holds" if text else "does not hold"
            subject.found.add(
                CONSTANT_CONDITION,
                at,
                f"This condition is text, so it always {always}.",
                f"Write `{{{{ {text.strip()} }}}}`." if text.strip() else None,
            )


def _plain_conditions(graph: Graph, vertex: Vertex) -> Iterator[tuple[Location, str]]:
    node = vertex.node
    if node.disabled or vertex.type is None:
        return
    for path, text, marks in strings(node.config, vertex.type.config_schema, plain=True):
        if marks is not None and "x-lazy" in marks:
            yield graph.at(vertex, "config", *path), text
    if node.until is not None and not has_expression(node.until.condition):
        yield graph.at(vertex, "until", "condition"), node.until.condition
