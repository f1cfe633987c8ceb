"""Values of expressions that cannot fit the config field."""

from __future__ import annotations

from cloudflow_dagster.compiler.graph import Link
from cloudflow_dagster.compiler.json_types import types_of, worded
from cloudflow_dagster.compiler.shapes import can_fit
from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.diagnostics.model import Rule

UNFIT = Rule(
    code="CF4021",
    title="A value has a type that its config field cannot take",
    explanation=(
        "Text with values put in is text; a path into what a node gives has the type that the "
        "node type says. Where a list is asked for, a single value becomes a list of one. "
        "JSONata's functions (`$string`, `$number`, `$join`, …) make one type from another."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "volumes", "type": "aws.ec2.describe_volumes"},
  {"id": "snapshot", "type": "aws.ec2.create_snapshot",
   "config": {"VolumeId": "{{ nodes.volumes.Volumes }}"}}
], "edges": [{"source": "volumes", "target": "snapshot"}]}""",
    right="""{"version": 1, "nodes": [
  {"id": "volumes", "type": "aws.ec2.describe_volumes"},
  {"id": "snapshot", "type": "aws.ec2.create_snapshot",
   "config": {"VolumeId": "{{ nodes.volumes.Volumes[0].VolumeId }}"}}
], "edges": [{"source": "volumes", "target": "snapshot"}]}""",
)


def check_expression_types(subject: Subject) -> None:
    """Report expressions and edges whose value cannot fit the field that they feed."""
    for found in subject.config_problems:
        problem = found.problem
        if problem.expression:
            subject.found.add(UNFIT, found.at, problem.message, problem.suggestion)
    for link in subject.graph.live():
        if link.field is not None and link.target and link.target.active:
            _check_edge(subject, link, link.field)


def _check_edge(subject: Subject, link: Link, field: str) -> None:
    target = link.target
    if target is None or target.type is None or target.id in subject.graph.doubtful:
        return
    root = target.type.config_schema
    schema = root.get("properties", {}).get(field)
    shape = subject.knowledge.of_link(link)
    if shape is None or schema is None or can_fit(shape, schema, root):
        return
    wanted = worded(types_of(schema)) or "something else"
    message = f"`{field}` must be {wanted}, but this edge carries {worded(shape.types)}."
    subject.found.add(UNFIT, subject.graph.at_edge(link, "target_port"), message)
