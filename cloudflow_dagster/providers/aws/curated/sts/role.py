"""Roles that one can take on."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.given import ONE, one
from cloudflow_dagster.providers.aws.naming import Names
from cloudflow_dagster.providers.aws.operations import Operations

_SHORTEST = 900


class Assumed(TypedDict):
    """A role that was taken on."""

    role: Annotated[str, Field(description="Its ARN.")]
    arn: Annotated[str, Field(description="Of the session.")]
    account: Annotated[str, Field(description="Twelve digits.")]
    expires_at: Annotated[str, Field(description="When the session's keys end.")]


@aws_action(
    "aws.sts.role.assume",
    label="Assume role",
    calls=("sts.AssumeRole",),
    repeat=Repeat.SAFE,
    icon="user-check",
)
def assume(
    aws: Operations,
    *,
    role: Annotated[str, one("arn", "Arn"), ONE, Names("RoleArn")],
    external_id: str | None = None,
    seconds: Annotated[int, Field(ge=_SHORTEST, le=43_200)] = _SHORTEST,
) -> Assumed:
    """Takes on a role, to see that the node's credential may; the keys are given to nobody.

    Nothing that a run keeps holds a secret. To let nodes work in a role, write it into the
    credential in the project's file (`role: arn:…`), and give the node that credential.

    Args:
        aws: Carries out operations.
        role: Its ARN.
        external_id: What the role's trust policy asks for.
        seconds: How long the session lasts.
    """
    answer = aws.ask(
        "sts.AssumeRole",
        RoleArn=role,
        RoleSessionName=f"cloudflow-{aws.call.token[:12]}",
        ExternalId=external_id,
        DurationSeconds=seconds,
    )
    keys = answer["Credentials"]
    for name in ("SecretAccessKey", "SessionToken"):
        aws.call.hide(str(keys[name]))
    arn = str(answer["AssumedRoleUser"]["Arn"])
    return {
        "role": role,
        "arn": arn,
        "account": arn.split(":")[4],
        "expires_at": keys["Expiration"],
    }
