"""Users of IAM."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, WithJsonSchema
from typing_extensions import override

from cloudflow_dagster.nodes.resource_fields import FIXED, GIVEN
from cloudflow_dagster.providers.aws.curated.iam.attached import (
    ABSENT,
    policies_of,
    reads,
    set_policies,
    take_policies,
    updates,
)
from cloudflow_dagster.providers.aws.declare_resource import (
    AwsResource,
    Changed,
    Found,
    aws_resource,
)
from cloudflow_dagster.providers.aws.given import (
    MANY_TEXTS,
    UNORDERED_LIST,
    Document,
    Tags,
    Text,
    many,
    tags_of,
)
from cloudflow_dagster.providers.aws.naming import Names
from cloudflow_dagster.providers.aws.operations import Operations


@aws_resource(
    "aws.iam.user",
    label="User",
    create=("iam.CreateUser",),
    read=("iam.GetUser", *reads("User")),
    update=updates("User"),
    delete=("iam.DeleteUser",),
)
class IamUser(AwsResource):
    """A user of IAM, without password and keys."""

    noun = "user"
    name: Annotated[
        Text, FIXED, Names("UserName"), Field(max_length=64, description="What it is called.")
    ]
    policies: Annotated[
        list[str] | None,
        many("arn", "PolicyArn"),
        WithJsonSchema({**MANY_TEXTS, **UNORDERED_LIST}),
        Field(description="ARNs of all policies that are attached to it."),
    ] = None
    inline_policies: Annotated[
        dict[str, Document] | None, Field(description="All policies of its own, by name.")
    ] = None
    tags: Annotated[Tags | None, Field(description="All its tags.")] = None
    arn: Annotated[str | None, GIVEN, Field(description="Names it.")] = None

    @override
    def create(self, aws: Operations) -> str:
        aws.ask("iam.CreateUser", UserName=self.name)
        return self.name

    @classmethod
    @override
    def read(cls, aws: Operations, identifier: str) -> Found:
        answer = aws.find("iam.GetUser", absent=ABSENT, UserName=identifier)
        if answer is None:
            return None
        return identifier, {
            "name": identifier,
            **policies_of(aws, "User", identifier),
            "tags": tags_of(answer["User"].get("Tags")),
            "arn": answer["User"]["Arn"],
        }

    @override
    def update(self, aws: Operations, identifier: str, changed: Changed) -> None:
        set_policies(
            aws,
            "User",
            identifier,
            changed,
            policies=self.policies,
            inline=self.inline_policies,
            tags=self.tags,
        )

    @classmethod
    @override
    def delete(cls, aws: Operations, identifier: str) -> None:
        take_policies(aws, "User", identifier)
        aws.ask("iam.DeleteUser", UserName=identifier)
