"""Config fields that a node type does not have."""

from __future__ import annotations

from cloudflow_dagster.compiler.fitting import Misfit
from cloudflow_dagster.compiler.graph import Vertex
from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.diagnostics.model import Rule
from cloudflow_dagster.diagnostics.wording import shortened

_NAMED = 20
"""Fields that are named to people."""

UNKNOWN_FIELD = Rule(
    code="CF3002",
    title="A config field does not exist",
    explanation=(
        "The fields of `config` are those of the node type; AWS operations have the API's own "
        "names, upper and lower case included. `cloudflow nodes show TYPE` lists them."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "snapshot", "type": "aws.ec2.create_snapshot",
   "config": {"VolumeId": "vol-0a1", "Descripton": "nightly"}}
]}""",
    right="""{"version": 1, "nodes": [
  {"id": "snapshot", "type": "aws.ec2.create_snapshot",
   "config": {"VolumeId": "vol-0a1", "Description": "nightly"}}
]}""",
)


def check_config_fields(subject: Subject) -> None:
    """Report fields that are not known, at any depth."""
    for found in subject.config_problems:
        problem = found.problem
        if problem.misfit is Misfit.UNKNOWN:
            message = problem.message
            suggestion = problem.suggestion
            if len(problem.path) == 1:
                message = f"`{found.vertex.node.type}` has no field `{shortened(problem.name)}`."
                suggestion = suggestion or _fields_of(found.vertex)
            subject.found.add(UNKNOWN_FIELD, found.at, message, suggestion)


def _fields_of(vertex: Vertex) -> str | None:
    """Return which fields there are."""
    known = list(vertex.type.config_schema.get("properties", ())) if vertex.type else []
    if not known:
        return None
    if len(known) > _NAMED:
        return f"`cloudflow nodes show {vertex.node.type}` tells the {len(known)} that there are."
    return f"There are {', '.join(f'`{name}`' for name in known)}."
