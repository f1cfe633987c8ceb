"""Roles of IAM."""

from __future__ import annotations

import json
from typing import Annotated, Any, cast

from pydantic import BeforeValidator, Field, WithJsonSchema
from typing_extensions import override

from cloudflow_dagster.flow.model import Json
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
    document,
    many,
    tags_of,
)
from cloudflow_dagster.providers.aws.naming import Names
from cloudflow_dagster.providers.aws.operations import Operations


def _trust(value: Any) -> Any:
    """Return the document that lets services take the role, or the one that is written."""
    names = [value] if isinstance(value, str) and not value.startswith("{") else value
    if not isinstance(names, list):
        return document(value)
    services = cast("list[Json]", names)
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": services[0] if len(services) == 1 else services},
                "Action": "sts:AssumeRole",
            }
        ],
    }


@aws_resource(
    "aws.iam.role",
    label="Role",
    create=("iam.CreateRole",),
    read=("iam.GetRole", *reads("Role")),
    update={
        "iam.UpdateAssumeRolePolicy": ("trust",),
        "iam.UpdateRole": ("description", "longest_seconds"),
        **updates("Role"),
    },
    delete=("iam.DeleteRole",),
)
class IamRole(AwsResource):
    """A role of IAM, with who may take it and what it may do."""

    noun = "role"
    name: Annotated[
        Text, FIXED, Names("RoleName"), Field(max_length=64, description="What it is called.")
    ]
    trust: Annotated[
        dict[str, Any],
        BeforeValidator(_trust),
        WithJsonSchema({"type": ["object", "string", "array"], "items": {"type": "string"}}),
        Field(description="Who may take it: services (`lambda.amazonaws.com`), or a policy."),
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
    description: Annotated[str | None, Field(description="What it is for.")] = None
    longest_seconds: Annotated[
        int | None, Field(ge=3600, le=43_200, description="How long somebody may have it at most.")
    ] = None
    tags: Annotated[Tags | None, Field(description="All its tags.")] = None
    arn: Annotated[str | None, GIVEN, Field(description="Names it.")] = None

    @override
    def create(self, aws: Operations) -> str:
        aws.ask(
            "iam.CreateRole",
            RoleName=self.name,
            AssumeRolePolicyDocument=json.dumps(self.trust),
            Description=self.description,
            MaxSessionDuration=self.longest_seconds,
        )
        return self.name

    @classmethod
    @override
    def read(cls, aws: Operations, identifier: str) -> Found:
        answer = aws.find("iam.GetRole", absent=ABSENT, RoleName=identifier)
        if answer is None:
            return None
        found = answer["Role"]
        return identifier, {
            "name": identifier,
            "trust": document(found["AssumeRolePolicyDocument"]),
            **policies_of(aws, "Role", identifier),
            "description": found.get("Description"),
            "longest_seconds": found.get("MaxSessionDuration"),
            "tags": tags_of(found.get("Tags")),
            "arn": found["Arn"],
        }

    @override
    def update(self, aws: Operations, identifier: str, changed: Changed) -> None:
        if "trust" in changed:
            said = json.dumps(self.trust)
            aws.ask("iam.UpdateAssumeRolePolicy", RoleName=identifier, PolicyDocument=said)
        if not {"description", "longest_seconds"}.isdisjoint(changed):
            aws.ask(
                "iam.UpdateRole",
                RoleName=identifier,
                Description=self.description,
                MaxSessionDuration=self.longest_seconds,
            )
        set_policies(
            aws,
            "Role",
            identifier,
            changed,
            policies=self.policies,
            inline=self.inline_policies,
            tags=self.tags,
        )

    @classmethod
    @override
    def delete(cls, aws: Operations, identifier: str) -> None:
        take_policies(aws, "Role", identifier)
        aws.ask("iam.DeleteRole", RoleName=identifier)
