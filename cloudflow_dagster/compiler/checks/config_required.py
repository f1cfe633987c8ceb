"""Config fields that a node type needs and does not get."""

from __future__ import annotations

from cloudflow_dagster.compiler.fitting import Misfit
from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.diagnostics.model import Rule

MISSING_FIELD = Rule(
    code="CF3003",
    title="A config field is missing",
    explanation=(
        "The node type needs this field. Write it into `config`, or let an edge feed it "
        "(`target_port` is the field's name)."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "snapshot", "type": "aws.ec2.create_snapshot", "config": {"Description": "nightly"}}
]}""",
    right="""{"version": 1, "nodes": [
  {"id": "snapshot", "type": "aws.ec2.create_snapshot",
   "config": {"VolumeId": "vol-0a1", "Description": "nightly"}}
]}""",
)


def check_config_required(subject: Subject) -> None:
    """Report fields that are missing, at any depth."""
    for found in subject.config_problems:
        problem = found.problem
        if problem.misfit is Misfit.MISSING:
            message = problem.message
            if not problem.path:
                message = f"`{found.vertex.id}` ({found.vertex.node.type}) needs `{problem.name}`."
            subject.found.add(MISSING_FIELD, found.at, message, problem.suggestion)
