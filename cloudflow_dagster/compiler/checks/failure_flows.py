"""The flow that is started when a run fails."""

from __future__ import annotations

from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.diagnostics.model import Rule, did_you_mean

UNKNOWN_FAILURE_FLOW = Rule(
    code="CF5008",
    title="`on_failure` names a flow that does not exist",
    explanation="`on_failure` is the id of a flow of the same project.",
    wrong="""{"version": 1, "on_failure": "tidy_upp", "nodes": [{"id": "start",
   "type": "trigger.manual"}]}""",
    right="""{"version": 1, "on_failure": "tidy_up", "nodes": [{"id": "start",
   "type": "trigger.manual"}]}""",
)
FAILURE_CYCLE = Rule(
    code="CF5009",
    title="`on_failure` leads back to the flow itself",
    explanation=(
        "If the flow that is started on a failure fails too, its own `on_failure` is started, and "
        "so on. If that leads back here, one failure would start runs for ever."
    ),
    wrong="""{"version": 1, "id": "alarm", "on_failure": "alarm",
"nodes": [{"id": "start", "type": "trigger.manual"}]}""",
    right="""{"version": 1, "id": "alarm", "on_failure": "tidy_up",
"nodes": [{"id": "start", "type": "trigger.manual"}]}""",
)


def check_failure_flows(subject: Subject) -> None:
    """Report a flow that does not exist, and one that leads back."""
    graph, siblings = subject.graph, subject.siblings
    named = graph.flow.on_failure
    if named is None or siblings is None:
        return
    at = graph.place("on_failure")
    if siblings.get(named) is None:
        suggestion = did_you_mean(named, siblings.ids())
        message = f"There is no flow `{named}`."
        subject.found.add(UNKNOWN_FAILURE_FLOW, at, message, suggestion)
        return
    way: list[str] = []
    following: str | None = named
    while following is not None and following not in way:
        way.append(following)
        sibling = siblings.get(following)
        following = sibling.flow.on_failure if sibling and sibling.flow else None
        if way[-1] == graph.id:
            written = " → ".join(f"`{id}`" for id in (graph.id, *way))
            message = f"A failure would start runs for ever: {written}."
            subject.found.add(FAILURE_CYCLE, at, message)
            return
