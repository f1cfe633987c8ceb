"""Policies of IAM."""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import Field
from typing_extensions import override

from cloudflow_dagster.nodes.resource_fields import FIXED, GIVEN
from cloudflow_dagster.providers.aws.curated.arns import IDENTITY, arn_of
from cloudflow_dagster.providers.aws.curated.iam.attached import ABSENT
from cloudflow_dagster.providers.aws.declare_resource import (
    AwsResource,
    Changed,
    Found,
    aws_resource,
)
from cloudflow_dagster.providers.aws.given import (
    Document,
    Tags,
    Text,
    document,
    gone,
    tag_list,
    tags_of,
)
from cloudflow_dagster.providers.aws.naming import Names
from cloudflow_dagster.providers.aws.operations import Operations

_VERSIONS = 5
"""So many are kept by IAM; one more is refused."""


@aws_resource(
    "aws.iam.policy",
    label="Policy",
    create=("iam.CreatePolicy",),
    read=(IDENTITY, "iam.GetPolicy", "iam.GetPolicyVersion"),
    update={
        "iam.ListPolicyVersions": ("document",),
        "iam.CreatePolicyVersion": ("document",),
        "iam.DeletePolicyVersion": ("document",),
        "iam.TagPolicy": ("tags",),
        "iam.UntagPolicy": ("tags",),
    },
    delete=("iam.DeletePolicy",),
)
class IamPolicy(AwsResource):
    """A policy of IAM that roles and users can have in common."""

    noun = "policy"
    name: Annotated[
        Text, FIXED, Names("PolicyName"), Field(max_length=128, description="What it is called.")
    ]
    document: Annotated[Document, Field(description="What it allows and forbids.")]
    description: Annotated[str | None, FIXED, Field(description="What it is for.")] = None
    tags: Annotated[Tags | None, Field(description="All its tags.")] = None
    arn: Annotated[str | None, GIVEN, Field(description="Names it.")] = None

    @override
    def create(self, aws: Operations) -> str:
        answer = aws.ask(
            "iam.CreatePolicy",
            PolicyName=self.name,
            PolicyDocument=json.dumps(self.document),
            Description=self.description,
        )
        return str(answer["Policy"]["Arn"])

    @classmethod
    @override
    def read(cls, aws: Operations, identifier: str) -> Found:
        named = identifier if ":" in identifier else None
        arn = named or arn_of(aws, "iam", f"policy/{identifier}", regional=False)
        answer = aws.find("iam.GetPolicy", absent=ABSENT, PolicyArn=arn)
        if answer is None:
            return None
        found = answer["Policy"]
        newest = found["DefaultVersionId"]
        version = aws.ask("iam.GetPolicyVersion", PolicyArn=arn, VersionId=newest)
        return arn, {
            "name": found["PolicyName"],
            "document": document(version["PolicyVersion"]["Document"]),
            "description": found.get("Description"),
            "tags": tags_of(found.get("Tags")),
            "arn": arn,
        }

    @override
    def update(self, aws: Operations, identifier: str, changed: Changed) -> None:
        if "document" in changed:
            old = _old_versions(aws, identifier)
            if len(old) >= _VERSIONS - 1:
                aws.ask("iam.DeletePolicyVersion", PolicyArn=identifier, VersionId=old[0])
            said = json.dumps(self.document)
            aws.ask(
                "iam.CreatePolicyVersion",
                PolicyArn=identifier,
                PolicyDocument=said,
                SetAsDefault=True,
            )
        if "tags" in changed:
            if self.tags:
                aws.ask("iam.TagPolicy", PolicyArn=identifier, Tags=tag_list(self.tags))
            if old := gone(changed["tags"], self.tags):
                aws.ask("iam.UntagPolicy", PolicyArn=identifier, TagKeys=[*old])

    @classmethod
    @override
    def delete(cls, aws: Operations, identifier: str) -> None:
        for version in _old_versions(aws, identifier):
            aws.ask("iam.DeletePolicyVersion", PolicyArn=identifier, VersionId=version)
        aws.ask("iam.DeletePolicy", PolicyArn=identifier)


def _old_versions(aws: Operations, arn: str) -> list[str]:
    """Return the versions that do not hold, the oldest first."""
    versions = aws.pages("iam.ListPolicyVersions", PolicyArn=arn).get("Versions", [])
    old = [each["VersionId"] for each in versions if not each["IsDefaultVersion"]]
    return sorted(old, key=lambda name: int(name[1:]))
