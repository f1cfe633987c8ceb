"""Rules of security groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, cast

from pydantic import Field
from typing_extensions import TypedDict

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.access import ANYWHERE
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.given import ONE, Lines, one
from cloudflow_dagster.providers.aws.operations import Operations

Group = Annotated[str, one("id", "GroupId"), ONE]
Port = Annotated[int, Field(ge=0, le=65_535)]
Protocol = Literal["tcp", "udp", "icmp", "all"]


class Ruled(TypedDict):
    """What is so now."""

    group: Annotated[str, Field(description="Id of the security group.")]
    changed: Annotated[bool, Field(description="False if it was so before.")]


def opens_to_all(config: Mapping[str, Json]) -> str | None:
    """Return what is harmful about a rule that lets everybody in."""
    given = config.get("sources")
    sources = cast("list[Json]", given if isinstance(given, list) else [given])
    if any(source in ANYWHERE for source in sources):
        return "It opens a security group to the whole world."
    return None


@aws_action(
    "aws.ec2.security_group.allow",
    label="Allow in security group",
    calls=("ec2.AuthorizeSecurityGroupIngress",),
    repeat=Repeat.SAFE,
    destructive_of=opens_to_all,
    icon="shield-plus",
    category="security",
)
def allow(
    aws: Operations,
    *,
    group: Group,
    sources: Lines,
    port: Port | None = None,
    to_port: Port | None = None,
    protocol: Protocol = "tcp",
    description: str | None = None,
) -> Ruled:
    """Lets others reach what is in a security group; what is allowed already is no error.

    Args:
        aws: Carries out operations.
        group: Id of the security group.
        sources: Addresses (`10.0.0.0/8`, `2001:db8::/32`) or ids of security groups (`sg-…`).
        port: The port; all of them if none is given.
        to_port: The last one, if there are several.
        protocol: What they talk.
        description: Says what it is for.
    """
    changed = False
    for source in sources:
        rule = _rule(source, port, to_port, protocol, description)
        changed |= _is_done(
            aws,
            "ec2.AuthorizeSecurityGroupIngress",
            group,
            rule,
            already="InvalidPermission.Duplicate",
        )
    return {"group": group, "changed": changed}


@aws_action(
    "aws.ec2.security_group.revoke",
    label="Revoke in security group",
    calls=("ec2.RevokeSecurityGroupIngress",),
    repeat=Repeat.SAFE,
    icon="shield-minus",
    category="security",
)
def revoke(
    aws: Operations,
    *,
    group: Group,
    sources: Lines,
    port: Port | None = None,
    to_port: Port | None = None,
    protocol: Protocol = "tcp",
) -> Ruled:
    """Takes back what was allowed in a security group; what is not allowed is no error.

    Args:
        aws: Carries out operations.
        group: Id of the security group.
        sources: As they were allowed.
        port: As it was allowed.
        to_port: As it was allowed.
        protocol: As it was allowed.
    """
    changed = False
    for source in sources:
        rule = _rule(source, port, to_port, protocol, None)
        changed |= _is_done(
            aws,
            "ec2.RevokeSecurityGroupIngress",
            group,
            rule,
            already="InvalidPermission.NotFound",
        )
    return {"group": group, "changed": changed}


def _rule(
    source: str, port: int | None, to_port: int | None, protocol: Protocol, why: str | None
) -> dict[str, Json]:
    if source.startswith("sg-"):
        ranges, key = "UserIdGroupPairs", "GroupId"
    elif ":" in source:
        ranges, key = "Ipv6Ranges", "CidrIpv6"
    else:
        ranges, key = "IpRanges", "CidrIp"
    said = {"Description": why} if why else {}
    rule: dict[str, Json] = {ranges: [{key: source, **said}]}
    if protocol == "all":
        return {"IpProtocol": "-1", **rule}
    first, last = (0, 65_535) if protocol in {"tcp", "udp"} else (-1, -1)
    if port is not None:
        first, last = port, port if to_port is None else to_port
    return {"IpProtocol": protocol, "FromPort": first, "ToPort": last, **rule}


def _is_done(
    aws: Operations, operation: str, group: str, rule: dict[str, Json], *, already: str
) -> bool:
    """Ask for one rule and return whether that changed anything."""
    try:
        aws.ask(operation, GroupId=group, IpPermissions=[rule])
    except NodeError as error:
        if error.code != already:
            raise
        return False
    return True
