"""Load balancers for HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import override

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.resource_fields import FIXED, GIVEN
from cloudflow_dagster.providers.aws.declare_resource import (
    AwsResource,
    Changed,
    Found,
    aws_resource,
)
from cloudflow_dagster.providers.aws.given import (
    MANY_TEXTS,
    ONE,
    UNORDERED_LIST,
    Tags,
    gone,
    many,
    one,
    tag_list,
    tags_of,
)
from cloudflow_dagster.providers.aws.operations import Operations

_ABSENT = ("LoadBalancerNotFound", "LoadBalancerNotFoundException")
_NO_GROUP = ("TargetGroupNotFound", "TargetGroupNotFoundException")
_PARTS = ("listeners", "target_groups")


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


class Listener(BaseModel):
    """What is done with the requests that come to a port."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    port: Annotated[int, Field(ge=1, le=65535, description="Where they come.")]
    certificate: Annotated[
        str | None,
        one("arn", "CertificateArn"),
        Field(description="ARN of one of ACM; with it, the port speaks HTTPS."),
        ONE,
    ] = None
    forward: Annotated[
        str | None, Field(description="Name of the target group to which they are sent.")
    ] = None
    redirect_to_https: Annotated[
        bool, Field(description="Whether they are told to come back with HTTPS, to port 443.")
    ] = False

    @model_validator(mode="after")
    def _does_one_thing(self) -> Self:
        if bool(self.forward) is self.redirect_to_https:
            raise ValueError("give either `forward` or `redirect_to_https`")
        return self


