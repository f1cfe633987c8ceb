"""Edges that cross the border of a loop's body."""

from __future__ import annotations

from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.diagnostics.model import Rule

ENTERS_BODY = Rule(
    code="CF2008",
    title="An edge enters a loop's body, but not through `item`",
    explanation=(
        "The body of a loop is all that can be reached from its `item` port, and `item` is the "
        "only way in. Let the edge lead to the loop; in the body an expression such as "
        "`{{ nodes.settings }}` reads what lies before the loop without any edge."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "each", "type": "logic.loop", "config": {"items": [1, 2]}},
  {"id": "settings", "type": "generic.transform", "config": {"value": "fast"}},
  {"id": "work", "type": "generic.transform", "config": {"value": "{{ item }}"}}
], "edges": [{"source": "each", "source_port": "item", "target": "work"},
             {"source": "settings", "target": "work"}]}""",
    right="""{"version": 1, "nodes": [
  {"id": "each", "type": "logic.loop", "config": {"items": [1, 2]}},
  {"id": "settings", "type": "generic.transform", "config": {"value": "fast"}},
  {"id": "work", "type": "generic.transform", "config": {"value": "{{ item }}"}}
], "edges": [{"source": "each", "source_port": "item", "target": "work"},
             {"source": "settings", "target": "each"}]}""",
)
LEAVES_BODY = Rule(
    code="CF2009",
    title="An edge leads out of a loop's body",
    explanation=(
        "What is reached from `item` runs once for each item, so it cannot be what runs once after "
        "the loop. What comes after the loop hangs on its `done` port, which carries "
        "`{results, errors, count}`."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "each", "type": "logic.loop", "config": {"items": [1, 2]}},
  {"id": "work", "type": "generic.transform", "config": {"value": "{{ item }}"}},
  {"id": "other", "type": "generic.transform", "config": {"value": 3}},
  {"id": "report", "type": "flow.result", "config": {"value": "done"}}
], "edges": [{"source": "each", "source_port": "item", "target": "work"},
             {"source": "work", "target": "report"},
             {"source": "other", "target": "report"}]}""",
    right="""{"version": 1, "nodes": [
  {"id": "each", "type": "logic.loop", "config": {"items": [1, 2]}},
  {"id": "work", "type": "generic.transform", "config": {"value": "{{ item }}"}},
  {"id": "other", "type": "generic.transform", "config": {"value": 3}},
  {"id": "report", "type": "flow.result", "config": {"value": "done"}}
], "edges": [{"source": "each", "source_port": "item", "target": "work"},
             {"source": "each", "source_port": "done", "target": "report"},
             {"source": "other", "target": "report"}]}""",
)


def check_loop_borders(subject: Subject) -> None:
    """Report the edges that trespass, each once."""
    graph = subject.graph
    if graph.cycles:
        return
    for trespass in graph.trespasses:
        edge, loop = trespass.link.edge, trespass.loop
        if trespass.leaves:
            message = (
                f"`{edge.source}` is in the body of the loop `{loop}`, and `{edge.target}` can "
                "also be reached another way."
            )
            suggestion = f"Hang `{edge.target}` on `done` of `{loop}`."
            rule = LEAVES_BODY
        else:
            message = (
                f"`{edge.target}` is in the body of the loop `{loop}`, and this edge from "
                f"`{edge.source}` comes from outside."
            )
            suggestion = f"Let it lead to `{loop}`."
            rule = ENTERS_BODY
        subject.found.add(rule, graph.at_edge(trespass.link), message, suggestion)
