"""`item`, `index` and `loops` where there are none."""

from __future__ import annotations

from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.compiler.texts import Surroundings
from cloudflow_dagster.diagnostics.model import Rule, did_you_mean
from cloudflow_dagster.diagnostics.wording import shortened

NO_ITEM = Rule(
    code="CF4008",
    title="An expression reads `item` or `index` outside a loop",
    explanation=(
        "`item` and `index` belong to the innermost loop in whose body the node is: to what is "
        "reached from the loop's `item` port. After the loop there are its `results`. A disabled "
        "loop is no loop."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "each", "type": "logic.loop", "config": {"items": [1, 2]}},
  {"id": "work", "type": "generic.transform", "config": {"value": 1}},
  {"id": "twice", "type": "generic.transform", "config": {"value": "{{ item * 2 }}"}}
], "edges": [{"source": "each", "source_port": "item", "target": "work"},
             {"source": "each", "source_port": "done", "target": "twice"}]}""",
    right="""{"version": 1, "nodes": [
  {"id": "each", "type": "logic.loop", "config": {"items": [1, 2]}},
  {"id": "work", "type": "generic.transform", "config": {"value": 1}},
  {"id": "twice", "type": "generic.transform", "config": {"value": "{{ item * 2 }}"}}
], "edges": [{"source": "each", "source_port": "item", "target": "work"},
             {"source": "work", "target": "twice"}]}""",
)
NOT_AROUND = Rule(
    code="CF4009",
    title="An expression reads a loop that is not around it",
    explanation=(
        "`loops.<id>.item` and `loops.<id>.index` are the item and the index of a loop in whose "
        "body the node is, at any depth."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "each", "type": "logic.loop", "config": {"items": [1, 2]}},
  {"id": "work", "type": "generic.transform", "config": {"value": "{{ loops.eac.item }}"}}
], "edges": [{"source": "each", "source_port": "item", "target": "work"}]}""",
    right="""{"version": 1, "nodes": [
  {"id": "each", "type": "logic.loop", "config": {"items": [1, 2]}},
  {"id": "work", "type": "generic.transform", "config": {"value": "{{ loops.each.item }}"}}
], "edges": [{"source": "each", "source_port": "item", "target": "work"}]}""",
)

_INSIDE_RUN = {Surroundings.NODE, Surroundings.UNTIL, Surroundings.UNDO}


def check_loop_reads(subject: Subject) -> None:
    """Report what reads items of loops that are not there."""
    graph = subject.graph
    for text, _, read in subject.reads_of("item", "index", "loops"):
        vertex = text.vertex
        if vertex is None or vertex.id in graph.doubtful or text.surroundings not in _INSIDE_RUN:
            continue
        around, at = graph.around[vertex.id], text.place(read.offset)
        if read.root != "loops":
            if not around:
                message = (
                    f"`{vertex.id}` is not in the body of a loop, so there is no `{read.root}`."
                )
                subject.found.add(NO_ITEM, at, message)
        elif read.path and isinstance(read.path[0], str) and read.path[0] not in around:
            name = read.path[0]
            message = f"`{vertex.id}` is not in the body of a loop `{shortened(name)}`."
            at = text.place(read.offsets[0])
            suggestion = did_you_mean(name, around)
            if suggestion is None and around:
                suggestion = f"Around it there is {', '.join(f'`{loop}`' for loop in around)}."
            subject.found.add(NOT_AROUND, at, message, suggestion)
