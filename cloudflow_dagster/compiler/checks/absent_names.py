"""Names that exist, but not where an expression reads them."""

from __future__ import annotations

from collections.abc import Mapping

from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.compiler.texts import Surroundings, Text
from cloudflow_dagster.diagnostics.model import Rule

NO_OUTPUT = Rule(
    code="CF4010",
    title="An expression reads `output` outside `until` and `compensate`",
    explanation=(
        "`output` is what the node itself gave, and exists only after it ran: in the condition of "
        "`until` and in the config of `compensate`. What another node gave is `nodes.<id>`."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "volumes", "type": "aws.ec2.describe_volumes"},
  {"id": "ids", "type": "generic.transform", "config": {"value": "{{ output.Volumes }}"}}
], "edges": [{"source": "volumes", "target": "ids"}]}""",
    right="""{"version": 1, "nodes": [
  {"id": "volumes", "type": "aws.ec2.describe_volumes"},
  {"id": "ids", "type": "generic.transform", "config": {"value": "{{ nodes.volumes.Volumes }}"}}
], "edges": [{"source": "volumes", "target": "ids"}]}""",
)
NO_INPUT = Rule(
    code="CF4011",
    title="An expression reads `input`, and nothing comes in",
    explanation=(
        "`input` is what came into the node over its edges. A node without an edge into it starts "
        "with the run and has no input."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "start", "type": "trigger.manual"},
  {"id": "echo", "type": "generic.transform", "config": {"value": "{{ input }}"}}
]}""",
    right="""{"version": 1, "nodes": [
  {"id": "start", "type": "trigger.manual"},
  {"id": "echo", "type": "generic.transform", "config": {"value": "{{ input }}"}}
], "edges": [{"source": "start", "target": "echo"}]}""",
)
NOT_YET = Rule(
    code="CF4012",
    title="An expression reads what is not there yet",
    explanation=(
        "Before a run starts there is little to read: a trigger's `params` see the event "
        "(`trigger`) and the project's variables (`vars`), the rest of its config sees `vars`, "
        "and the key of `concurrency` sees `params`."
    ),
    wrong="""{"version": 1, "nodes": [{"id": "start", "type": "trigger.manual"}],
"concurrency": {"limit": 1, "key": "{{ trigger.payload.environment }}"}}""",
    right="""{"version": 1, "nodes": [{"id": "start", "type": "trigger.manual"}],
"params": {"type": "object", "properties": {"environment": {"type": "string", "default": "dev"}}},
"concurrency": {"limit": 1, "key": "{{ params.environment }}"}}""",
)

_EARLY: Mapping[Surroundings, tuple[str, ...]] = {
    Surroundings.START: ("trigger", "vars"),
    Surroundings.WATCH: ("vars",),
    Surroundings.KEY: ("params",),
}
_AFTERWARDS = {Surroundings.UNTIL, Surroundings.UNDO}
_WORDS: Mapping[Surroundings, str] = {
    Surroundings.START: "The `params` of a trigger are made when an event arrives",
    Surroundings.WATCH: "A trigger's config is used before any run",
    Surroundings.KEY: "The key of `concurrency` is made before the run starts",
}


def check_absent_names(subject: Subject) -> None:
    """Report names that cannot be read from where they are."""
    for text, _, read in subject.reads:
        visible = _EARLY.get(text.surroundings)
        if visible is not None:
            if read.root not in visible:
                seen = " and ".join(f"`{name}`" for name in visible)
                message = f"{_WORDS[text.surroundings]}, when there is no `{read.root}` yet."
                suggestion = f"It can read {seen}."
                subject.found.add(NOT_YET, text.place(read.offset), message, suggestion)
        elif read.root == "output" and text.surroundings not in _AFTERWARDS:
            message = "There is no `output` before the node has run."
            suggestion = "What another node gave is `nodes.<id>`; what came in is `input`."
            subject.found.add(NO_OUTPUT, text.place(read.offset), message, suggestion)
        elif read.root == "input" and _nothing_comes_in(subject, text):
            node = text.vertex.id if text.vertex else ""
            message = f"No edge leads into `{node}`, so there is no `input`."
            subject.found.add(NO_INPUT, text.place(read.offset), message)


def _nothing_comes_in(subject: Subject, text: Text) -> bool:
    vertex, graph = text.vertex, subject.graph
    return vertex is not None and vertex.id not in graph.doubtful and not graph.into[vertex.id]
