"""`flow.result` in a loop."""

from __future__ import annotations

from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.diagnostics.model import Rule
from cloudflow_dagster.nodes.spec import Behaviour

RESULT_IN_LOOP = Rule(
    code="CF2010",
    title="`flow.result` is in a loop",
    explanation=(
        "A flow has one result, and a node in a loop's body runs once for each item. Hang "
        "`flow.result` on the loop's `done` port and read `nodes.<loop>.results`."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "each", "type": "logic.loop", "config": {"items": [1, 2]}},
  {"id": "work", "type": "generic.transform", "config": {"value": "{{ item }}"}},
  {"id": "result", "type": "flow.result", "config": {"value": 3}}
], "edges": [{"source": "each", "source_port": "item", "target": "work"},
             {"source": "work", "target": "result"}]}""",
    right="""{"version": 1, "nodes": [
  {"id": "each", "type": "logic.loop", "config": {"items": [1, 2]}},
  {"id": "work", "type": "generic.transform", "config": {"value": "{{ item }}"}},
  {"id": "result", "type": "flow.result", "config": {"value": 3}}
], "edges": [{"source": "each", "source_port": "item", "target": "work"},
             {"source": "each", "source_port": "done", "target": "result"}]}""",
)


def check_loop_results(subject: Subject) -> None:
    """Report every `flow.result` with a loop around it."""
    graph = subject.graph
    for vertex in graph.vertices.values():
        if vertex.behaves(Behaviour.RESULT) and graph.around[vertex.id]:
            loop = graph.around[vertex.id][0]
            message = f"`{vertex.id}` sets the flow's result in the body of the loop `{loop}`."
            suggestion = f"Hang it on `done` of `{loop}`."
            subject.found.add(RESULT_IN_LOOP, graph.at(vertex), message, suggestion)
