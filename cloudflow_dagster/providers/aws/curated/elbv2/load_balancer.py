"""Load balancers for HTTP."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Self

from pydantic import Field, model_validator
from typing_extensions import override

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.resource_fields import FIXED, GIVEN
from cloudflow_dagster.providers.aws.curated.elbv2.listeners import (
    Listener,
    find_listeners,
    listener_as_asked_for,
    listener_as_written,
)
from cloudflow_dagster.providers.aws.curated.elbv2.target_groups import (
    TargetGroup,
    bring_about,
    find_groups,
    group_as_written,
    groups_made_for,
)
from cloudflow_dagster.providers.aws.curated.fields import (
    Host,
    SecurityGroups,
    Subnets,
    WebAcl,
    ZoneId,
)
from cloudflow_dagster.providers.aws.declare_resource import (
    AwsResource,
    Changed,
    Found,
    aws_resource,
)
from cloudflow_dagster.providers.aws.given import (
    UNORDERED_LIST,
    Tags,
    gone,
    tag_list,
    tags_of,
)
from cloudflow_dagster.providers.aws.naming import Names
from cloudflow_dagster.providers.aws.operations import Operations

_ABSENT = ("LoadBalancerNotFound", "LoadBalancerNotFoundException")
_PARTS = ("listeners", "target_groups")


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
        "elbv2.AddTags": ("tags", "target_groups"),
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
        Names("LoadBalancerName"),
        Field(pattern="^[A-Za-z0-9][A-Za-z0-9-]{0,31}$", description="What it is called."),
    ]
    subnets: Annotated[Subnets, Field(min_length=2, description="Ids, of two zones at least.")]
    security_groups: Annotated[SecurityGroups, Field(description="Who reaches it.")] = None
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
    web_acl: Annotated[WebAcl, Names("WebACLArn")] = None
    tags: Annotated[Tags | None, Field(description="All its tags.")] = None
    arn: Annotated[str | None, GIVEN, Field(description="Names it.")] = None
    host: Host = None
    zone_id: ZoneId = None
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
        groups = find_groups(aws, LoadBalancerArn=arn)
        by_arn = {each["TargetGroupArn"]: each["TargetGroupName"] for each in groups}
        tags = aws.ask("elbv2.DescribeTags", ResourceArns=[arn])["TagDescriptions"]
        kept_to: Any = aws.ask("wafv2.GetWebACLForResource", ResourceArn=arn).get("WebACL")
        return identifier, {
            "name": identifier,
            "subnets": [each["SubnetId"] for each in found["AvailabilityZones"]],
            "security_groups": found.get("SecurityGroups", []),
            "internal": found["Scheme"] == "internal",
            "listeners": [listener_as_written(each, by_arn) for each in find_listeners(aws, arn)],
            "target_groups": [group_as_written(each) for each in groups],
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
        used = find_groups(aws, LoadBalancerArn=balancer)
        arns = {str(each["TargetGroupName"]): str(each["TargetGroupArn"]) for each in used}
        for group in self.target_groups or ():
            uses = group.name in arns
            arns[group.name] = bring_about(aws, group, balancer=self.name, vpc=vpc, uses=uses)
        listeners = {each["Port"]: each for each in find_listeners(aws, balancer)}
        if self.listeners is not None:
            names = {arn: name for name, arn in arns.items()}
            for listener in self.listeners:
                present = listeners.pop(listener.port, None)
                wanted = listener_as_asked_for(listener, arns)
                if present is None:
                    aws.ask("elbv2.CreateListener", LoadBalancerArn=balancer, **wanted)
                elif listener_as_written(present, names) != listener.model_dump(exclude_none=True):
                    aws.ask("elbv2.ModifyListener", ListenerArn=present["ListenerArn"], **wanted)
            for each in listeners.values():
                aws.ask("elbv2.DeleteListener", ListenerArn=each["ListenerArn"])
        if self.target_groups is not None:
            _delete_groups(aws, self.name, but={group.name for group in self.target_groups})

    @classmethod
    @override
    def delete(cls, aws: Operations, identifier: str) -> None:
        found = aws.ask("elbv2.DescribeLoadBalancers", Names=[identifier])["LoadBalancers"][0]
        arn: str = found["LoadBalancerArn"]
        aws.ask("elbv2.DeleteLoadBalancer", LoadBalancerArn=arn)
        aws.wait("elbv2.load_balancers_deleted", LoadBalancerArns=[arn])
        _delete_groups(aws, identifier)

    @classmethod
    @override
    def delete_rest(cls, aws: Operations, identifier: str) -> None:
        _delete_groups(aws, identifier)


def _delete_groups(aws: Operations, balancer: str, but: Collection[str] = ()) -> None:
    """Delete the target groups that were made for a load balancer; those of others stay."""
    for group in groups_made_for(aws, balancer):
        if group["TargetGroupName"] not in but:
            aws.ask("elbv2.DeleteTargetGroup", TargetGroupArn=group["TargetGroupArn"])
