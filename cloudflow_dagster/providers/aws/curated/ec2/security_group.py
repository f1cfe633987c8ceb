"""Rules of security groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, cast

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict, override

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.fields import Lines
from cloudflow_dagster.nodes.resource_fields import FIXED, GIVEN
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.access import ANYWHERE
from cloudflow_dagster.providers.aws.curated.ec2.named import TAGGING, having, only, set_tags
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.declare_resource import (
    AwsResource,
    Changed,
    Found,
    aws_resource,
)
from cloudflow_dagster.providers.aws.given import (
    ONE,
    UNORDERED_LIST,
    Tags,
    Text,
    one,
    tags_of,
)
from cloudflow_dagster.providers.aws.naming import Names
from cloudflow_dagster.providers.aws.operations import Operations

Group = Annotated[str, one("id", "GroupId"), ONE, Names("SecurityGroupId")]
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


class Allowed(BaseModel):
    """A rule: who may come in, and where."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    source: Annotated[
        str, one("id", "GroupId"), ONE, Field(description="`10.0.0.0/8`, or another group.")
    ]
    port: Annotated[Port | None, Field(description="All of them, if not given.")] = None
    to_port: Annotated[Port | None, Field(description="The last one of several.")] = None
    protocol: Annotated[Protocol, Field(description="What they talk.")] = "tcp"
    description: Annotated[str | None, Field(description="What it is for.")] = None

    def sent(self) -> dict[str, Json]:
        """Return it as EC2 takes it."""
        return _rule(self.source, self.port, self.to_port, self.protocol, self.description)


def _lets_all_in(config: Mapping[str, Json]) -> str | None:
    rules = config.get("rules")
    sources = [
        cast("dict[str, Json]", rule).get("source")
        for rule in (cast("list[Json]", rules) if isinstance(rules, list) else [])
        if isinstance(rule, dict)
    ]
    return opens_to_all({"sources": sources})


@aws_resource(
    "aws.ec2.security_group",
    label="Security group",
    create=("ec2.CreateSecurityGroup",),
    read=("ec2.DescribeSecurityGroups",),
    update={
        "ec2.AuthorizeSecurityGroupIngress": ("rules",),
        "ec2.RevokeSecurityGroupIngress": ("rules",),
        **TAGGING,
    },
    delete=("ec2.DeleteSecurityGroup",),
    destructive_of=_lets_all_in,
    icon="shield",
    category="security",
)
class SecurityGroup(AwsResource):
    """A security group, with all rules that let somebody in."""

    noun = "security group"
    has_identifier: ClassVar[bool] = True
    name: Annotated[Text, FIXED, Field(max_length=255, description="What it is called.")]
    vpc: Annotated[
        str | None,
        one("id", "identifier", "VpcId"),
        ONE,
        Names("VpcId"),
        FIXED,
        Field(description="Where it is; in the default one, if not given."),
    ] = None
    description: Annotated[Text, FIXED, Field(max_length=255, description="What it is for.")] = (
        "Made by CloudFlow"
    )
    rules: Annotated[
        list[Allowed] | None,
        Field(description="All that may come in.", json_schema_extra=UNORDERED_LIST),
    ] = None
    tags: Annotated[Tags | None, Field(description="All its tags.")] = None
    id: Annotated[str | None, GIVEN, Field(description="What AWS calls it.")] = None

    @override
    def identify(self) -> str:
        return f"{self.vpc}|{self.name}" if self.vpc else self.name

    @override
    def create(self, aws: Operations) -> str:
        made = aws.ask(
            "ec2.CreateSecurityGroup",
            GroupName=self.name,
            Description=self.description,
            VpcId=self.vpc,
        )
        return str(made["GroupId"])

    @classmethod
    @override
    def read(cls, aws: Operations, identifier: str) -> Found:
        vpc, _, name = identifier.rpartition("|")
        by = {"group_id" if name.startswith("sg-") else "group_name": name}
        listed = aws.pages(
            "ec2.DescribeSecurityGroups", Filters=having(**by, **({"vpc_id": vpc} if vpc else {}))
        )
        found = only(listed.get("SecurityGroups", []), cls.noun, identifier)
        if found is None:
            return None
        return found["GroupId"], {
            "name": found["GroupName"],
            "vpc": found.get("VpcId"),
            "description": found["Description"],
            "rules": [rule for each in found.get("IpPermissions", []) for rule in _rules_of(each)],
            "tags": tags_of(found.get("Tags")),
            "id": found["GroupId"],
        }

    @override
    def update(self, aws: Operations, identifier: str, changed: Changed) -> None:
        if "rules" in changed:
            before = [Allowed.model_validate(each) for each in changed["rules"] or ()]
            wanted = self.rules or []
            if old := [each.sent() for each in before if each not in wanted]:
                aws.ask("ec2.RevokeSecurityGroupIngress", GroupId=identifier, IpPermissions=[*old])
            if new := [each.sent() for each in wanted if each not in before]:
                aws.ask(
                    "ec2.AuthorizeSecurityGroupIngress", GroupId=identifier, IpPermissions=[*new]
                )
        set_tags(aws, identifier, changed, self.tags)

    @classmethod
    @override
    def delete(cls, aws: Operations, identifier: str) -> None:
        aws.ask("ec2.DeleteSecurityGroup", GroupId=identifier)


def _rules_of(found: dict[str, Any]) -> list[Json]:
    """Return a rule of EC2, which may have many sources, in the form of `Allowed`."""
    protocol = "all" if found["IpProtocol"] == "-1" else found["IpProtocol"]
    first, last = found.get("FromPort"), found.get("ToPort")
    where: dict[str, Json] = {"protocol": protocol}
    if first not in {None, -1} and (first, last) != (0, 65_535):
        where |= {"port": first} | ({"to_port": last} if last != first else {})
    sources = [
        (each[key], each.get("Description"))
        for ranges, key in (
            ("IpRanges", "CidrIp"),
            ("Ipv6Ranges", "CidrIpv6"),
            ("UserIdGroupPairs", "GroupId"),
        )
        for each in found.get(ranges, [])
    ]
    return [
        {"source": source, **where, **({"description": why} if why else {})}
        for source, why in sources
    ]
