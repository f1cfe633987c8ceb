"""Parts of the flow format that this version does not run yet."""

from __future__ import annotations

from cloudflow_dagster.compiler.graph import Vertex
from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.diagnostics.model import Rule, Severity
from cloudflow_dagster.nodes.spec import Kind

_PLAIN = """{"version": 1, "nodes": [{"id": "start", "type": "trigger.manual"}]}"""
ARCHITECTURE = Rule(
    code="CF9006",
    title="Architecture mode is not supported yet",
    explanation="Cloud resources that are planned, applied and kept come in a later version.",
    wrong="""{"version": 1, "mode": "architecture", "nodes": [{"id": "start",
   "type": "trigger.manual"}]}""",
    right=_PLAIN,
)
LAYOUT = Rule(
    code="CF9007",
    title="Positions beside the flow are not read yet",
    explanation=(
        "`flows/.layout/` will hold the positions of nodes for the canvas. This version reads "
        "them from the nodes' own `position`."
    ),
    wrong="""{"version": 1, "id": "arranged", "nodes": [{"id": "start",
   "type": "trigger.manual"}]}""",
    right=_PLAIN,
    severity=Severity.WARNING,
)
RESOURCE = Rule(
    code="CF9008",
    title="Cloud resources as nodes are not supported yet",
    explanation="A node type that stands for a resource to be kept belongs to architecture mode.",
    wrong="""{"version": 1, "nodes": [{"id": "files", "type": "example.bucket"}]}""",
    right="""{"version": 1, "nodes": [{"id": "files", "type": "aws.s3.create_bucket",
   "config": {"Bucket": "files"}}]}""",
)


def check_not_supported(subject: Subject) -> None:
    """Report what is valid but cannot be run yet."""
    flow, graph, found = subject.graph.flow, subject.graph, subject.found
    if flow.mode == "architecture":
        found.add(ARCHITECTURE, graph.place("mode"), "Architecture mode is not supported yet.")
    if subject.project is not None and graph.id is not None:
        layout = subject.project.flows / ".layout" / f"{graph.id}.json"
        if layout.exists():
            found.add(LAYOUT, graph.place(), f"`.layout/{graph.id}.json` is not read yet.")
    for vertex in graph.vertices.values():
        if not vertex.node.disabled:
            _check_node(subject, vertex)


def _check_node(subject: Subject, vertex: Vertex) -> None:
    graph, found = subject.graph, subject.found
    if vertex.type is not None and vertex.type.kind is Kind.RESOURCE:
        message = f"`{vertex.node.type}` is a cloud resource, which is not supported yet."
        found.add(RESOURCE, graph.at(vertex, "type"), message)
