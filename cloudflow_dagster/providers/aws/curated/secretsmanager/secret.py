"""Secrets of Secrets Manager."""

from __future__ import annotations

import json
from typing import Annotated, cast

from pydantic import Field
from typing_extensions import TypedDict, override

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.resource_fields import FIXED, GIVEN, HIDDEN
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.curated.kms.key import Key
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.declare_resource import (
    AwsResource,
    Changed,
    Found,
    aws_resource,
)
from cloudflow_dagster.providers.aws.given import (
    ONE,
    Tags,
    Text,
    gone,
    one,
    tag_list,
    tags_of,
)
from cloudflow_dagster.providers.aws.naming import Names
from cloudflow_dagster.providers.aws.operations import Operations

Secret = Annotated[str, one("arn", "ARN", "name", "Name"), ONE, Names("SecretId")]


class Got(TypedDict):
    """A secret."""

    name: Annotated[str, Field(description="Its name.")]
    arn: Annotated[str, Field(description="Its ARN.")]
    value: Annotated[str, Field(description="Hidden: `***` to every later node and reader.")]
    fields: Annotated[list[str], Field(description="Names of the fields, if it is JSON.")]
    version: Annotated[str | None, Field(description="Changes when it is rotated.")]
    created_at: Annotated[str | None, Field(description="When this version was made.")]


@aws_action(
    "aws.secretsmanager.secret.get",
    label="Get secret",
    calls=("secretsmanager.GetSecretValue",),
    repeat=Repeat.READ,
    icon="lock-keyhole",
)
def get(aws: Operations, *, secret: Secret, version: str | None = None) -> Got:
    """Reads a secret, to see that it is there and how old it is; its value is hidden everywhere.

    Nothing that a run keeps holds a secret, so later nodes get `***`. To use the value in a node,
    name the secret in the project's file and write `{{ $secret('name') }}` there.

    Args:
        aws: Carries out operations.
        secret: Name or ARN.
        version: Id of a version; the current one if none is given.
    """
    answer = aws.ask("secretsmanager.GetSecretValue", SecretId=secret, VersionId=version)
    given = answer.get("SecretString") or answer.get("SecretBinary")
    value = given if isinstance(given, str) else json.dumps(given)
    aws.call.hide(value)
    return {
        "name": answer["Name"],
        "arn": answer["ARN"],
        "value": value,
        "fields": _fields(aws, value),
        "version": answer.get("VersionId"),
        "created_at": answer.get("CreatedDate"),
    }


def _fields(aws: Operations, value: str) -> list[str]:
    """Hide what a secret of several fields holds, too, and return the fields' names."""
    try:
        found: Json = json.loads(value)
    except ValueError:
        return []
    if not isinstance(found, dict):
        return []
    fields = cast("dict[str, Json]", found)
    for each in fields.values():
        if isinstance(each, str):
            aws.call.hide(each)
    return list(fields)


_ABSENT = ("ResourceNotFoundException",)


@aws_resource(
    "aws.secretsmanager.secret",
    label="Secret",
    create=("secretsmanager.CreateSecret",),
    create_unless={"secretsmanager.GetRandomPassword": "value"},
    create_if_repeated=("secretsmanager.RestoreSecret",),
    read=("secretsmanager.DescribeSecret",),
    update={
        "secretsmanager.UpdateSecret": ("description", "kms_key", "value"),
        "secretsmanager.TagResource": ("tags",),
        "secretsmanager.UntagResource": ("tags",),
    },
    delete=("secretsmanager.DeleteSecret",),
    loss="Its value, after thirty days.",
)
class StoredSecret(AwsResource):
    """A secret of Secrets Manager; without a value, AWS thinks up a password."""

    noun = "secret"
    name: Annotated[
        Text, FIXED, Names("SecretId"), Field(max_length=512, description="What it is called.")
    ]
    value: Annotated[
        Json, HIDDEN, Field(description="A text, or fields; only noticed when it is made.")
    ] = None
    description: Annotated[str | None, Field(description="What it is for.")] = None
    kms_key: Annotated[
        Key | None,
        Field(description="Key of KMS; without one, AWS encrypts with its own."),
    ] = None
    tags: Annotated[Tags | None, Field(description="All its tags.")] = None
    arn: Annotated[str | None, GIVEN, Field(description="Names it.")] = None

    @override
    def create(self, aws: Operations) -> str:
        try:
            aws.ask(
                "secretsmanager.CreateSecret",
                Name=self.name,
                SecretString=self._text() or _thought_up(aws),
                Description=self.description,
                KmsKeyId=self.kms_key,
            )
        except NodeError as error:
            # One that is about to be deleted keeps its name.
            if error.code != "InvalidRequestException":
                raise
            aws.ask("secretsmanager.RestoreSecret", SecretId=self.name)
        return self.name

    @classmethod
    @override
    def read(cls, aws: Operations, identifier: str) -> Found:
        found = aws.find("secretsmanager.DescribeSecret", absent=_ABSENT, SecretId=identifier)
        if found is None or found.get("DeletedDate"):
            return None
        return identifier, {
            "name": found["Name"],
            "description": found.get("Description") or None,
            "kms_key": found.get("KmsKeyId"),
            "tags": tags_of(found.get("Tags")),
            "arn": found["ARN"],
        }

    @override
    def update(self, aws: Operations, identifier: str, changed: Changed) -> None:
        if not {"description", "kms_key"}.isdisjoint(changed):
            aws.ask(
                "secretsmanager.UpdateSecret",
                SecretId=identifier,
                Description=self.description,
                KmsKeyId=self.kms_key,
                SecretString=self._text(),
            )
        if "tags" in changed:
            if self.tags:
                tags = tag_list(self.tags)
                aws.ask("secretsmanager.TagResource", SecretId=identifier, Tags=tags)
            if old := gone(changed["tags"], self.tags):
                aws.ask("secretsmanager.UntagResource", SecretId=identifier, TagKeys=[*old])

    @classmethod
    @override
    def delete(cls, aws: Operations, identifier: str) -> None:
        aws.ask("secretsmanager.DeleteSecret", SecretId=identifier)

    def _text(self) -> str | None:
        if self.value is None or isinstance(self.value, str):
            return self.value
        return json.dumps(self.value)


def _thought_up(aws: Operations) -> str:
    made = str(aws.ask("secretsmanager.GetRandomPassword")["RandomPassword"])
    aws.call.hide(made)
    return made
