"""Rules of WAF for a web site."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import override

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.resource_fields import FIXED, GIVEN
from cloudflow_dagster.providers.aws.declare_resource import (
    AwsResource,
    Changed,
    Found,
    aws_resource,
)
from cloudflow_dagster.providers.aws.given import Tags, gone, tag_list, tags_of
from cloudflow_dagster.providers.aws.naming import Names
from cloudflow_dagster.providers.aws.operations import Operations

_RULES = ("default", "managed_rules", "requests_in_5_minutes", "blocked_countries")
_RATE, _COUNTRIES = "too-many-requests", "blocked-countries"
_NAME = r"^[A-Za-z0-9_-]{1,128}$"


@aws_resource(
    "aws.wafv2.web_acl",
    label="Web ACL",
    create=("wafv2.CreateWebACL",),
    read=("wafv2.ListWebACLs", "wafv2.GetWebACL", "wafv2.ListTagsForResource"),
    update={
        "wafv2.UpdateWebACL": _RULES,
        "wafv2.TagResource": ("tags",),
        "wafv2.UntagResource": ("tags",),
    },
    delete=("wafv2.DeleteWebACL",),
    transient=("WAFOptimisticLockException", "WAFUnavailableEntityException"),
)
class WebAcl(AwsResource):
    """What requests a web site takes: a load balancer's, or a distribution's of CloudFront.

    Rules that were made by other means stay, after those of the config. One for CloudFront lies in
    the region `us-east-1`.
    """

    noun = "web ACL"
    name: Annotated[
        str, FIXED, Names("WebACLName"), Field(pattern=_NAME, description="What it is called.")
    ]
    scope: Annotated[
        Literal["regional", "cloudfront"],
        FIXED,
        Names("Scope"),
        Field(description="What it can be used for."),
    ] = "regional"
    default: Annotated[
        Literal["allow", "block"],
        Field(description="What becomes of a request of which no rule is."),
    ] = "allow"
    managed_rules: Annotated[
        list[str] | None,
        Field(
            description="AWS's own groups of rules, the first one first: "
            "`AWSManagedRulesCommonRuleSet`, `AWSManagedRulesKnownBadInputsRuleSet` …"
        ),
    ] = None
    requests_in_5_minutes: Annotated[
        int | None, Field(ge=10, description="Most that one address may send; more are blocked.")
    ] = None
    blocked_countries: Annotated[
        list[str] | None, Field(description="Whose requests are blocked: `KP`, …")
    ] = None
    tags: Annotated[Tags | None, Field(description="All its tags.")] = None
    id: Annotated[str | None, GIVEN, Field(description="What AWS calls it.")] = None
    arn: Annotated[str | None, GIVEN, Field(description="Names it.")] = None

    @override
    def identify(self) -> str | None:
        return f"{self.scope}/{self.name}"

    @override
    def create(self, aws: Operations) -> str:
        aws.ask(
            "wafv2.CreateWebACL",
            Name=self.name,
            Scope=self.scope.upper(),
            DefaultAction=self._default(),
            Rules=self._rules(()),
            VisibilityConfig=_seen_as(self.name),
        )
        return f"{self.scope}/{self.name}"

    @classmethod
    @override
    def read(cls, aws: Operations, identifier: str) -> Found:
        found = _whole(aws, identifier)
        if found is None:
            return None
        scope, _, name = identifier.partition("/")
        acl: dict[str, Any] = found["WebACL"]
        arn = acl["ARN"]
        tags = aws.ask("wafv2.ListTagsForResource", ResourceARN=arn)["TagInfoForResource"]
        return identifier, {
            "name": name,
            "scope": scope,
            "default": "allow" if "Allow" in acl["DefaultAction"] else "block",
            **_read_rules(acl.get("Rules", [])),
            "tags": tags_of(tags.get("TagList")),
            "id": acl["Id"],
            "arn": arn,
        }

    @override
    def update(self, aws: Operations, identifier: str, changed: Changed) -> None:
        found = _whole(aws, identifier) or {}
        acl: dict[str, Any] = found["WebACL"]
        if not changed.keys().isdisjoint(_RULES):
            aws.ask(
                "wafv2.UpdateWebACL",
                Name=self.name,
                Scope=self.scope.upper(),
                Id=acl["Id"],
                LockToken=found["LockToken"],
                DefaultAction=self._default(),
                Rules=self._rules(acl.get("Rules", [])),
                VisibilityConfig=acl["VisibilityConfig"],
            )
        if "tags" in changed:
            if self.tags:
                aws.ask("wafv2.TagResource", ResourceARN=acl["ARN"], Tags=tag_list(self.tags))
            if old := gone(changed["tags"], self.tags):
                aws.ask("wafv2.UntagResource", ResourceARN=acl["ARN"], TagKeys=[*old])

    @classmethod
    @override
    def delete(cls, aws: Operations, identifier: str) -> None:
        found = _whole(aws, identifier) or {}
        scope, _, name = identifier.partition("/")
        aws.ask(
            "wafv2.DeleteWebACL",
            Name=name,
            Scope=scope.upper(),
            Id=found["WebACL"]["Id"],
            LockToken=found["LockToken"],
        )

    def _default(self) -> Json:
        return {self.default.capitalize(): {}}

    def _rules(self, there: Sequence[Mapping[str, Any]]) -> list[Json]:
        """Return all rules as AWS takes them: what the config leaves open is as it is there."""
        before = _read_rules(there)
        limit = self.requests_in_5_minutes or before.get("requests_in_5_minutes")
        managed = before.get("managed_rules") if self.managed_rules is None else self.managed_rules
        countries = self.blocked_countries
        if countries is None:
            countries = before.get("blocked_countries")
        rules: list[dict[str, Any]] = []
        if countries:
            rules.append(_blocking(_COUNTRIES, GeoMatchStatement={"CountryCodes": [*countries]}))
        if limit:
            rate: Json = {"Limit": limit, "AggregateKeyType": "IP"}
            rules.append(_blocking(_RATE, RateBasedStatement=rate))
        rules += [_managed(name) for name in managed or ()]
        rules += [dict(each) for each in there if not _is_ours(each)]
        return [{**rule, "Priority": place} for place, rule in enumerate(rules)]


def _whole(aws: Operations, identifier: str) -> dict[str, Any] | None:
    """Return a web ACL and the token that changing it needs."""
    scope, _, name = identifier.partition("/")
    for each in _listed(aws, scope.upper()):
        if each["Name"] == name:
            return aws.find(
                "wafv2.GetWebACL",
                absent=("WAFNonexistentItemException",),
                Name=name,
                Scope=scope.upper(),
                Id=each["Id"],
            )
    return None


def _listed(aws: Operations, scope: str) -> list[dict[str, Any]]:
    """Return all of a scope; botocore knows no pages of this operation."""
    found: list[dict[str, Any]] = []
    marker: Json = None
    while True:
        answer = aws.ask("wafv2.ListWebACLs", Scope=scope, NextMarker=marker, Limit=100)
        found += answer.get("WebACLs", [])
        marker = answer.get("NextMarker")
        if not marker:
            return found


def _seen_as(name: str) -> Json:
    return {
        "SampledRequestsEnabled": True,
        "CloudWatchMetricsEnabled": True,
        "MetricName": name,
    }


def _blocking(name: str, **statement: Json) -> dict[str, Any]:
    seen = _seen_as(name)
    return {
        "Name": name,
        "Statement": statement,
        "Action": {"Block": {}},
        "VisibilityConfig": seen,
    }


def _managed(name: str) -> dict[str, Any]:
    return {
        "Name": name,
        "Statement": {"ManagedRuleGroupStatement": {"VendorName": "AWS", "Name": name}},
        "OverrideAction": {"None": {}},
        "VisibilityConfig": _seen_as(name),
    }


def _read_rules(rules: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the fields that rules of ours stand for."""
    by_name = {str(each["Name"]): each["Statement"] for each in rules if _is_ours(each)}
    rate, countries = by_name.pop(_RATE, None), by_name.pop(_COUNTRIES, None)
    return {
        "managed_rules": list(by_name),
        "requests_in_5_minutes": rate["RateBasedStatement"]["Limit"] if rate else None,
        "blocked_countries": countries["GeoMatchStatement"]["CountryCodes"] if countries else [],
    }


def _is_ours(rule: Mapping[str, Any]) -> bool:
    """Return whether a rule is one that the fields can say."""
    name = str(rule["Name"])
    statement: dict[str, Any] = rule["Statement"]
    if name in {_RATE, _COUNTRIES}:
        kind = "RateBasedStatement" if name == _RATE else "GeoMatchStatement"
        return "Block" in rule.get("Action", {}) and kind in statement
    managed = {"VendorName": "AWS", "Name": name}
    return statement.get("ManagedRuleGroupStatement") == managed and "None" in rule.get(
        "OverrideAction", {}
    )
