"""Volumes of EBS."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.resource_fields import FIXED, GIVEN
from cloudflow_dagster.providers.aws.curated.ec2.named import (
    TAGGING,
    called,
    having,
    name_and_tags,
    only,
    set_tags,
)
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
    one,
)
from cloudflow_dagster.providers.aws.naming import Names
from cloudflow_dagster.providers.aws.operations import Operations

_EVERY = 10.0
_THERE = ["creating", "available", "in-use"]


@aws_resource(
    "aws.ec2.volume",
    label="Volume",
    create=("ec2.CreateVolume",),
    sends={"TagSpecifications": ()},
    read=("ec2.DescribeVolumes",),
    update={"ec2.ModifyVolume": ("gigabytes", "type", "iops", "throughput"), **TAGGING},
    delete=("ec2.DeleteVolume",),
    loss="What is on it.",
    icon="hard-drive",
    category="storage",
)
class EbsVolume(AwsResource):
    """A volume of EBS, encrypted unless the config says otherwise."""

    noun = "volume"
    has_identifier: ClassVar[bool] = True
    name: Annotated[Text, FIXED, Field(description="Its tag `Name`.")]
    zone: Annotated[Text, FIXED, Field(description="Where it is: `eu-central-1a`.")]
    gigabytes: Annotated[int, Field(ge=1, description="How much it holds. It cannot shrink.")]
    type: Annotated[
        Literal["gp3", "gp2", "io1", "io2", "st1", "sc1", "standard"],
        Field(description="Its kind."),
    ] = "gp3"
    iops: Annotated[int | None, Field(ge=100, description="Reads and writes in a second.")] = None
    throughput: Annotated[int | None, Field(ge=125, description="MB in a second, of `gp3`.")] = None
    encrypted: Annotated[bool, FIXED, Field(description="Whether it is encrypted.")] = True
    kms_key: Annotated[
        EncryptionKey | None, FIXED, Field(description="ARN of the key; without one, AWS's own.")
    ] = None
    snapshot: Annotated[
        str | None,
        one("id"),
        ONE,
        FIXED,
        Names("SnapshotId"),
        Field(description="What is on it at first."),
    ] = None
    tags: Annotated[Tags | None, Field(description="All its tags but `Name`.")] = None
    id: Annotated[str | None, GIVEN, Field(description="What AWS calls it.")] = None
    state: Annotated[str | None, GIVEN, Field(description="`available` or `in-use`.")] = None

    @override
    def create(self, aws: Operations) -> str:
        made = aws.ask(
            "ec2.CreateVolume",
            AvailabilityZone=self.zone,
            Size=self.gigabytes,
            VolumeType=self.type,
            Iops=self.iops,
            Throughput=self.throughput,
            Encrypted=self.encrypted,
            KmsKeyId=self.kms_key,
            SnapshotId=self.snapshot,
            TagSpecifications=called("volume", self.name),
        )
        aws.wait("ec2.volume_available", VolumeIds=[made["VolumeId"]])
        return str(made["VolumeId"])

    @classmethod
    @override
    def read(cls, aws: Operations, identifier: str) -> Found:
        by = {"volume_id" if identifier.startswith("vol-") else "tag_Name": identifier}
        listed = aws.pages("ec2.DescribeVolumes", Filters=having(**by, status=_THERE))
        found = only(listed.get("Volumes", []), cls.noun, identifier)
        if found is None:
            return None
        if found["State"] == "creating":
            aws.wait("ec2.volume_available", VolumeIds=[found["VolumeId"]])
            return cls.read(aws, found["VolumeId"])
        return found["VolumeId"], {
            **name_and_tags(found),
            "zone": found["AvailabilityZone"],
            "gigabytes": found["Size"],
            "type": found["VolumeType"],
            "iops": found.get("Iops"),
            "throughput": found.get("Throughput"),
            "encrypted": found.get("Encrypted", False),
            "kms_key": found.get("KmsKeyId"),
            "snapshot": found.get("SnapshotId") or None,
            "id": found["VolumeId"],
            "state": found["State"],
        }

    @override
    def update(self, aws: Operations, identifier: str, changed: Changed) -> None:
        if not {"gigabytes", "type", "iops", "throughput"}.isdisjoint(changed):
            aws.ask(
                "ec2.ModifyVolume",
                VolumeId=identifier,
                Size=self.gigabytes,
                VolumeType=self.type,
                Iops=self.iops,
                Throughput=self.throughput,
            )
            # It can be used meanwhile, but has not all that was asked for.
            aws.until(self._is_so, "ec2.DescribeVolumes", every=_EVERY, VolumeIds=[identifier])
        set_tags(aws, identifier, changed, self.tags)

    @classmethod
    @override
    def delete(cls, aws: Operations, identifier: str) -> None:
        aws.ask("ec2.DeleteVolume", VolumeId=identifier)
        aws.wait("ec2.volume_deleted", VolumeIds=[identifier])

    def _is_so(self, answer: dict[str, Json]) -> bool:
        wanted = {
            "Size": self.gigabytes,
            "VolumeType": self.type,
            "Iops": self.iops,
            "Throughput": self.throughput,
        }
        (found,) = answer["Volumes"]
        return all(found.get(name) == v for name, v in wanted.items() if v is not None)
