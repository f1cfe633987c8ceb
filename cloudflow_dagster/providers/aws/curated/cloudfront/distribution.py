"""Distributions of CloudFront."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypedDict, override

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.fields import Lines
from cloudflow_dagster.nodes.resource_fields import FIXED, GIVEN
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.curated.cloudfront.origin import (
    bucket_origin,
    origin_as_written,
    server_origin,
)
from cloudflow_dagster.providers.aws.curated.fields import Host, WebAcl, ZoneId
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
    gone,
    one,
    tag_list,
    tags_of,
)
from cloudflow_dagster.providers.aws.naming import Names
from cloudflow_dagster.providers.aws.operations import Operations

Distribution = Annotated[str, one("id", "Id"), ONE, Names("DistributionId")]
_EVERY = 15.0
_ZONE = "Z2FDTNDATAQYW2"
"""The zone of all distributions' names.

https://docs.aws.amazon.com/Route53/latest/APIReference/API_AliasTarget.html
"""
_CACHED = "658327ea-f89d-4fab-a63d-7e88639e58f6"
_NOT_CACHED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
"""AWS's policies `CachingOptimized` and `CachingDisabled`.

https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-cache-policies.html
"""
_ALL_BUT_HOST = "b689b0a8-53d0-40ab-baf2-68738e2966ac"
"""AWS's policy `AllViewerExceptHostHeader`: what a server that answers each request wants to know.

