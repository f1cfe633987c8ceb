"""Loops nested too deep."""

from __future__ import annotations

import json
from typing import Any

from cloudflow_dagster.compiler.graph import DEEPEST
from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.diagnostics.model import Rule


def _nested(depth: int) -> str:
    loops = [f"l{number}" for number in range(depth)]
    nodes: list[Any] = [{"id": id, "type": "logic.loop", "config": {"items": [1]}} for id in loops]
    nodes.append({"id": "work", "type": "generic.transform", "config": {"value": "{{ item }}"}})
    edges = [
        {"source": loop, "source_port": "item", "target": target}
        for loop, target in zip(loops, [*loops[1:], "work"], strict=True)
    ]
    return json.dumps({"version": 1, "nodes": nodes, "edges": edges})


TOO_DEEP = Rule(
    code="CF2011",
    title="Loops are nested too deep",
    explanation=(
        f"Up to {DEEPEST} loops may be inside each other. Where there really are more, let the "
        "body call another flow with `flow.call`, which has its own loops."
    ),
    wrong=_nested(DEEPEST + 1),
    right=_nested(2),
)


def check_loop_depth(subject: Subject) -> None:
    """Report the first node that is in too many loops."""
    graph = subject.graph
    for id in graph.order:
        if len(graph.around[id]) > DEEPEST:
            message = f"`{id}` is in more than {DEEPEST} loops inside each other."
            suggestion = "Call another flow in the body of one of them (`flow.call`)."
            subject.found.add(TOO_DEEP, graph.at(graph.vertices[id]), message, suggestion)
            return
