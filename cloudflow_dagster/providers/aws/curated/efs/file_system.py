"""File systems of EFS."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import override

from cloudflow_dagster.flow.model import Json
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
    tag_list,
    tags_of,
)
from cloudflow_dagster.providers.aws.operations import Operations

_EVERY = 5.0


@aws_resource(
    "aws.efs.file_system",
    label="File system",
    create=("efs.CreateFileSystem",),
    read=("efs.DescribeFileSystems",),
    update={"efs.TagResource": ("tags",), "efs.UntagResource": ("tags",)},
    delete=("efs.DeleteFileSystem",),
    loss="All files in it.",
)
class FileSystem(AwsResource):
    """A file system of EFS, encrypted unless the config says otherwise."""

    noun = "file system"
    name: Annotated[Text, FIXED, Field(max_length=64, description="Its creation token.")]
    encrypted: Annotated[bool, FIXED, Field(description="Whether it is encrypted.")] = True
    kms_key: Annotated[
        EncryptionKey | None, FIXED, Field(description="ARN of the key; without one, AWS's own.")
    ] = None
    tags: Annotated[Tags | None, Field(description="All its tags.")] = None
    id: Annotated[str | None, GIVEN, Field(description="What AWS calls it.")] = None
    arn: Annotated[str | None, GIVEN, Field(description="Names it in policies.")] = None

    @override
    def create(self, aws: Operations) -> str:
        aws.ask(
            "efs.CreateFileSystem",
            CreationToken=self.name,
            Encrypted=self.encrypted,
            KmsKeyId=self.kms_key,
        )
        return self.name

    @classmethod
    @override
    def read(cls, aws: Operations, identifier: str) -> Found:
        answer = aws.until(
            _is_settled, "efs.DescribeFileSystems", every=_EVERY, CreationToken=identifier
        )
        there = [each for each in answer["FileSystems"] if each["LifeCycleState"] != "deleted"]
        if not there:
            return None
        found = there[0]
        return identifier, {
            "name": identifier,
            "encrypted": found.get("Encrypted", False),
            "kms_key": found.get("KmsKeyId"),
            "tags": tags_of(found.get("Tags")),
            "id": found["FileSystemId"],
            "arn": found.get("FileSystemArn"),
        }

    @override
    def update(self, aws: Operations, identifier: str, changed: Changed) -> None:
        id = _id(self.read(aws, identifier))
        if self.tags:
            aws.ask("efs.TagResource", ResourceId=id, Tags=tag_list(self.tags))
        if old := gone(changed["tags"], self.tags):
            aws.ask("efs.UntagResource", ResourceId=id, TagKeys=[*old])

    @classmethod
    @override
    def delete(cls, aws: Operations, identifier: str) -> None:
        aws.ask("efs.DeleteFileSystem", FileSystemId=_id(cls.read(aws, identifier)))
        cls.read(aws, identifier)  # which waits until it is gone


def _is_settled(answer: dict[str, Json]) -> bool:
    states = {each["LifeCycleState"] for each in answer["FileSystems"]}
    return states.isdisjoint({"creating", "deleting"})


def _id(found: Found) -> Json:
    return found[1]["id"] if found else None
