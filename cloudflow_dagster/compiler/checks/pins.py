"""Pinned data that a node could never give."""

from __future__ import annotations

from cloudflow_dagster.compiler.fitting import Misfit, find_misfits
from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.diagnostics.model import Rule, Severity

UNLIKE_OUTPUT = Rule(
    code="CF3007",
    title="A pin does not have the shape of the node's output",
    explanation=(
        "`pin` stands for what the node gives, so that the rest of the flow can be tried without "
        "it. One that has other fields or types hides mistakes in the expressions that read it."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "volumes", "type": "aws.ec2.describe_volumes", "pin": {"Volumes": "vol-0a1"}}
]}""",
    right="""{"version": 1, "nodes": [
  {"id": "volumes", "type": "aws.ec2.describe_volumes",
   "pin": {"Volumes": [{"VolumeId": "vol-0a1"}]}}
]}""",
    severity=Severity.WARNING,
)


def check_pins(subject: Subject) -> None:
    """Compare pins with output schemas. What a pin leaves out is no matter."""
    for vertex in subject.graph.vertices.values():
        if not vertex.node.pinned or vertex.type is None or vertex.type.output_schema is None:
            continue
        if vertex.node.disabled or vertex.node.pin is None:
            continue
        for problem in find_misfits(vertex.node.pin, vertex.type.output_schema):
            if problem.misfit is not Misfit.MISSING:
                at = subject.graph.at(vertex, "pin", *problem.path)
                subject.found.add(UNLIKE_OUTPUT, at, problem.message, problem.suggestion)
