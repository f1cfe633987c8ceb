"""Groups of logs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import override

from cloudflow_dagster.nodes.resource_fields import FIXED, GIVEN
from cloudflow_dagster.providers.aws.declare_resource import (
    AwsResource,
    Changed,
    Found,
    aws_resource,
)
from cloudflow_dagster.providers.aws.given import (
    EncryptionKey,
    Tags,
    Text,
    gone,
)
from cloudflow_dagster.providers.aws.naming import Names
from cloudflow_dagster.providers.aws.operations import Operations


@aws_resource(
    "aws.logs.log_group",
    label="Log group",
    create=("logs.CreateLogGroup",),
    read=("logs.DescribeLogGroups", "logs.ListTagsForResource"),
    update={
        "logs.PutRetentionPolicy": ("kept_days",),
        "logs.AssociateKmsKey": ("kms_key",),
        "logs.TagResource": ("tags",),
        "logs.UntagResource": ("tags",),
    },
    delete=("logs.DeleteLogGroup",),
    loss="All its logs.",
)
class LogGroup(AwsResource):
    """A group of logs of CloudWatch."""

    noun = "log group"
    name: Annotated[
        Text, FIXED, Names("LogGroupName"), Field(max_length=512, description="What it is called.")
    ]
    kept_days: Annotated[
        int | None, Field(ge=1, description="How long logs are kept; for ever at first.")
    ] = None
    kms_key: Annotated[
        EncryptionKey | None, Field(description="ARN of the key that encrypts it.")
    ] = None
    tags: Annotated[Tags | None, Field(description="All its tags.")] = None
    arn: Annotated[str | None, GIVEN, Field(description="Names it in policies.")] = None

    @override
    def create(self, aws: Operations) -> str:
        aws.ask("logs.CreateLogGroup", logGroupName=self.name, kmsKeyId=self.kms_key)
        return self.name

    @classmethod
    @override
    def read(cls, aws: Operations, identifier: str) -> Found:
        groups = aws.pages("logs.DescribeLogGroups", logGroupNamePrefix=identifier)["logGroups"]
        found = next((each for each in groups if each["logGroupName"] == identifier), None)
        if found is None:
            return None
        arn = str(found["arn"]).removesuffix(":*")
        return identifier, {
            "name": identifier,
            "kept_days": found.get("retentionInDays"),
            "kms_key": found.get("kmsKeyId"),
            "tags": aws.ask("logs.ListTagsForResource", resourceArn=arn).get("tags", {}),
            "arn": arn,
        }

    @override
    def update(self, aws: Operations, identifier: str, changed: Changed) -> None:
        if "kept_days" in changed:
            days = self.kept_days
            aws.ask("logs.PutRetentionPolicy", logGroupName=identifier, retentionInDays=days)
        if "kms_key" in changed:
            aws.ask("logs.AssociateKmsKey", logGroupName=identifier, kmsKeyId=self.kms_key)
        if "tags" in changed:
            found = self.read(aws, identifier)
            arn = found[1]["arn"] if found else None
            if self.tags:
                aws.ask("logs.TagResource", resourceArn=arn, tags=self.tags)
            if old := gone(changed["tags"], self.tags):
                aws.ask("logs.UntagResource", resourceArn=arn, tagKeys=[*old])

    @classmethod
    @override
    def delete(cls, aws: Operations, identifier: str) -> None:
        aws.ask("logs.DeleteLogGroup", logGroupName=identifier)
