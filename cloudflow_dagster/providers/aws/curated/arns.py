"""ARNs of things that AWS finds by nothing else."""

from __future__ import annotations

from cloudflow_dagster.providers.aws.operations import Operations

IDENTITY = "sts.GetCallerIdentity"
"""The operation that tells the account. Nobody has to be allowed to call it."""


def arn_of(aws: Operations, service: str, rest: str, *, regional: bool = True) -> str:
    """Return the ARN of something of the node's own account, in its region."""
    who = str(aws.ask(IDENTITY)["Arn"])
    _, partition, _, _, account, _ = who.split(":", 5)
    region = aws.region if regional else ""
    return f"arn:{partition}:{service}:{region}:{account}:{rest}"
