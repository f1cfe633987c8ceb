"""Target groups, which a load balancer brings along."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.providers.aws.given import tag_list, tags_of
from cloudflow_dagster.providers.aws.operations import Operations

_OURS = "cloudflow:load-balancer"
"""Tag that names the load balancer for which a target group was made.

Nothing else tells whose it is while no listener forwards to it, or when the load balancer is gone.
"""
_AT_ONCE = 20
"""How many things can be asked for their tags at once."""
_NO_GROUP = ("TargetGroupNotFound", "TargetGroupNotFoundException")


class TargetGroup(BaseModel):
    """What requests are sent to."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    name: Annotated[str, Field(max_length=32, description="What it is called.")]
    port: Annotated[int, Field(ge=1, le=65535, description="Where the targets listen.")] = 80
    protocol: Annotated[Literal["HTTP", "HTTPS"], Field(description="What they speak.")] = "HTTP"
    kind: Annotated[
        Literal["ip", "instance"],
        Field(description="What they are; tasks of Fargate are known by their `ip`."),
    ] = "ip"
    health: Annotated[str, Field(description="The path that a healthy one answers.")] = "/"


def find_groups(aws: Operations, **which: Json) -> list[dict[str, Any]]:
    """Return the target groups that are asked for; none if there are none."""
    try:
        return aws.pages("elbv2.DescribeTargetGroups", **which).get("TargetGroups", [])
    except NodeError as error:
        if error.code in _NO_GROUP:
            return []
        raise


def groups_made_for(aws: Operations, balancer: str) -> list[dict[str, Any]]:
    """Return all target groups that were made for the load balancer of a name, used or not."""
    there = find_groups(aws)
    by_arn = {str(each["TargetGroupArn"]): each for each in there}
    owners = _owners(aws, [*by_arn])
    return [each for arn, each in by_arn.items() if owners.get(arn) == balancer]


def _owners(aws: Operations, arns: list[str]) -> dict[str, str | None]:
    """Return for which load balancers target groups were made; None for those of others."""
    owners: dict[str, str | None] = {}
    for first in range(0, len(arns), _AT_ONCE):
        answer = aws.ask("elbv2.DescribeTags", ResourceArns=[*arns[first : first + _AT_ONCE]])
        for each in answer["TagDescriptions"]:
            owners[each["ResourceArn"]] = tags_of(each.get("Tags")).get(_OURS)
    return owners


def group_as_written(found: Mapping[str, Any]) -> dict[str, Json]:
    """Return a target group as an author writes it."""
    return {
        "name": found["TargetGroupName"],
        "port": found["Port"],
        "protocol": found["Protocol"],
        "kind": found.get("TargetType", "instance"),
        "health": found.get("HealthCheckPath", "/"),
    }


def bring_about(aws: Operations, group: TargetGroup, *, balancer: str, vpc: str, uses: bool) -> str:
    """Make a target group, or change what can be changed of it; return its ARN.

    Args:
        aws: Carries out operations.
        group: What is wanted.
        balancer: Name of the load balancer that it is for.
        vpc: Where that is.
        uses: Whether that forwards to a target group of this name already.

    Raises:
        NodeError: There is one that is somebody else's, or that cannot be changed.
    """
    found = find_groups(aws, Names=[group.name])
    if not found:
        answer = aws.ask(
            "elbv2.CreateTargetGroup",
            Name=group.name,
            Port=group.port,
            Protocol=group.protocol,
            TargetType=group.kind,
            VpcId=vpc,
            HealthCheckPath=group.health,
            HealthCheckProtocol=group.protocol,
            Tags=tag_list({_OURS: balancer}),
        )
        return str(answer["TargetGroups"][0]["TargetGroupArn"])
    arn = str(found[0]["TargetGroupArn"])
    if not uses and _owners(aws, [arn])[arn] != balancer:
        raise NodeError(
            "AlreadyExists",
            f"There is a target group `{group.name}` already, which is not the load balancer's: "
            "give the one that is wanted another name.",
            transient=False,
        )
    present, wanted = group_as_written(found[0]), group.model_dump()
    if found[0].get("VpcId") != vpc or any(
        present[name] != wanted[name] for name in ("port", "protocol", "kind")
    ):
        raise NodeError(
            "ReplacementNeeded",
            f"The target group `{group.name}` is there, with another port, protocol or kind, or in "
            "another VPC, which cannot be changed: give the one that is wanted another name.",
            transient=False,
        )
    if present["health"] != group.health:
        aws.ask("elbv2.ModifyTargetGroup", TargetGroupArn=arn, HealthCheckPath=group.health)
    return arn
