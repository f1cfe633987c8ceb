"""Containers that nodes are drawn in."""

from __future__ import annotations

from collections.abc import Mapping

from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.diagnostics.model import Rule

UNKNOWN_PARENT = Rule(
    code="CF2012",
    title="A node's parent does not exist",
    explanation="`parent` is the id of the node of the same flow that this one is drawn in.",
    wrong="""{"version": 1, "nodes": [
  {"id": "network", "type": "aws.ec2.describe_vpcs"},
  {"id": "volumes", "type": "aws.ec2.describe_volumes", "parent": "netwrok"}
]}""",
    right="""{"version": 1, "nodes": [
  {"id": "network", "type": "aws.ec2.describe_vpcs"},
  {"id": "volumes", "type": "aws.ec2.describe_volumes", "parent": "network"}
]}""",
)
CYCLIC_PARENT = Rule(
    code="CF2013",
    title="A node is drawn in itself",
    explanation=(
        "A node lies in its parent, which may lie in a parent of its own, and so on; this must "
        "not lead back to the node."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "network", "type": "aws.ec2.describe_vpcs", "parent": "volumes"},
  {"id": "volumes", "type": "aws.ec2.describe_volumes", "parent": "network"}
]}""",
    right="""{"version": 1, "nodes": [
  {"id": "network", "type": "aws.ec2.describe_vpcs"},
  {"id": "volumes", "type": "aws.ec2.describe_volumes", "parent": "network"}
]}""",
)


def check_parents(subject: Subject) -> None:
    """Report parents that do not exist, and each circle of them once."""
    graph = subject.graph
    parents = {id: v.node.parent for id, v in graph.vertices.items() if v.node.parent is not None}
    for id, parent in parents.items():
        if parent not in graph.vertices:
            at = graph.at(graph.vertices[id], "parent")
            message = f"There is no node `{parent}`."
            subject.found.add(
                UNKNOWN_PARENT, at, message, subject.did_you_mean(parent, graph.vertices)
            )
    for id in _closing(parents):
        at = graph.at(graph.vertices[id], "parent")
        subject.found.add(CYCLIC_PARENT, at, f"The parents of `{id}` lead back to itself.")


def _closing(parents: Mapping[str, str]) -> list[str]:
    """Return one node of each circle."""
    settled: set[str] = set()
    found: list[str] = []
    for start in parents:
        way: dict[str, None] = {}
        id: str | None = start
        while id is not None and id not in settled and id not in way:
            way[id] = None
            id = parents.get(id)
        if id is not None and id in way:
            found.append(id)
        settled.update(way)
    return found
