"""Parameters of Systems Manager."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.given import ONE, one
from cloudflow_dagster.providers.aws.operations import Operations

Name = Annotated[str, one("name", "Name"), ONE, Field(min_length=1)]


class Got(TypedDict):
    """A parameter."""

    name: Annotated[str, Field(description="Its name.")]
    value: Annotated[str, Field(description="Its value; of a `SecureString` hidden: `***`.")]
    type: Annotated[str, Field(description="`String`, `StringList` or `SecureString`.")]
    version: Annotated[int, Field(description="Goes up with each change.")]
    changed_at: Annotated[str | None, Field(description="When it was last changed.")]


class Put(TypedDict):
    """A parameter that was set."""

    name: Annotated[str, Field(description="Its name.")]
    version: Annotated[int, Field(description="Its version now.")]


@aws_action(
    "aws.ssm.parameter.get",
    label="Get parameter",
    calls=("ssm.GetParameter",),
    repeat=Repeat.READ,
)
def get(aws: Operations, *, name: Name) -> Got:
    """Reads a parameter; the value of a secret one is hidden everywhere, also from later nodes.

    Args:
        aws: Carries out operations.
        name: Its name, or `name:3` for a version.
    """
    found = aws.ask("ssm.GetParameter", Name=name, WithDecryption=True)["Parameter"]
    if found["Type"] == "SecureString":
        aws.call.hide(found["Value"])
    return {
        "name": found["Name"],
        "value": found["Value"],
        "type": found["Type"],
        "version": found["Version"],
        "changed_at": found.get("LastModifiedDate"),
    }


@aws_action(
    "aws.ssm.parameter.put",
    label="Put parameter",
    calls=("ssm.PutParameter",),
    repeat=Repeat.SAFE,
)
def put(
    aws: Operations,
    *,
    name: Name,
    value: str,
    secret: bool = False,
    description: str | None = None,
    kms_key: str | None = None,
    replace: bool = True,
) -> Put:
    """Sets a parameter.

    Args:
        aws: Carries out operations.
        name: Its name: `/shop/limit`.
        value: Its value.
        secret: Whether it is stored encrypted.
        description: Says what it is for.
        kms_key: Key of KMS to encrypt with instead of the account's own.
        replace: Whether to set it if it is there already; if not, that is an error.
    """
    if secret:
        aws.call.hide(value)
    answer = aws.ask(
        "ssm.PutParameter",
        Name=name,
        Value=value,
        Type="SecureString" if secret else "String",
        Description=description,
        KeyId=kms_key if secret else None,
        Overwrite=replace,
    )
    return {"name": name, "version": answer["Version"]}
