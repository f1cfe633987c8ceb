"""Edges into triggers."""

from __future__ import annotations

from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.diagnostics.model import Rule

INTO_TRIGGER = Rule(
    code="CF2004",
    title="An edge leads into a trigger",
    explanation=(
        "A trigger is where a run starts; nothing comes before it. To start another flow use "
        "`flow.call`; to wait use `logic.wait`."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "volumes", "type": "aws.ec2.describe_volumes"},
  {"id": "start", "type": "trigger.manual"}
], "edges": [{"source": "volumes", "target": "start"}]}""",
    right="""{"version": 1, "nodes": [
  {"id": "volumes", "type": "aws.ec2.describe_volumes"},
  {"id": "start", "type": "trigger.manual"}
], "edges": [{"source": "start", "target": "volumes"}]}""",
)


def check_trigger_inputs(subject: Subject) -> None:
    """Report every edge whose target is a trigger."""
    for link in subject.graph.links:
        if link.target is not None and link.target.trigger:
            at = subject.graph.at_edge(link, "target")
            message = f"`{link.target.id}` is a trigger; no edge can lead into it."
            subject.found.add(INTO_TRIGGER, at, message)
