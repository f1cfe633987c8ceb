"""Edges that go round in circles."""

from __future__ import annotations

from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.diagnostics.model import Rule

CYCLE = Rule(
    code="CF2005",
    title="The edges go round in a circle",
    explanation=(
        "A node runs once everything before it is decided, so none can come before itself. "
        "To do something for each of many things use `logic.loop`; to do it again until it worked "
        "use the node's `retry` or `until`; a flow may call itself with `flow.call`."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "one", "type": "generic.transform", "config": {"value": 1}},
  {"id": "two", "type": "generic.transform", "config": {"value": 2}}
], "edges": [{"source": "one", "target": "two"}, {"source": "two", "target": "one"}]}""",
    right="""{"version": 1, "nodes": [
  {"id": "one", "type": "generic.transform", "config": {"value": 1}},
  {"id": "two", "type": "generic.transform", "config": {"value": 2}}
], "edges": [{"source": "one", "target": "two"}]}""",
)

_SHOWN = 8


def check_cycles(subject: Subject) -> None:
    """Report each circle once, at the edge that closes it."""
    graph = subject.graph
    for cycle in graph.cycles:
        last, first = cycle[-1], cycle[0]
        closing = next(e for e in graph.out_of[last] if e.target and e.target.id == first)
        way = [*cycle, first]
        if len(way) > _SHOWN:
            way = [*way[:4], f"… {len(way) - _SHOWN + 1} more …", *way[5 - _SHOWN :]]
        written = " → ".join(f"`{id}`" if not id.startswith("…") else id for id in way)
        message = f"The edges go round in a circle: {written}."
        suggestion = "Take away one of these edges, or disable it."
        subject.found.add(CYCLE, graph.at_edge(closing), message, suggestion)
