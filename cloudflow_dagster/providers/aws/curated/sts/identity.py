"""Who one is."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.operations import Operations


class Identity(TypedDict):
    """Who the node's credential is."""

    account: Annotated[str, Field(description="Twelve digits.")]
    arn: Annotated[str, Field(description="Of the user or of the role's session.")]
    id: Annotated[str, Field(description="AWS's unique id of it.")]


@aws_action(
    "aws.sts.identity.get",
    label="Who am I",
    calls=("sts.GetCallerIdentity",),
    repeat=Repeat.READ,
)
def get(aws: Operations) -> Identity:
    """Tells which account and user the node's credential is; everybody may ask that.

    Args:
        aws: Carries out operations.
    """
    answer = aws.ask("sts.GetCallerIdentity")
    return {"account": answer["Account"], "arn": answer["Arn"], "id": answer["UserId"]}
