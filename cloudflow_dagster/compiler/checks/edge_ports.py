"""Edges from or to ports that do not exist."""

from __future__ import annotations

from collections.abc import Sequence

from cloudflow_dagster.compiler.graph import Link, Vertex
from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.diagnostics.model import Rule, did_you_mean
from cloudflow_dagster.diagnostics.wording import shortened
from cloudflow_dagster.nodes.spec import NodeType

UNKNOWN_OUTPUT = Rule(
    code="CF2002",
    title="An edge leaves from a port that does not exist",
    explanation=(
        "`source_port` is one of the output ports of the source's node type: `out`, the fields of "
        "an action's result, `true` and `false` of `logic.if`, the cases of `logic.switch`, `item` "
        "and `done` of `logic.loop`, and `error`. `cloudflow nodes show TYPE` lists them."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "weekend", "type": "logic.if", "config": {"condition": "{{ params.weekend }}"}},
  {"id": "volumes", "type": "aws.ec2.describe_volumes"}
], "params": {"type": "object", "properties": {"weekend": {"type": "boolean", "default": false}}},
"edges": [{"source": "weekend", "source_port": "yes", "target": "volumes"}]}""",
    right="""{"version": 1, "nodes": [
  {"id": "weekend", "type": "logic.if", "config": {"condition": "{{ params.weekend }}"}},
  {"id": "volumes", "type": "aws.ec2.describe_volumes"}
], "params": {"type": "object", "properties": {"weekend": {"type": "boolean", "default": false}}},
"edges": [{"source": "weekend", "source_port": "true", "target": "volumes"}]}""",
)
UNKNOWN_INPUT = Rule(
    code="CF2003",
    title="An edge leads to a port that does not exist",
    explanation=(
        "`target_port` is an input port of the target's node type, or the name of a field of its "
        "`config`; then the edge also feeds that field. Without it the edge leads to the first "
        "input port."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "one", "type": "generic.transform", "config": {"value": "vol-0a1"}},
  {"id": "snapshot", "type": "aws.ec2.create_snapshot"}
], "edges": [{"source": "one", "target": "snapshot", "target_port": "Volume"}]}""",
    right="""{"version": 1, "nodes": [
  {"id": "one", "type": "generic.transform", "config": {"value": "vol-0a1"}},
  {"id": "snapshot", "type": "aws.ec2.create_snapshot"}
], "edges": [{"source": "one", "target": "snapshot", "target_port": "VolumeId"}]}""",
)

_LISTED = 12


def check_edge_ports(subject: Subject) -> None:
    """Report ports that are not there. Nodes of unknown types are left alone."""
    for link in subject.graph.links:
        if link.source is not None and link.port is None and link.source.ports_known:
            _report_output(subject, link, link.source)
        target = link.target
        if target is None or target.type is None or not target.type.inputs:
            continue
        if link.into is None and link.field is None:
            _report_input(subject, link, target.type)


def _report_output(subject: Subject, link: Link, source: Vertex) -> None:
    given = link.edge.source_port or ""
    known = [port.name for port in source.outputs]
    message = f"`{source.id}` ({source.node.type}) has no output port `{shortened(given)}`."
    at = subject.graph.at_edge(link, "source_port")
    subject.found.add(UNKNOWN_OUTPUT, at, message, _suggestion(given, known))


def _report_input(subject: Subject, link: Link, node_type: NodeType) -> None:
    given = link.edge.target_port or ""
    fields: Sequence[str] = list(node_type.config_schema.get("properties", ()))
    known = [*(port.name for port in node_type.inputs), *fields]
    message = (
        f"`{link.edge.target}` ({node_type.id}) has neither an input port nor a field "
        f"`{shortened(given)}`."
    )
    at = subject.graph.at_edge(link, "target_port")
    subject.found.add(UNKNOWN_INPUT, at, message, _suggestion(given, known))


def _suggestion(given: str, known: Sequence[str]) -> str | None:
    close = did_you_mean(given, known)
    if close is None and len(known) <= _LISTED:
        return f"There are {', '.join(f'`{name}`' for name in known)}."
    return close
