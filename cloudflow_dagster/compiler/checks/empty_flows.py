"""Flows that do nothing."""

from __future__ import annotations

from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.diagnostics.model import Rule, Severity

EMPTY_FLOW = Rule(
    code="CF2014",
    title="The flow has no nodes",
    explanation="A flow without nodes is valid, but a run of it does nothing.",
    wrong="""{"version": 1, "nodes": []}""",
    right="""{"version": 1, "nodes": [{"id": "start", "type": "trigger.manual"}]}""",
    severity=Severity.WARNING,
)


def check_empty_flows(subject: Subject) -> None:
    """Report a flow without nodes."""
    if not subject.graph.flow.nodes:
        at = subject.graph.place("nodes")
        suggestion = "Add a node, such as `trigger.manual`."
        subject.found.add(EMPTY_FLOW, at, "The flow has no nodes.", suggestion)
