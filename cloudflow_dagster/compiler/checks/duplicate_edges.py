"""Edges that say the same thing twice."""

from __future__ import annotations

from cloudflow_dagster.compiler.graph import Link
from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.diagnostics.model import Rule

DUPLICATE_EDGE = Rule(
    code="CF2006",
    title="Two edges are the same",
    explanation=(
        "Two edges between the same ports say nothing that one does not. A port that is not "
        "written is the first one, so an edge from `out` and one without a port may be the same."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "start", "type": "trigger.manual"},
  {"id": "volumes", "type": "aws.ec2.describe_volumes"}
], "edges": [{"source": "start", "target": "volumes"},
             {"source": "start", "source_port": "out", "target": "volumes"}]}""",
    right="""{"version": 1, "nodes": [
  {"id": "start", "type": "trigger.manual"},
  {"id": "volumes", "type": "aws.ec2.describe_volumes"}
], "edges": [{"source": "start", "target": "volumes"}]}""",
)
TWICE_FED = Rule(
    code="CF2007",
    title="Two edges feed the same config field",
    explanation=(
        "An edge whose `target_port` is a field of the target's `config` gives that field its "
        "value; with two of them it would have two. Let one edge feed the field, or let both lead "
        "to the node and write an expression over `input`."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "one", "type": "generic.transform", "config": {"value": "vol-0a1"}},
  {"id": "two", "type": "generic.transform", "config": {"value": "vol-0a2"}},
  {"id": "snapshot", "type": "aws.ec2.create_snapshot"}
], "edges": [{"source": "one", "target": "snapshot", "target_port": "VolumeId"},
             {"source": "two", "target": "snapshot", "target_port": "VolumeId"}]}""",
    right="""{"version": 1, "nodes": [
  {"id": "one", "type": "generic.transform", "config": {"value": "vol-0a1"}},
  {"id": "two", "type": "generic.transform", "config": {"value": "vol-0a2"}},
  {"id": "snapshot", "type": "aws.ec2.create_snapshot"}
], "edges": [{"source": "one", "target": "snapshot", "target_port": "VolumeId"},
             {"source": "two", "target": "snapshot"}]}""",
)


def check_duplicate_edges(subject: Subject) -> None:
    """Report edges that repeat an earlier one; disabled ones are not there."""
    graph = subject.graph
    for links in graph.into.values():
        if len(links) < 2:  # noqa: PLR2004 - one edge has no equal
            continue
        seen: set[tuple[str, str | None, str | None]] = set()
        feeding: dict[str, Link] = {}
        for link in sorted(links, key=lambda link: link.index):
            port = link.port.name if link.port else link.edge.source_port
            into = link.into.name if link.into else link.edge.target_port
            ends = (link.edge.source, port, into)
            if ends in seen:
                message = f"There is such an edge from `{ends[0]}` to `{link.edge.target}` already."
                subject.found.add(DUPLICATE_EDGE, graph.at_edge(link), message, "Take it away.")
            elif link.field is not None and link.field in feeding:
                message = (
                    f"`{link.field}` of `{link.edge.target}` is fed by an edge from "
                    f"`{feeding[link.field].edge.source}` already."
                )
                subject.found.add(TWICE_FED, graph.at_edge(link, "target_port"), message)
            seen.add(ends)
            if link.field is not None:
                feeding.setdefault(link.field, link)