https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-origin-request-policies.html
"""
_READING = ["GET", "HEAD"]
_WRITING = ["OPTIONS", "PUT", "POST", "PATCH", "DELETE"]
_CONFIG = (
    *("bucket", "bucket_region", "domain", "aliases", "certificate", "default_page"),
    *("price_class", "cached", "web_acl", "enabled"),
)


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


@aws_resource(
    "aws.cloudfront.distribution",
    label="Distribution",
    create=("cloudfront.CreateDistribution",),
    read=(
        "cloudfront.ListDistributions",
        "cloudfront.GetDistribution",
        "cloudfront.ListTagsForResource",
    ),
    update={
        "cloudfront.UpdateDistribution": _CONFIG,
        "cloudfront.ListOriginAccessControls": ("bucket",),
        "cloudfront.CreateOriginAccessControl": ("bucket",),
        "s3.GetBucketLocation": ("bucket",),
        "cloudfront.TagResource": ("tags",),
        "cloudfront.UntagResource": ("tags",),
    },
    delete=("cloudfront.DeleteDistribution",),
    transient=("PreconditionFailed",),
)
class CloudFrontDistribution(AwsResource):
    """A distribution of CloudFront in front of a bucket or of a server, always with HTTPS.

    A bucket stays closed: it lets the distribution in if its policy allows the principal
    `cloudfront.amazonaws.com` to get objects where `AWS:SourceArn` is the distribution's `arn`.
    """

    noun = "distribution"
    name: Annotated[Text, FIXED, Field(max_length=128, description="Its comment.")]
    bucket: Annotated[
        Text | None,
        one("name", "Name"),
        ONE,
        Names("BucketName"),
        Field(description="Name of the bucket, if it is one."),
    ] = None
    bucket_region: Annotated[
        Text | None, Field(description="Where the bucket is, if S3 may not be asked for that.")
    ] = None
    domain: Annotated[
        Text | None, one("host", "DNSName"), ONE, Field(description="Name of the server, if not.")
    ] = None
    aliases: Annotated[
        list[str] | None,
        Field(description="All its own names.", json_schema_extra=UNORDERED_LIST),
    ] = None
    certificate: Annotated[
        Text | None,
        one("arn", "CertificateArn"),
        ONE,
        Field(description="ARN of ACM's for those names, in `us-east-1`."),
    ] = None
    default_page: Annotated[str | None, Field(description="What `/` stands for: `index.html`.")] = (
        None
    )
    price_class: Annotated[
        Literal["PriceClass_100", "PriceClass_200", "PriceClass_All"],
        Field(description="From where in the world it serves."),
    ] = "PriceClass_All"
    cached: Annotated[
        bool,
        Field(description="Whether answers are kept; if not, each request is passed on whole."),
    ] = True
    web_acl: WebAcl = None
    enabled: Annotated[bool, Field(description="Whether it answers.")] = True
    tags: Annotated[Tags | None, Field(description="All its tags.")] = None
    id: Annotated[str | None, GIVEN, Field(description="What AWS calls it.")] = None
    arn: Annotated[str | None, GIVEN, Field(description="Names it.")] = None
    host: Host = None
    zone_id: ZoneId = None

    @classmethod
    @override
    def clash(cls, given: Collection[str]) -> str | None:
        # What is given back of one that others made may have several.
        if ("bucket" in given) is ("domain" in given) and "id" not in given:
            return "give either `bucket` or `domain`"
        if "bucket_region" in given and "bucket" not in given:
            return "`bucket_region` says where `bucket` is, and there is none"
        return None

    @override
    def create(self, aws: Operations) -> str:
        config = {"CallerReference": aws.call.token, **self._settings(aws, {}, {})}
        made = aws.ask("cloudfront.CreateDistribution", DistributionConfig=config)
        aws.wait("cloudfront.distribution_deployed", Id=made["Distribution"]["Id"])
        return self.name

    @classmethod
    @override
    def read(cls, aws: Operations, identifier: str) -> Found:
        answer = _whole(aws, identifier)
        if answer is None:
            return None
        found: dict[str, Any] = answer["Distribution"]
        if found["Status"] == "InProgress":
            aws.wait("cloudfront.distribution_deployed", Id=found["Id"])
        config: dict[str, Any] = found["DistributionConfig"]
        tags = aws.ask("cloudfront.ListTagsForResource", Resource=found["ARN"])["Tags"]
        behavior: dict[str, Any] = config["DefaultCacheBehavior"]
        return identifier, {
            "name": identifier,
            **origin_as_written(config["Origins"]["Items"]),
            "aliases": config.get("Aliases", {}).get("Items") or [],
            "certificate": config.get("ViewerCertificate", {}).get("ACMCertificateArn"),
            "default_page": config.get("DefaultRootObject", ""),
            "price_class": config.get("PriceClass"),
            "cached": behavior.get("CachePolicyId") != _NOT_CACHED,
            "web_acl": config.get("WebACLId", ""),
            "enabled": config["Enabled"],
            "tags": tags_of(tags.get("Items")),
            "id": found["Id"],
            "arn": found["ARN"],
            "host": found["DomainName"],
            "zone_id": _ZONE,
        }

    @override
    def update(self, aws: Operations, identifier: str, changed: Changed) -> None:
        answer = _whole(aws, identifier) or {}
        found: dict[str, Any] = answer["Distribution"]
        if not changed.keys().isdisjoint(_CONFIG):
            config: dict[str, Any] = found["DistributionConfig"]
            aws.ask(
                "cloudfront.UpdateDistribution",
                Id=found["Id"],
                IfMatch=answer["ETag"],
                DistributionConfig={**config, **self._settings(aws, config, changed)},
            )
            aws.wait("cloudfront.distribution_deployed", Id=found["Id"])
        if "tags" in changed:
            arn: Json = found["ARN"]
            if self.tags:
                tags: Json = {"Items": tag_list(self.tags)}
                aws.ask("cloudfront.TagResource", Resource=arn, Tags=tags)
            if old := gone(changed["tags"], self.tags):
                keys: Json = {"Items": [*old]}
                aws.ask("cloudfront.UntagResource", Resource=arn, TagKeys=keys)

    @classmethod
    @override
    def delete(cls, aws: Operations, identifier: str) -> None:
        answer = _whole(aws, identifier) or {}
        found: dict[str, Any] = answer["Distribution"]
        tag: Json = answer["ETag"]
        if found["DistributionConfig"]["Enabled"]:
            off: Json = {**found["DistributionConfig"], "Enabled": False}
            told = aws.ask(
                "cloudfront.UpdateDistribution",
                Id=found["Id"],
                IfMatch=tag,
                DistributionConfig=off,
            )
            tag = told["ETag"]
        aws.wait("cloudfront.distribution_deployed", Id=found["Id"])
        aws.ask("cloudfront.DeleteDistribution", Id=found["Id"], IfMatch=tag)

    def _settings(
        self, aws: Operations, before: Mapping[str, Any], changed: Changed
    ) -> dict[str, Any]:
        """Return what AWS is told of the fields; all else is as it was, also what others have set.

        https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_UpdateDistribution.html: what
        is left out of an update is not kept.
        """
        settings: dict[str, Any] = {
            "Comment": self.name,
            "Enabled": self.enabled,
            "PriceClass": self.price_class,
        }
        elsewhere = not before or not {"bucket", "bucket_region", "domain"}.isdisjoint(changed)
        if elsewhere:
            settings["Origins"] = {"Quantity": 1, "Items": [self._origin(aws)]}
        if elsewhere or "cached" in changed:
            settings["DefaultCacheBehavior"] = self._behavior(
                before.get("DefaultCacheBehavior", {})
            )
        if self.default_page is not None or not before:
            settings["DefaultRootObject"] = self.default_page or ""
        if self.web_acl is not None:
            settings["WebACLId"] = self.web_acl
        if self.aliases is not None:
            settings["Aliases"] = {"Quantity": len(self.aliases), "Items": [*self.aliases]}
        if self.certificate is not None:
            settings["ViewerCertificate"] = {
                "ACMCertificateArn": self.certificate,
                "SSLSupportMethod": "sni-only",
                "MinimumProtocolVersion": "TLSv1.2_2021",
            }
        return settings

    def _origin(self, aws: Operations) -> dict[str, Any]:
        if self.bucket is None:
            return server_origin(self.domain)
        return bucket_origin(aws, self.bucket, self.bucket_region)

    def _behavior(self, before: Mapping[str, Any]) -> dict[str, Any]:
        methods = _READING if self.bucket else [*_READING, *_WRITING]
        behavior: dict[str, Any] = {
            **before,
            "TargetOriginId": "bucket" if self.bucket else "server",
            "ViewerProtocolPolicy": "redirect-to-https",
            "Compress": True,
            "CachePolicyId": _CACHED if self.cached else _NOT_CACHED,
            "AllowedMethods": {
                "Quantity": len(methods),
                "Items": methods,
                "CachedMethods": {"Quantity": len(_READING), "Items": _READING},
            },
        }
        if not self.cached and not self.bucket:
            behavior["OriginRequestPolicyId"] = _ALL_BUT_HOST
        elif behavior.get("OriginRequestPolicyId") == _ALL_BUT_HOST:
            del behavior["OriginRequestPolicyId"]
        return behavior


def _whole(aws: Operations, name: str) -> dict[str, Any] | None:
    """Return the distribution of a name, with the tag that changing it needs."""
    listed: dict[str, Any] = aws.pages("cloudfront.ListDistributions").get("DistributionList", {})
    distributions: list[dict[str, Any]] = listed.get("Items") or []
    found = [each for each in distributions if each["Comment"] == name]
    if len(found) > 1:
        raise NodeError(
            "Ambiguous",
            f"There are {len(found)} distributions with the comment `{name}`: give all but one "
            "another comment.",
            transient=False,
        )
    if not found:
        return None
    absent = ("NoSuchDistribution",)
    return aws.find("cloudfront.GetDistribution", absent=absent, Id=found[0]["Id"])
