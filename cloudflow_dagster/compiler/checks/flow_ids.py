"""Flows of a project with one id."""

from __future__ import annotations

from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.diagnostics.model import Rule

DUPLICATE_FLOW = Rule(
    code="CF5010",
    title="Two flows have the same id",
    explanation=(
        "A flow's id names its job and is how other flows call it, so it is unique in a project. "
        "Without an `id` it is the file's name without `.json`."
    ),
    wrong="""{"version": 1, "id": "tidy_up", "nodes": [{"id": "start",
   "type": "trigger.manual"}]}""",
    right="""{"version": 1, "id": "tidy_up_more", "nodes": [{"id": "start",
   "type": "trigger.manual"}]}""",
)


def check_flow_ids(subject: Subject) -> None:
    """Report a flow whose id another file has too; both are reported, each in its file."""
    graph, siblings = subject.graph, subject.siblings
    if siblings is None or graph.id is None:
        return
    others = [file for file in siblings.files_of(graph.id) if file != graph.file]
    if others:
        at = graph.place("id") if graph.flow.id is not None else graph.place()
        message = f"The flow in `{others[0]}` has the id `{graph.id}` too."
        subject.found.add(DUPLICATE_FLOW, at, message, "Give one of them another `id`.")
