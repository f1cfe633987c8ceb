"""Expressions that read nodes which they cannot see."""

from __future__ import annotations

from cloudflow_dagster.compiler.graph import Graph
from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.diagnostics.model import Location, Rule
from cloudflow_dagster.diagnostics.wording import shortened

UNKNOWN_NODE = Rule(
    code="CF4005",
    title="An expression reads a node that does not exist",
    explanation="`nodes.<id>` is what the node with this id gave, in the same flow.",
    wrong="""{"version": 1, "nodes": [
  {"id": "volumes", "type": "aws.ec2.describe_volumes"},
  {"id": "ids", "type": "generic.transform",
   "config": {"value": "{{ nodes.volume.Volumes.VolumeId }}"}}
], "edges": [{"source": "volumes", "target": "ids"}]}""",
    right="""{"version": 1, "nodes": [
  {"id": "volumes", "type": "aws.ec2.describe_volumes"},
  {"id": "ids", "type": "generic.transform",
   "config": {"value": "{{ nodes.volumes.Volumes.VolumeId }}"}}
], "edges": [{"source": "volumes", "target": "ids"}]}""",
)
NOT_UPSTREAM = Rule(
    code="CF4006",
    title="An expression reads a node that does not come before",
    explanation=(
        "Edges alone make order. A node can read another only if a way of edges leads from that "
        "one to it; else it might not have run yet."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "volumes", "type": "aws.ec2.describe_volumes"},
  {"id": "ids", "type": "generic.transform",
   "config": {"value": "{{ nodes.volumes.Volumes.VolumeId }}"}}
]}""",
    right="""{"version": 1, "nodes": [
  {"id": "volumes", "type": "aws.ec2.describe_volumes"},
  {"id": "ids", "type": "generic.transform",
   "config": {"value": "{{ nodes.volumes.Volumes.VolumeId }}"}}
], "edges": [{"source": "volumes", "target": "ids"}]}""",
)
INSIDE_LOOP = Rule(
    code="CF4007",
    title="An expression reads a node of a loop's body from outside",
    explanation=(
        "A node in a loop's body runs once for each item, so outside there is no one value of it. "
        "The loop itself gives `{results, errors, count}`, with one result for each item."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "each", "type": "logic.loop", "config": {"items": [1, 2]}},
  {"id": "work", "type": "generic.transform", "config": {"value": "{{ item * 2 }}"}},
  {"id": "report", "type": "flow.result", "config": {"value": "{{ nodes.work }}"}}
], "edges": [{"source": "each", "source_port": "item", "target": "work"},
             {"source": "each", "source_port": "done", "target": "report"}]}""",
    right="""{"version": 1, "nodes": [
  {"id": "each", "type": "logic.loop", "config": {"items": [1, 2]}},
  {"id": "work", "type": "generic.transform", "config": {"value": "{{ item * 2 }}"}},
  {"id": "report", "type": "flow.result", "config": {"value": "{{ nodes.each.results }}"}}
], "edges": [{"source": "each", "source_port": "item", "target": "work"},
             {"source": "each", "source_port": "done", "target": "report"}]}""",
)


def check_node_reads(subject: Subject) -> None:
    """Report nodes that do not exist, do not come before, or are in a loop's body."""
    graph = subject.graph
    for text, _, read in subject.reads_of("nodes"):
        if text.vertex is None or not read.path or not isinstance(read.path[0], str):
            continue
        id, reader, at = read.path[0], text.vertex.id, text.place(read.offset)
        if id not in graph.vertices:
            message = f"There is no node `{shortened(id)}`."
            at = text.place(read.offsets[0])
            subject.found.add(UNKNOWN_NODE, at, message, subject.did_you_mean(id, graph.vertices))
        elif text.vertex.trigger or reader in graph.doubtful:
            continue
        elif id == reader:
            message = f"`{id}` cannot read what it gives itself."
            suggestion = "In `until` and `compensate` that is `output`."
            subject.found.add(NOT_UPSTREAM, at, message, suggestion)
        elif (loop := _closed_loop(graph, id, reader)) is not None:
            message = f"`{id}` is in the body of the loop `{loop}`; outside it cannot be read."
            suggestion = f"`nodes.{loop}.results` holds what the body gave for each item."
            subject.found.add(INSIDE_LOOP, at, message, suggestion)
        elif not graph.upstream(id, reader):
            _report_order(subject, id, reader, at)
        elif id in graph.around[reader]:
            message = f"The loop `{id}` gives nothing before its body, with this node, is done."
            suggestion = "The item that this is about is `item`."
            subject.found.add(NOT_UPSTREAM, at, message, suggestion)


def _closed_loop(graph: Graph, id: str, reader: str) -> str | None:
    """Return the outermost loop around a node that is not around its reader too."""
    around = graph.around[reader]
    return next((loop for loop in graph.around[id] if loop not in around), None)


def _report_order(subject: Subject, id: str, reader: str, at: Location) -> None:
    graph = subject.graph
    if graph.upstream(reader, id):
        message = f"`{id}` comes after `{reader}`, which cannot read it."
        subject.found.add(NOT_UPSTREAM, at, message)
        return
    home = graph.around[reader][len(graph.around[id]) :]
    target = home[0] if home else reader
    message = f"`{id}` does not come before `{reader}`."
    suggestion = f"Add an edge from `{id}` to `{target}`, or to something before it."
    subject.found.add(NOT_UPSTREAM, at, message, suggestion)
