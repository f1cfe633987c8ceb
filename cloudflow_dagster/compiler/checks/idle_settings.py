"""Settings that mean nothing for the kind of node that they are on."""

from __future__ import annotations

from collections.abc import Iterator

from cloudflow_dagster.compiler.graph import Vertex
from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.diagnostics.model import Rule, Severity
from cloudflow_dagster.nodes.spec import Behaviour, Kind

IDLE_SETTING = Rule(
    code="CF2015",
    title="A setting has no effect on this node",
    explanation=(
        "A trigger does no work that could be repeated or take too long; a loop's work is its "
        "body's, so `retry` belongs on the nodes in it; `credential` and `region` are for node "
        "types that work on an account."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "start", "type": "trigger.manual", "retry": {"max_attempts": 3}}
]}""",
    right="""{"version": 1, "nodes": [
  {"id": "start", "type": "trigger.manual"}
]}""",
    severity=Severity.WARNING,
)
NOT_REPEATABLE = Rule(
    code="CF2016",
    title="`until` is on a node that cannot be done again",
    explanation=(
        "`until` does a node's work again until a condition over its `output` holds. Triggers, "
        "conditions and loops have no such work. Put `until` on the node that asks for the state, "
        "or on a node in the loop's body."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "ready", "type": "logic.if", "config": {"condition": true},
   "until": {"condition": "{{ output.State = 'available' }}"}}
]}""",
    right="""{"version": 1, "nodes": [
  {"id": "ready", "type": "aws.ec2.describe_volumes",
   "until": {"condition": "{{ output.Volumes[0].State = 'available' }}"}}
]}""",
)


def check_idle_settings(subject: Subject) -> None:
    """Report settings that would be ignored: quietly ignoring them would be worse."""
    for vertex in subject.graph.vertices.values():
        if vertex.type is None or vertex.node.disabled:
            continue
        if vertex.node.until is not None and _cannot_repeat(vertex):
            at = subject.graph.at(vertex, "until")
            message = f"`{vertex.id}` ({vertex.node.type}) cannot be done again."
            subject.found.add(NOT_REPEATABLE, at, message)
        for field in _idle(vertex):
            at = subject.graph.at(vertex, field)
            message = f"`{field}` has no effect on `{vertex.id}` ({vertex.node.type})."
            subject.found.add(IDLE_SETTING, at, message, "Take it away.")


def _cannot_repeat(vertex: Vertex) -> bool:
    kind = vertex.type.kind if vertex.type else None
    return kind in {Kind.TRIGGER, Kind.CONDITION} or vertex.loop


def _idle(vertex: Vertex) -> Iterator[str]:
    node, node_type = vertex.node, vertex.type
    if vertex.trigger:
        if node.retry is not None:
            yield "retry"
        if node.timeout is not None:
            yield "timeout"
        if node.on_error != "fail":
            yield "on_error"
    elif vertex.behaves(Behaviour.LOOP) and node.retry is not None:
        yield "retry"
    if node_type is not None and node_type.provider is None:
        if node.credential is not None:
            yield "credential"
        if node.region is not None:
            yield "region"
