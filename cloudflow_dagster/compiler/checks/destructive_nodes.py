"""Nodes that do something harmful by their nature."""

from __future__ import annotations

from cloudflow_dagster.compiler.graph import Vertex
from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.diagnostics.model import Rule, Severity

DESTRUCTIVE_NODE = Rule(
    code="CF3008",
    title="A node does something that is harmful by its nature",
    explanation=(
        "The node deletes, terminates or empties something, or opens it to the world. That may "
        "well be meant, so only a strict check speaks of it: for a review, or where a flow must do "
        "no such thing. `cloudflow nodes show` tells which node types are destructive."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "stop", "type": "aws.ec2.terminate_instances",
   "config": {"InstanceIds": ["i-0123456789abcdef0"]}}
]}""",
    right="""{"version": 1, "nodes": [
  {"id": "stop", "type": "aws.ec2.stop_instances",
   "config": {"InstanceIds": ["i-0123456789abcdef0"]}}
]}""",
    severity=Severity.WARNING,
    strict=True,
)


def check_destructive_nodes(subject: Subject) -> None:
    """Report the nodes whose type or config says that they do harm."""
    graph = subject.graph
    for vertex in graph.vertices.values():
        if harm := _harm_of(vertex):
            message = f"`{vertex.id}` ({vertex.node.type}) is destructive: {harm}"
            subject.found.add(DESTRUCTIVE_NODE, graph.at(vertex, "type"), message)
    for undoing in graph.undoing.values():
        compensate = graph.vertices[undoing.id].node.compensate
        # What certainly undoes a node takes away what that has made, and nothing else.
        if compensate and compensate.type is not None and (harm := _harm_of(undoing)):
            message = (
                f"`{undoing.id}` is undone by `{compensate.type}`, which is destructive: {harm}"
            )
            subject.found.add(DESTRUCTIVE_NODE, graph.at(undoing, "type"), message)


def _harm_of(vertex: Vertex) -> str | None:
    if vertex.type is None or vertex.node.disabled:
        return None
    return vertex.type.destructive_for(vertex.node.config)
