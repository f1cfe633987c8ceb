"""Buckets of S3."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict, override

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.resource_fields import FIXED, GIVEN
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.curated.s3.lifecycle import Rule, rule_of, sent_rule
from cloudflow_dagster.providers.aws.curated.s3.object import Bucket, delete_all
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.declare_resource import (
    AwsResource,
    Changed,
    Found,
    aws_resource,
)
from cloudflow_dagster.providers.aws.exposure import exposes
from cloudflow_dagster.providers.aws.given import (
    UNORDERED_LIST,
    Document,
    EncryptionKey,
    Tags,
    document,
    tag_list,
    tags_of,
)
from cloudflow_dagster.providers.aws.naming import Names
from cloudflow_dagster.providers.aws.operations import Operations

_AT_ONCE = 1000


_BLOCKED = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
_NO_ENCRYPTION = "ServerSideEncryptionConfigurationNotFoundError"


def _may_be_public(config: Mapping[str, Json]) -> str | None:
    if config.get("block_public_access") is False:
        return "It lets a bucket be opened to the public."
    return exposes(config)


@aws_resource(
    "aws.s3.bucket",
    label="Bucket",
    create=("s3.CreateBucket",),
    read=(
        "s3.HeadBucket",
        "s3.GetBucketVersioning",
        "s3.GetBucketEncryption",
        "s3.GetPublicAccessBlock",
        "s3.GetBucketLifecycleConfiguration",
        "s3.GetBucketPolicy",
        "s3.GetBucketTagging",
    ),
    update={
        "s3.PutBucketVersioning": ("versioning",),
        "s3.PutBucketEncryption": ("kms_key",),
        "s3.PutPublicAccessBlock": ("block_public_access",),
        "s3.PutBucketLifecycleConfiguration": ("lifecycle",),
        "s3.PutBucketPolicy": ("policy",),
        "s3.PutBucketTagging": ("tags",),
        "s3.DeleteBucketLifecycle": ("lifecycle",),
        "s3.DeleteBucketPolicy": ("policy",),
    },
    delete=("s3.DeleteBucket",),
    destructive_of=_may_be_public,
)
class S3Bucket(AwsResource):
    """A bucket of S3, encrypted and closed to the public."""

    noun = "bucket"
    name: Annotated[
        str,
        FIXED,
        Names("BucketName"),
        Field(min_length=3, max_length=63, description="Its name, like no other in the world."),
    ]
    versioning: Annotated[
        bool | None, Field(description="Whether it keeps what is overwritten and deleted.")
    ] = None
    block_public_access: Annotated[
        bool, Field(description="Whether nobody can open it to the public.")
    ] = True
    kms_key: Annotated[
        EncryptionKey | None,
        Field(description="Key of KMS that encrypts it; without one, S3 encrypts with its own."),
    ] = None
    lifecycle: Annotated[
        list[Rule] | None,
        Field(description="What is deleted or moved by itself.", json_schema_extra=UNORDERED_LIST),
    ] = None
    policy: Annotated[Document | None, Field(description="Who may do what with it.")] = None
    tags: Annotated[Tags | None, Field(description="All its tags.")] = None
    arn: Annotated[str | None, GIVEN, Field(description="Names it in policies.")] = None

    @override
    def create(self, aws: Operations) -> str:
        elsewhere = aws.region not in {None, "us-east-1"}
        where: Json = {"LocationConstraint": aws.region} if elsewhere else None
        aws.ask("s3.CreateBucket", Bucket=self.name, CreateBucketConfiguration=where)
        return self.name

    @classmethod
    @override
    def read(cls, aws: Operations, identifier: str) -> Found:
        def look(operation: str, *absent: str) -> dict[str, Any]:
            return aws.find(f"s3.{operation}", absent=absent, Bucket=identifier) or {}

        if aws.find("s3.HeadBucket", absent=("404", "NoSuchBucket"), Bucket=identifier) is None:
            return None
        block = look("GetPublicAccessBlock", "NoSuchPublicAccessBlockConfiguration")
        blocked: dict[str, Any] = block.get("PublicAccessBlockConfiguration", {})
        encryption = look("GetBucketEncryption", _NO_ENCRYPTION)
        rules = look("GetBucketLifecycleConfiguration", "NoSuchLifecycleConfiguration")
        policy = look("GetBucketPolicy", "NoSuchBucketPolicy").get("Policy")
        return identifier, {
            "name": identifier,
            "versioning": look("GetBucketVersioning").get("Status") == "Enabled",
            "block_public_access": all(blocked.get(name) for name in _BLOCKED),
            "kms_key": _key_of(encryption),
            "lifecycle": [rule_of(each) for each in rules.get("Rules", [])],
            "policy": document(policy),
            "tags": tags_of(look("GetBucketTagging", "NoSuchTagSet").get("TagSet")),
            "arn": f"arn:aws:s3:::{identifier}",
        }

    @override
    def update(self, aws: Operations, identifier: str, changed: Changed) -> None:
        def put(field: str, operation: str, **arguments: Json) -> None:
            if field in changed:
                aws.ask(f"s3.{operation}", Bucket=identifier, **arguments)

        blocked: Json = dict.fromkeys(_BLOCKED, self.block_public_access)
        put("block_public_access", "PutPublicAccessBlock", PublicAccessBlockConfiguration=blocked)
        status: Json = {"Status": "Enabled" if self.versioning else "Suspended"}
        put("versioning", "PutBucketVersioning", VersioningConfiguration=status)
        key: Json = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": self.kms_key}
        rule: Json = {"ApplyServerSideEncryptionByDefault": key, "BucketKeyEnabled": True}
        encryption: Json = {"Rules": [rule]}
        put("kms_key", "PutBucketEncryption", ServerSideEncryptionConfiguration=encryption)
        if self.lifecycle:
            rules: Json = {"Rules": [sent_rule(each) for each in self.lifecycle]}
            put("lifecycle", "PutBucketLifecycleConfiguration", LifecycleConfiguration=rules)
        else:
            put("lifecycle", "DeleteBucketLifecycle")
        if self.policy:
            put("policy", "PutBucketPolicy", Policy=json.dumps(self.policy))
        else:
            put("policy", "DeleteBucketPolicy")
        put("tags", "PutBucketTagging", Tagging={"TagSet": tag_list(self.tags or {})})

    @classmethod
    @override
    def delete(cls, aws: Operations, identifier: str) -> None:
        aws.ask("s3.DeleteBucket", Bucket=identifier)


def _key_of(encryption: dict[str, Any]) -> Json:
    rules: list[dict[str, Any]] = encryption.get("ServerSideEncryptionConfiguration", {}).get(
        "Rules", []
    )
    defaults = [each.get("ApplyServerSideEncryptionByDefault", {}) for each in rules]
    return next((each["KMSMasterKeyID"] for each in defaults if "KMSMasterKeyID" in each), None)


class Emptied(TypedDict):
    """What is gone."""

    bucket: Annotated[str, Field(description="The bucket.")]
    deleted: Annotated[int, Field(description="How many objects, versions and marks were deleted.")]


@aws_action(
    "aws.s3.bucket.empty",
    label="Empty bucket",
    calls=("s3.ListObjectVersions", "s3.DeleteObjects"),
    sends={"VersionId": ()},
    repeat=Repeat.SAFE,
    destructive="It deletes all that a bucket holds, with all versions of it.",
    icon="trash-2",
)
def empty(aws: Operations, *, bucket: Bucket, prefix: str = "") -> Emptied:
    """Deletes all objects of a bucket with all their versions; the bucket itself stays.

    Args:
        aws: Carries out operations.
        bucket: Name of the bucket.
        prefix: What the keys begin with of what is deleted; everything if it is empty.
    """
    deleted = 0
    while True:
        # What is deleted is no longer listed, so the first page is asked for again and again.
        answer = aws.ask("s3.ListObjectVersions", Bucket=bucket, Prefix=prefix, MaxKeys=_AT_ONCE)
        found: list[dict[str, Any]] = [
            *answer.get("Versions", []),
            *answer.get("DeleteMarkers", []),
        ]
        if not found:
            return {"bucket": bucket, "deleted": deleted}
        listed: list[Json] = [
            {"Key": each["Key"], "VersionId": each["VersionId"]} for each in found
        ]
        delete_all(aws, bucket, listed)
        deleted += len(listed)
