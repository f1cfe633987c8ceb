"""Node types that the catalogue does not have."""

from __future__ import annotations

from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.diagnostics.model import Rule
from cloudflow_dagster.diagnostics.wording import shortened

UNKNOWN_TYPE = Rule(
    code="CF1011",
    title="A node has a type that the catalogue does not have",
    explanation=(
        "`type` names what the node does: `aws.<service>.<operation>` for every operation of AWS, "
        "or one of the types of `cloudflow nodes list`. Find one with `cloudflow nodes search`. "
        "Types of a package that is not installed are unknown too."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "volumes", "type": "aws.ec2.describe_volume"}
]}""",
    right="""{"version": 1, "nodes": [
  {"id": "volumes", "type": "aws.ec2.describe_volumes"}
]}""",
)
_SUGGESTIONS = 50
"""For so many unknown types of a flow a similar one is sought, which takes 50 ms each."""


def check_node_types(subject: Subject) -> None:
    """Report unknown node types, disabled nodes included: their ports are needed all the same."""
    suggestions: dict[str, str | None] = {}
    for vertex in subject.graph.configured():
        if vertex.type is None:
            given = vertex.node.type
            message = f"There is no node type `{shortened(given)}`."
            at = subject.graph.at(vertex, "type")
            if given not in suggestions and len(suggestions) < _SUGGESTIONS:
                suggestions[given] = subject.registry.suggest(given)
            subject.found.add(UNKNOWN_TYPE, at, message, suggestions.get(given))
