"""Nodes that are undone after a failure, and what undoes them."""

from __future__ import annotations

from cloudflow_dagster.compiler.graph import Vertex
from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.diagnostics.model import Rule, Severity
from cloudflow_dagster.nodes.spec import Behaviour, Kind

NOTHING_TO_UNDO = Rule(
    code="CF2019",
    title="`compensate` is on a node that does nothing",
    explanation=(
        "`compensate` undoes what a node has done. Triggers, conditions, loops, waits and "
        "`flow.result` change nothing themselves. What the nodes of a loop's body did is undone by "
        "their own `compensate`, item by item."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "start", "type": "trigger.manual",
   "compensate": {"type": "aws.ec2.delete_volume", "config": {"VolumeId": "vol-0a1"}}}
]}""",
    right="""{"version": 1, "nodes": [
  {"id": "volume", "type": "aws.ec2.create_volume", "config": {"AvailabilityZone": "us-east-1a"},
   "compensate": {"type": "aws.ec2.delete_volume",
                  "config": {"VolumeId": "{{ output.VolumeId }}"}}}
]}""",
)
CANNOT_UNDO = Rule(
    code="CF2020",
    title="A node of this type can undo nothing",
    explanation=(
        "What `compensate` names is carried out once, with nothing after it: an operation of a "
        "cloud, `generic.*` or `flow.call`. It is no trigger, condition, loop, wait or result."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "address", "type": "aws.ec2.allocate_address",
   "compensate": {"type": "logic.wait", "config": {"seconds": 5}}}
]}""",
    right="""{"version": 1, "nodes": [
  {"id": "address", "type": "aws.ec2.allocate_address",
   "compensate": {"type": "aws.ec2.release_address",
                  "config": {"AllocationId": "{{ output.AllocationId }}"}}}
]}""",
)
NOBODY_UNDOES = Rule(
    code="CF2021",
    title="A failure undoes nothing",
    explanation=(
        "With `on_failure_compensate` a failed run is undone by what `compensate` of its nodes "
        "says, and no node of the flow has one."
    ),
    wrong="""{"version": 1, "on_failure_compensate": true, "nodes": [
  {"id": "address", "type": "aws.ec2.allocate_address"}
]}""",
    right="""{"version": 1, "on_failure_compensate": true, "nodes": [
  {"id": "address", "type": "aws.ec2.allocate_address",
   "compensate": {"type": "aws.ec2.release_address",
                  "config": {"AllocationId": "{{ output.AllocationId }}"}}}
]}""",
    severity=Severity.WARNING,
)
NO_INVERSE = Rule(
    code="CF2022",
    title="Nobody knows what undoes a node",
    explanation=(
        "`compensate` may leave out `type` where one type certainly undoes the node's own, and "
        "`config` where all that it must be given is known: from what the node gives, or from its "
        "own config, unless that is different each time (`$now()`) or comes over an edge. "
        "`cloudflow nodes show TYPE` says what undoes a type. Else both are written out."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "start", "type": "aws.ec2.start_instances", "config": {"InstanceIds": ["i-0a1"]},
   "compensate": {}}
]}""",
    right="""{"version": 1, "nodes": [
  {"id": "start", "type": "aws.ec2.start_instances", "config": {"InstanceIds": ["i-0a1"]},
   "compensate": {"type": "aws.ec2.stop_instances", "config": {"InstanceIds": ["i-0a1"]}}}
]}""",
)
_NO_WORK = {Behaviour.LOOP, Behaviour.RESULT, Behaviour.WAIT}


def check_compensations(subject: Subject) -> None:
    """Report what cannot be undone, and what cannot undo."""
    graph, found = subject.graph, subject.found
    for undoing in graph.undoing.values():
        undone = graph.vertices[undoing.id]
        if _works_not(undone):
            message = f"`{undone.id}` ({undone.node.type}) does nothing that could be undone."
            found.add(NOTHING_TO_UNDO, graph.at(undone, "compensate"), message, "Take it away.")
        if _works_not(undoing):
            message = f"`{undoing.node.type}` can undo nothing."
            found.add(CANNOT_UNDO, graph.at(undoing, "type"), message)
    for vertex in graph.vertices.values():
        if vertex.node.compensate and vertex.active and vertex.id not in graph.undoing:
            _report_unknown(subject, vertex)
    compensates = any(vertex.node.compensate for vertex in graph.vertices.values())
    if graph.flow.on_failure_compensate and not compensates:
        at = graph.place("on_failure_compensate")
        message = "No node says what undoes it, so nothing would be undone."
        found.add(NOBODY_UNDOES, at, message, "Give `compensate` to the nodes that make something.")


def _report_unknown(subject: Subject, vertex: Vertex) -> None:
    inverse = vertex.type.undone_by() if vertex.type else None
    message = f"Nothing says what undoes `{vertex.id}` ({vertex.node.type})."
    suggestion = "Write `type` and `config`."
    if inverse is not None:
        message = f"What undoes `{vertex.id}` is `{inverse.type}`, but not with which config."
        suggestion = "Write its `config`."
    at = subject.graph.at(vertex, "compensate")
    subject.found.add(NO_INVERSE, at, message, suggestion)


def _works_not(vertex: Vertex) -> bool:
    node_type = vertex.type
    if node_type is None:
        return False
    return node_type.kind not in {Kind.ACTION, Kind.RESOURCE} or node_type.behaviour in _NO_WORK
