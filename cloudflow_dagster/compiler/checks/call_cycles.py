"""Flows that reach themselves."""

from __future__ import annotations

from collections.abc import Iterator

from cloudflow_dagster.compiler.checks.flow_calls import literal_call
from cloudflow_dagster.compiler.siblings import Siblings
from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.diagnostics.model import Rule
from cloudflow_dagster.flow.model import Flow

CALL_CYCLE = Rule(
    code="CF5007",
    title="A flow reaches itself without a limit",
    explanation=(
        "A flow that calls itself, directly or through others, might never end. With `max_depth` "
        "it may: so many runs of it may be inside each other. Every call on the way round needs "
        "it, because a run can start at any of the flows."
    ),
    wrong="""{"version": 1, "id": "countdown", "nodes": [
  {"id": "again", "type": "flow.call", "config": {"flow": "countdown"}}
]}""",
    right="""{"version": 1, "id": "countdown", "nodes": [
  {"id": "again", "type": "flow.call", "config": {"flow": "countdown", "max_depth": 10}}
]}""",
)


def check_call_cycles(subject: Subject) -> None:
    """Report each call, without a limit, from which calls lead back here."""
    graph, siblings = subject.graph, subject.siblings
    if siblings is None or graph.id is None:
        return
    for vertex in graph.vertices.values():
        called = literal_call(vertex)
        if called is None or vertex.node.config.get("max_depth") is not None:
            continue
        way = _way(called, graph.id, siblings)
        if way:
            at = graph.at(vertex, "config", "flow")
            written = " → ".join(f"`{id}`" for id in (graph.id, *way))
            message = f"The flow reaches itself: {written}."
            subject.found.add(CALL_CYCLE, at, message, "Set `max_depth` on the call.")


def _way(start: str, end: str, siblings: Siblings) -> list[str]:
    """Return the flows of a way of calls from one flow to another, both included."""
    came_from: dict[str, str | None] = {start: None}
    waiting = [start]
    while waiting:
        id = waiting.pop(0)
        if id == end:
            way = [id]
            while (before := came_from[way[0]]) is not None:
                way.insert(0, before)
            return way
        sibling = siblings.get(id)
        for following in _called(sibling.flow) if sibling and sibling.flow else ():
            if following not in came_from:
                came_from[following] = id
                waiting.append(following)
    return []


def _called(flow: Flow) -> Iterator[str]:
    """Yield the flows that a flow calls; there is no catalogue to ask here."""
    for node in flow.nodes:
        called = node.config.get("flow")
        if node.type == "flow.call" and not node.disabled and isinstance(called, str):
            yield called
