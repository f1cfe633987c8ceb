"""Edges from or to nodes that do not exist."""

from __future__ import annotations

from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.diagnostics.model import Rule

UNKNOWN_END = Rule(
    code="CF2001",
    title="An edge names a node that does not exist",
    explanation=(
        "`source` and `target` of an edge are ids of nodes of the same flow. "
        "Disabled edges are held to this too, so that they can be enabled again."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "start", "type": "trigger.manual"},
  {"id": "volumes", "type": "aws.ec2.describe_volumes"}
], "edges": [{"source": "start", "target": "volume"}]}""",
    right="""{"version": 1, "nodes": [
  {"id": "start", "type": "trigger.manual"},
  {"id": "volumes", "type": "aws.ec2.describe_volumes"}
], "edges": [{"source": "start", "target": "volumes"}]}""",
)


def check_edge_ends(subject: Subject) -> None:
    """Report each end of an edge that is not a node."""
    graph = subject.graph
    for link in graph.links:
        ends = (
            ("source", link.edge.source, link.source),
            ("target", link.edge.target, link.target),
        )
        for field, given, vertex in ends:
            if vertex is None:
                message = f"There is no node `{given}`."
                suggestion = subject.did_you_mean(given, graph.vertices)
                subject.found.add(UNKNOWN_END, graph.at_edge(link, field), message, suggestion)
