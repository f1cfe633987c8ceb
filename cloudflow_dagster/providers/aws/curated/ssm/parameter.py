"""Parameters of Systems Manager."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator
from typing_extensions import TypedDict, override

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.resource_fields import FIXED, GIVEN, HIDDEN
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.declare_resource import (
    AwsResource,
    Changed,
    Found,
    aws_resource,
)
from cloudflow_dagster.providers.aws.given import (
    ONE,
    EncryptionKey,
    Tags,
    Text,
    gone,
    one,
    tag_list,
    tags_of,
)
from cloudflow_dagster.providers.aws.naming import Names
from cloudflow_dagster.providers.aws.operations import Operations

Name = Annotated[str, one("name", "Name"), ONE, Names("ParameterName"), Field(min_length=1)]


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
    sends={"WithDecryption": ()},
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
    kms_key: EncryptionKey | None = None,
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


@aws_resource(
    "aws.ssm.parameter",
    label="Parameter",
    create=("ssm.PutParameter",),
    read=("ssm.GetParameter", "ssm.DescribeParameters", "ssm.ListTagsForResource"),
    update={
        "ssm.AddTagsToResource": ("tags",),
        "ssm.RemoveTagsFromResource": ("tags",),
    },
    delete=("ssm.DeleteParameter",),
    loss="Its value and all earlier ones.",
)
class StoredParameter(AwsResource):
    """A parameter of Systems Manager, plain or secret."""

    noun = "parameter"
    name: Annotated[
        Text, FIXED, Names("ParameterName"), Field(description="Its path: `/shop/colour`.")
    ]
    value: Annotated[str | None, Field(min_length=1, description="What it says.")] = None
    secret_value: Annotated[
        str | None,
        HIDDEN,
        Field(min_length=1, description="The same, encrypted; only noticed when it is made."),
    ] = None
    description: Annotated[str | None, Field(description="What it is for.")] = None
    tags: Annotated[Tags | None, Field(description="All its tags.")] = None
    type: Annotated[str | None, GIVEN, Field(description="`String` or `SecureString`.")] = None
    version: Annotated[int | None, GIVEN, Field(description="Goes up with each change.")] = None
    arn: Annotated[str | None, GIVEN, Field(description="Names it.")] = None

    @model_validator(mode="after")
    def _one_value(self) -> StoredParameter:
        if (self.value is None) == (self.secret_value is None):
            raise ValueError("give either `value` or `secret_value`")
        return self

    @override
    def create(self, aws: Operations) -> str:
        self._put(aws, overwrite=False)
        return self.name

    @classmethod
    @override
    def read(cls, aws: Operations, identifier: str) -> Found:
        answer = aws.find("ssm.GetParameter", absent=("ParameterNotFound",), Name=identifier)
        if answer is None:
            return None
        found = answer["Parameter"]
        only: Json = {"Key": "Name", "Option": "Equals", "Values": [identifier]}
        described = aws.ask("ssm.DescribeParameters", ParameterFilters=[only])["Parameters"]
        tags = aws.ask("ssm.ListTagsForResource", ResourceType="Parameter", ResourceId=identifier)
        plain = found["Type"] != "SecureString"
        return identifier, {
            "name": identifier,
            "value": found["Value"] if plain else None,
            "description": described[0].get("Description") if described else None,
            "tags": tags_of(tags.get("TagList")),
            "type": found["Type"],
            "version": found["Version"],
            "arn": found.get("ARN"),
        }

    @override
    def update(self, aws: Operations, identifier: str, changed: Changed) -> None:
        if not {"value", "description"}.isdisjoint(changed):
            self._put(aws, overwrite=True)
        if "tags" in changed:
            which: dict[str, Json] = {"ResourceType": "Parameter", "ResourceId": identifier}
            if self.tags:
                aws.ask("ssm.AddTagsToResource", **which, Tags=tag_list(self.tags))
            if old := gone(changed["tags"], self.tags):
                aws.ask("ssm.RemoveTagsFromResource", **which, TagKeys=[*old])

    def _put(self, aws: Operations, *, overwrite: bool) -> None:
        aws.ask(
            "ssm.PutParameter",
            Name=self.name,
            Value=self.value or self.secret_value,
            Type="String" if self.value else "SecureString",
            Description=self.description,
            Overwrite=overwrite,
        )

    @classmethod
    @override
    def delete(cls, aws: Operations, identifier: str) -> None:
        aws.ask("ssm.DeleteParameter", Name=identifier)
