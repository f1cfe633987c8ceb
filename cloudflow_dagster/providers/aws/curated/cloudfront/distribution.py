"""Distributions of CloudFront."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.given import ONE, Lines, one
from cloudflow_dagster.providers.aws.operations import Operations

Distribution = Annotated[str, one("id", "Id"), ONE]
_EVERY = 15.0


class Invalidation(TypedDict):
    """An invalidation."""

    id: Annotated[str, Field(description="Names it.")]
    status: Annotated[str, Field(description="`InProgress` or `Completed`.")]
    paths: Annotated[list[str], Field(description="What is fetched anew.")]


@aws_action(
    "aws.cloudfront.distribution.invalidate",
    label="Invalidate paths",
    calls=("cloudfront.CreateInvalidation", "cloudfront.GetInvalidation"),
    repeat=Repeat.TOKEN,
    token_seconds=None,
    icon="refresh-cw",
)
def invalidate(
    aws: Operations,
    *,
    distribution: Distribution,
    paths: Lines = ["/*"],  # noqa: B006 - not changed
    wait: bool = True,
) -> Invalidation:
    """Lets CloudFront fetch paths anew and waits until it does everywhere.

    Args:
        aws: Carries out operations.
        distribution: Id of the distribution.
        paths: Each begins with `/`; `*` at the end stands for anything.
        wait: Whether to wait until it is so everywhere.
    """
    answer = aws.ask(
        "cloudfront.CreateInvalidation",
        DistributionId=distribution,
        InvalidationBatch={
            "Paths": {"Quantity": len(paths), "Items": paths},
            "CallerReference": aws.call.token,
        },
    )
    found = answer["Invalidation"]
    if wait:
        found = aws.until(
            lambda answer: answer["Invalidation"]["Status"].lower() == "completed",
            "cloudfront.GetInvalidation",
            every=_EVERY,
            DistributionId=distribution,
            Id=found["Id"],
        )["Invalidation"]
    return {"id": found["Id"], "status": found["Status"], "paths": paths}
