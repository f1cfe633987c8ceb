"""Secrets of Secrets Manager."""

from __future__ import annotations

import json
from typing import Annotated, cast

from pydantic import Field
from typing_extensions import TypedDict

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.given import ONE, one
from cloudflow_dagster.providers.aws.operations import Operations

Secret = Annotated[str, one("arn", "ARN", "name", "Name"), ONE]


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
