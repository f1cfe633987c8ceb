"""Credentials that nodes name."""

from __future__ import annotations

from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.diagnostics.model import Rule
from cloudflow_dagster.diagnostics.wording import shortened

UNKNOWN_CREDENTIAL = Rule(
    code="CF3005",
    title="A node names a credential that the project does not have",
    explanation=(
        "`credential` is a name under `credentials` in `cloudflow.yaml`; `cloudflow credentials "
        "list` shows them. Without it the node works with the provider's default one."
    ),
    wrong="""{"version": 1, "nodes": [
  {"id": "volumes", "type": "aws.ec2.describe_volumes", "credential": "aws_prdo"}
]}""",
    right="""{"version": 1, "nodes": [
  {"id": "volumes", "type": "aws.ec2.describe_volumes", "credential": "aws_prod"}
]}""",
)
WRONG_PROVIDER = Rule(
    code="CF3006",
    title="A node names a credential of another provider",
    explanation="A node of AWS needs an AWS account, a node of GCP a GCP project, and so on.",
    wrong="""{"version": 1, "nodes": [
  {"id": "volumes", "type": "aws.ec2.describe_volumes", "credential": "gcp_data"}
]}""",
    right="""{"version": 1, "nodes": [
  {"id": "volumes", "type": "aws.ec2.describe_volumes", "credential": "aws_prod"}
]}""",
)


def check_credentials(subject: Subject) -> None:
    """Report names that are unknown or of another provider; a flow alone has none to compare."""
    if subject.project is None:
        return
    known = subject.project.credentials
    for vertex in subject.graph.vertices.values():
        name = vertex.node.credential
        if name is None or vertex.type is None or vertex.type.provider is None or "{{" in name:
            continue
        if vertex.node.disabled:
            continue
        at = subject.graph.at(vertex, "credential")
        provider = known.provider_of(name)
        if provider is None:
            message = f"The project has no credential `{shortened(name)}`."
            hint = known.suggest(name) or _other(subject, vertex.type.provider)
            subject.found.add(UNKNOWN_CREDENTIAL, at, message, hint)
        elif provider != vertex.type.provider:
            wanted = vertex.type.provider
            message = f"`{name}` is a credential of {provider}; {vertex.node.type} needs {wanted}."
            subject.found.add(WRONG_PROVIDER, at, message, _other(subject, vertex.type.provider))


def _other(subject: Subject, provider: str) -> str | None:
    if subject.project is None:
        return None
    known = subject.project.credentials
    names = [f"`{name}`" for name in known.names() if known.provider_of(name) == provider]
    return f"There is {', '.join(names)}." if names else None