@aws_resource(
    "aws.elbv2.load_balancer",
    label="Load balancer",
    create=("elbv2.CreateLoadBalancer",),
    read=(
        "elbv2.DescribeLoadBalancers",
        "elbv2.DescribeListeners",
        "elbv2.DescribeTargetGroups",
        "elbv2.DescribeTags",
        "wafv2.GetWebACLForResource",
    ),
    update={
        "elbv2.SetSubnets": ("subnets",),
        "elbv2.SetSecurityGroups": ("security_groups",),
        "elbv2.CreateTargetGroup": _PARTS,
        "elbv2.ModifyTargetGroup": _PARTS,
        "elbv2.DeleteTargetGroup": _PARTS,
        "elbv2.CreateListener": _PARTS,
        "elbv2.ModifyListener": _PARTS,
        "elbv2.DeleteListener": _PARTS,
        "wafv2.AssociateWebACL": ("web_acl",),
        "wafv2.DisassociateWebACL": ("web_acl",),
        "elbv2.AddTags": ("tags",),
        "elbv2.RemoveTags": ("tags",),
    },
    delete=("elbv2.DeleteLoadBalancer", "elbv2.DeleteTargetGroup"),
    icon="split",
    category="networking",
)
class LoadBalancer(AwsResource):
    """An application load balancer, with its listeners and what they forward requests to."""

    noun = "load balancer"
    name: Annotated[
        str,
        FIXED,
        Field(pattern="^[A-Za-z0-9][A-Za-z0-9-]{0,31}$", description="What it is called."),
    ]
    subnets: Annotated[
        list[str],
        many("id", "SubnetId"),
        Field(
            min_length=2,
            description="Ids, of two zones at least.",
            json_schema_extra={**MANY_TEXTS, **UNORDERED_LIST},
        ),
    ]
    security_groups: Annotated[
        list[str] | None,
        many("id", "GroupId"),
        Field(description="Who reaches it.", json_schema_extra={**MANY_TEXTS, **UNORDERED_LIST}),
    ] = None
    internal: Annotated[
        bool, FIXED, Field(description="Whether only its own network reaches it.")
    ] = False
    listeners: Annotated[
        list[Listener] | None,
        Field(description="All its ports.", json_schema_extra=UNORDERED_LIST),
    ] = None
    target_groups: Annotated[
        list[TargetGroup] | None,
        Field(description="All that its listeners forward to.", json_schema_extra=UNORDERED_LIST),
    ] = None
    web_acl: Annotated[
        str | None,
        one("arn", "ARN"),
        ONE,
        Field(description="ARN of the rules of WAF that it keeps to; empty for none."),
    ] = None
    tags: Annotated[Tags | None, Field(description="All its tags.")] = None
    arn: Annotated[str | None, GIVEN, Field(description="Names it.")] = None
    host: Annotated[str | None, GIVEN, Field(description="Its name in the DNS.")] = None
    zone_id: Annotated[
        str | None, GIVEN, Field(description="Of `host`, for an alias in Route 53.")
    ] = None
    target_group_arns: Annotated[
        dict[str, str] | None, GIVEN, Field(description="The ARNs of the groups, by their names.")
    ] = None

    @model_validator(mode="after")
    def _groups_are_used(self) -> Self:
        groups = {each.name for each in self.target_groups or ()}
        used = {each.forward for each in self.listeners or () if each.forward}
        if self.target_groups is not None and groups != used:
            odd = ", ".join(f"`{name}`" for name in sorted(groups ^ used))
            raise ValueError(f"each target group is what a listener forwards to: see {odd}")
        return self

    @override
    def create(self, aws: Operations) -> str:
        made = aws.ask(
            "elbv2.CreateLoadBalancer",
            Name=self.name,
            Type="application",
            Scheme="internal" if self.internal else "internet-facing",
            Subnets=[*self.subnets],
            SecurityGroups=self.security_groups,
        )
        arn = made["LoadBalancers"][0]["LoadBalancerArn"]
        aws.wait("elbv2.load_balancer_available", LoadBalancerArns=[arn])
        return self.name

    @classmethod
    @override
    def read(cls, aws: Operations, identifier: str) -> Found:
        asked = "elbv2.DescribeLoadBalancers"
        answer = aws.find(asked, absent=_ABSENT, Names=[identifier])
        if answer is None or not answer.get("LoadBalancers"):
            return None
        found = answer["LoadBalancers"][0]
        arn: str = found["LoadBalancerArn"]
        if found["State"]["Code"] == "provisioning":
            aws.wait("elbv2.load_balancer_available", LoadBalancerArns=[arn])
            return cls.read(aws, identifier)
        groups = _groups(aws, LoadBalancerArn=arn)
        by_arn = {each["TargetGroupArn"]: each["TargetGroupName"] for each in groups}
        tags = aws.ask("elbv2.DescribeTags", ResourceArns=[arn])["TagDescriptions"]
        kept_to: Any = aws.ask("wafv2.GetWebACLForResource", ResourceArn=arn).get("WebACL")
        return identifier, {
            "name": identifier,
            "subnets": [each["SubnetId"] for each in found["AvailabilityZones"]],
            "security_groups": found.get("SecurityGroups", []),
            "internal": found["Scheme"] == "internal",
            "listeners": [_listener(each, by_arn) for each in _listeners(aws, arn)],
            "target_groups": [_group(each) for each in groups],
            "web_acl": kept_to["ARN"] if kept_to else "",
            "tags": tags_of(tags[0]["Tags"] if tags else None),
            "arn": arn,
            "host": found.get("DNSName"),
            "zone_id": found.get("CanonicalHostedZoneId"),
            "target_group_arns": {name: arn for arn, name in by_arn.items()},
        }

    @override
    def update(self, aws: Operations, identifier: str, changed: Changed) -> None:
        found = aws.ask("elbv2.DescribeLoadBalancers", Names=[identifier])["LoadBalancers"][0]
        arn: str = found["LoadBalancerArn"]
        if "subnets" in changed:
            aws.ask("elbv2.SetSubnets", LoadBalancerArn=arn, Subnets=[*self.subnets])
        if "security_groups" in changed:
            groups: Json = [*(self.security_groups or ())]
            aws.ask("elbv2.SetSecurityGroups", LoadBalancerArn=arn, SecurityGroups=groups)
        if not changed.keys().isdisjoint(_PARTS):
            self._set_parts(aws, arn, str(found["VpcId"]))
        if "web_acl" in changed and self.web_acl:
            aws.ask("wafv2.AssociateWebACL", WebACLArn=self.web_acl, ResourceArn=arn)
        elif "web_acl" in changed:
            aws.ask("wafv2.DisassociateWebACL", ResourceArn=arn)
        if "tags" in changed:
            if self.tags:
                aws.ask("elbv2.AddTags", ResourceArns=[arn], Tags=tag_list(self.tags))
            if old := gone(changed["tags"], self.tags):
                aws.ask("elbv2.RemoveTags", ResourceArns=[arn], TagKeys=[*old])

    def _set_parts(self, aws: Operations, balancer: str, vpc: str) -> None:
        """Bring about the groups, then the listeners; after that nothing uses the other groups."""
        before = _groups(aws, LoadBalancerArn=balancer)
        there = {each["TargetGroupName"]: each for each in before}
        arns = {name: str(each["TargetGroupArn"]) for name, each in there.items()}
        for group in self.target_groups or ():
            arns[group.name] = _brought_about(aws, group, vpc)
        listeners = {each["Port"]: each for each in _listeners(aws, balancer)}
        if self.listeners is not None:
            names = {arn: name for name, arn in arns.items()}
            for listener in self.listeners:
                present = listeners.pop(listener.port, None)
                wanted = _as_asked_for(listener, arns)
                if present is None:
                    aws.ask("elbv2.CreateListener", LoadBalancerArn=balancer, **wanted)
                elif _listener(present, names) != listener.model_dump(exclude_none=True):
                    aws.ask("elbv2.ModifyListener", ListenerArn=present["ListenerArn"], **wanted)
            for each in listeners.values():
                aws.ask("elbv2.DeleteListener", ListenerArn=each["ListenerArn"])
        if self.target_groups is not None:
            for name in there.keys() - {group.name for group in self.target_groups}:
                aws.ask("elbv2.DeleteTargetGroup", TargetGroupArn=arns[name])

    @classmethod
    @override
    def delete(cls, aws: Operations, identifier: str) -> None:
        found = aws.ask("elbv2.DescribeLoadBalancers", Names=[identifier])["LoadBalancers"][0]
        arn: str = found["LoadBalancerArn"]
        groups = _groups(aws, LoadBalancerArn=arn)
        aws.ask("elbv2.DeleteLoadBalancer", LoadBalancerArn=arn)
        aws.wait("elbv2.load_balancers_deleted", LoadBalancerArns=[arn])
        for group in groups:
            aws.ask("elbv2.DeleteTargetGroup", TargetGroupArn=group["TargetGroupArn"])


