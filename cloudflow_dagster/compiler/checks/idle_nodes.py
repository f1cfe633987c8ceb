"""Nodes and loops that do nothing."""

from __future__ import annotations

from cloudflow_dagster.compiler.graph import Graph, Link
from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.diagnostics.model import Rule, Severity

NEVER_RUNS = Rule(
    code="CF2017",
    title="A node can never run",
    explanation=(
        "Every edge into the node comes from something that is disabled and does not deliver: a "
        "disabled trigger does not start, and of any other disabled node only the first output "
        "port goes on."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "start", "type": "trigger.manual", "disabled": true},
  {"id": "volumes", "type": "aws.ec2.describe_volumes"}
], "edges": [{"source": "start", "target": "volumes"}]}""",
    right="""{"version": 1, "nodes": [
  {"id": "start", "type": "trigger.manual"},
  {"id": "volumes", "type": "aws.ec2.describe_volumes"}
], "edges": [{"source": "start", "target": "volumes"}]}""",
    severity=Severity.WARNING,
)
EMPTY_LOOP = Rule(
    code="CF2018",
    title="A loop has no body",
    explanation=(
        "The body of a loop is what hangs on its `item` port. An edge without a `source_port` "
        "leaves from the first port, which is `item`; what comes after the loop hangs on `done`."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "each", "type": "logic.loop", "config": {"items": [1, 2]}},
  {"id": "work", "type": "generic.transform", "config": {"value": 1}}
], "edges": [{"source": "each", "source_port": "done", "target": "work"}]}""",
    right="""{"version": 1, "nodes": [
  {"id": "each", "type": "logic.loop", "config": {"items": [1, 2]}},
  {"id": "work", "type": "generic.transform", "config": {"value": 1}}
], "edges": [{"source": "each", "source_port": "item", "target": "work"}]}""",
    severity=Severity.WARNING,
)


def check_idle_nodes(subject: Subject) -> None:
    """Report what will do nothing: the first node of each stretch that never runs, empty loops."""
    graph = subject.graph
    dead: set[str] = set()
    for id in graph.order:
        links, vertex = graph.into[id], graph.vertices[id]
        if id in graph.doubtful:
            continue
        if links and not any(_delivers(link, dead) for link in links):
            dead.add(id)
            if not vertex.node.disabled and not _hangs_on(dead, links):
                message = f"`{id}` never runs: nothing that leads to it can deliver."
                subject.found.add(NEVER_RUNS, graph.at(vertex), message)
        if vertex.loop and not _has_body(graph, id):
            message = f"Nothing hangs on `item` of the loop `{id}`."
            subject.found.add(EMPTY_LOOP, graph.at(vertex), message)


def _has_body(graph: Graph, loop: str) -> bool:
    """Return whether an edge leaves from `item`, or may be meant to."""
    return any(
        link.enters_loop or link.port is None or link.target is None
        for link in graph.links
        if link.edge.source == loop and not link.edge.disabled
    )


def _delivers(link: Link, dead: set[str]) -> bool:
    source = link.source
    if source is None or source.id in dead:
        return False
    if not source.node.disabled or link.port is None:
        return True
    return not source.trigger and link.port is source.outputs[0]


def _hangs_on(dead: set[str], links: tuple[Link, ...]) -> bool:
    return any(link.source is not None and link.source.id in dead for link in links)