def _groups(aws: Operations, **which: Json) -> list[dict[str, Any]]:
    try:
        return aws.pages("elbv2.DescribeTargetGroups", **which).get("TargetGroups", [])
    except NodeError as error:
        if error.code in _NO_GROUP:
            return []
        raise


def _listeners(aws: Operations, balancer: str) -> list[dict[str, Any]]:
    return aws.pages("elbv2.DescribeListeners", LoadBalancerArn=balancer).get("Listeners", [])


def _group(found: Mapping[str, Any]) -> dict[str, Json]:
    return {
        "name": found["TargetGroupName"],
        "port": found["Port"],
        "protocol": found["Protocol"],
        "kind": found.get("TargetType", "instance"),
        "health": found.get("HealthCheckPath", "/"),
    }


def _listener(found: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Json]:
    """Return a listener as an author writes it; one that does something else is another one."""
    actions: list[dict[str, Any]] = found.get("DefaultActions") or []
    action = actions[-1] if actions else dict[str, Any]()
    certificates: list[dict[str, Any]] = found.get("Certificates") or []
    made: dict[str, Json] = {
        "port": found["Port"],
        "redirect_to_https": action.get("Type") == "redirect"
        and action.get("RedirectConfig", {}).get("Protocol") == "HTTPS",
    }
    if certificates:
        made["certificate"] = certificates[0]["CertificateArn"]
    if action.get("Type") == "forward":
        made["forward"] = names.get(action.get("TargetGroupArn", ""), "another load balancer's")
    return made


def _as_asked_for(listener: Listener, arns: Mapping[str, str]) -> dict[str, Json]:
    """Return a listener as AWS takes it."""
    if listener.redirect_to_https:
        to: dict[str, Json] = {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
        action: dict[str, Json] = {"Type": "redirect", "RedirectConfig": to}
    elif (group := arns.get(listener.forward or "")) is not None:
        action = {"Type": "forward", "TargetGroupArn": group}
    else:
        raise NodeError(
            "InvalidConfig",
            f"`listeners`: `{listener.forward}` is none of the load balancer's target groups: "
            "describe it in `target_groups`.",
            transient=False,
        )
    certificate = listener.certificate
    return {
        "Port": listener.port,
        "Protocol": "HTTPS" if certificate else "HTTP",
        "Certificates": [{"CertificateArn": certificate}] if certificate else None,
        "DefaultActions": [action],
    }


def _brought_about(aws: Operations, group: TargetGroup, vpc: str) -> str:
    """Make a target group, or change what can be changed of it; return its ARN."""
    found = _groups(aws, Names=[group.name])
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
        )
        return str(answer["TargetGroups"][0]["TargetGroupArn"])
    arn = str(found[0]["TargetGroupArn"])
    present, wanted = _group(found[0]), group.model_dump()
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
