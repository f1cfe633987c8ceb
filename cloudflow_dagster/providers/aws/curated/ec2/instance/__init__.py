"""Instances of EC2."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, TypeAlias

from pydantic import Field
from typing_extensions import override

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.errors import NodeError as NodeError
from cloudflow_dagster.nodes.fields import LiteralText
from cloudflow_dagster.nodes.resource_fields import FIXED, GIVEN, HIDDEN
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.curated.ec2.named import (
    TAGGING,
    called,
    having,
    name_and_tags,
    only,
    set_tags,
)
from cloudflow_dagster.providers.aws.curated.ec2.shown import Ids, Instance, Some
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.declare_resource import (
    ANY_CHANGE as ANY_CHANGE,
)
from cloudflow_dagster.providers.aws.declare_resource import (
    AwsResource,
    Changed,
    Found,
    aws_resource,
)
from cloudflow_dagster.providers.aws.given import (
    MANY,
    ONE,
    UNORDERED_LIST,
    Tags,
    Text,
    Texts,
    many,
    one,
    tag_list,
    tags_of,
)
from cloudflow_dagster.providers.aws.given import (
    Document as Document,
)
from cloudflow_dagster.providers.aws.given import (
    document as document,
)
from cloudflow_dagster.providers.aws.given import (
    gone as gone,
)
from cloudflow_dagster.providers.aws.naming import Names
from cloudflow_dagster.providers.aws.operations import Operations

Instances: TypeAlias = Annotated[
    list[str], many("id", "InstanceId"), MANY, Names("InstanceId"), Field(min_length=1)
]
Image: TypeAlias = Annotated[str, one("id", "ImageId"), ONE, Names("ImageId")]
Subnet: TypeAlias = Annotated[str, one("id", "SubnetId"), ONE, Names("SubnetId")]
Groups: TypeAlias = Annotated[list[str], many("id", "GroupId"), MANY, Names("SecurityGroupId")]


@aws_action(
    "aws.ec2.instance.launch",
    label="Launch instances",
    calls=("ec2.RunInstances", "ec2.DescribeInstances"),
    sends={"TagSpecifications": ("name",)},
    repeat=Repeat.TOKEN,
    token_seconds=24 * 3600.0,
    icon="server",
)
def launch(
    aws: Operations,
    *,
    image: Image,
    type: Text = "t3.micro",
    count: Annotated[int, Field(ge=1, le=1000)] = 1,
    name: str | None = None,
    tags: Tags | None = None,
    key_name: Annotated[str, Names("KeyPairName")] | None = None,
    subnet: Subnet | None = None,
    security_groups: Groups | None = None,
    user_data: LiteralText | None = None,
    role: str | None = None,
    disk_gb: Annotated[int, Field(ge=1)] | None = None,
    wait: bool = True,
) -> Some:
    """Launches instances and waits until they run.

    Their disks are encrypted where `disk_gb` is given, and the metadata service asks for a token.

    Args:
        aws: Carries out operations.
        image: Id of the machine image (`ami-…`).
        type: Instance type.
        count: How many.
        name: Becomes the tag `Name`.
        tags: Of the instances and their volumes.
        key_name: Name of the SSH key pair.
        subnet: Id of the subnet; the default network's if none is given.
        security_groups: Ids of security groups.
        user_data: Script for the first start.
        role: Name of the instance profile.
        disk_gb: Size of the first disk.
        wait: Whether to wait until they run.
    """
    labels = {**(tags or {}), **({"Name": name} if name else {})}
    kinds = ("instance", "volume") if labels else ()
    answer = aws.ask(
        "ec2.RunInstances",
        ImageId=image,
        InstanceType=type,
        MinCount=count,
        MaxCount=count,
        KeyName=key_name,
        SubnetId=subnet,
        SecurityGroupIds=security_groups,
        UserData=user_data,
        IamInstanceProfile={"Name": role} if role else None,
        MetadataOptions={"HttpTokens": "required"},
        BlockDeviceMappings=_first_disk(disk_gb),
        TagSpecifications=[{"ResourceType": kind, "Tags": tag_list(labels)} for kind in kinds]
        or None,
    )
    ids = [each["InstanceId"] for each in answer["Instances"]]
    if wait:
        aws.wait("ec2.instance_running", InstanceIds=ids)
        return _now(aws, ids)
    return {"ids": ids, "instances": [_instance(each) for each in answer["Instances"]]}


@aws_action(
    "aws.ec2.instance.start",
    label="Start instances",
    calls=("ec2.StartInstances", "ec2.DescribeInstances"),
    repeat=Repeat.SAFE,
    icon="play",
)
def start(aws: Operations, *, instances: Instances, wait: bool = True) -> Some:
    """Starts instances and waits until they run.

    Args:
        aws: Carries out operations.
        instances: Ids, or instances that another node gave. Those that run already stay as they
            are.
        wait: Whether to wait until they run.
    """
    aws.ask("ec2.StartInstances", InstanceIds=instances)
    if wait:
        aws.wait("ec2.instance_running", InstanceIds=instances)
    return _now(aws, instances)


@aws_action(
    "aws.ec2.instance.stop",
    label="Stop instances",
    calls=("ec2.StopInstances", "ec2.DescribeInstances"),
    repeat=Repeat.SAFE,
    icon="square",
)
def stop(aws: Operations, *, instances: Instances, force: bool = False, wait: bool = True) -> Some:
    """Stops instances and waits until they have stopped.

    Args:
        aws: Carries out operations.
        instances: Ids, or instances that another node gave.
        force: Whether not to let the machine's system shut down by itself.
        wait: Whether to wait until they have stopped.
    """
    aws.ask("ec2.StopInstances", InstanceIds=instances, Force=force or None)
    if wait:
        aws.wait("ec2.instance_stopped", InstanceIds=instances)
    return _now(aws, instances)


@aws_action(
    "aws.ec2.instance.reboot",
    label="Reboot instances",
    calls=("ec2.RebootInstances", "ec2.DescribeInstanceStatus"),
    repeat=Repeat.ASK,
    icon="rotate-cw",
)
def reboot(aws: Operations, *, instances: Instances, wait: bool = False) -> Ids:
    """Reboots instances.

    AWS does not say when a reboot is over: `wait` waits until the machine passes AWS's checks,
    which it may still do just before it goes down.

    Args:
        aws: Carries out operations.
        instances: Ids, or instances that another node gave.
        wait: Whether to wait until AWS's checks of the instances pass.
    """
    aws.ask("ec2.RebootInstances", InstanceIds=instances)
    if wait:
        aws.wait("ec2.instance_status_ok", InstanceIds=instances)
    return {"ids": instances}


@aws_action(
    "aws.ec2.instance.terminate",
    label="Terminate instances",
    calls=("ec2.TerminateInstances", "ec2.DescribeInstances"),
    repeat=Repeat.SAFE,
    destructive="It terminates instances, and with them go their own disks.",
    icon="trash-2",
)
def terminate(aws: Operations, *, instances: Instances, wait: bool = True) -> Ids:
    """Terminates instances: they and their own disks are gone for good.

    Args:
        aws: Carries out operations.
        instances: Ids, or instances that another node gave.
        wait: Whether to wait until they are gone.
    """
    aws.ask("ec2.TerminateInstances", InstanceIds=instances)
    if wait:
        aws.wait("ec2.instance_terminated", InstanceIds=instances)
    return {"ids": instances}


@aws_action(
    "aws.ec2.instance.find",
    label="Find instances",
    calls=("ec2.DescribeInstances",),
    repeat=Repeat.READ,
    icon="search",
)
def find(
    aws: Operations,
    *,
    tags: Tags | None = None,
    state: Texts = ["pending", "running", "stopping", "stopped"],  # noqa: B006 - not changed
    name: str | None = None,
) -> Some:
    """Finds instances by tags, name and state.

    Args:
        aws: Carries out operations.
        tags: They have all of these; `*` stands for anything.
        state: They are in one of these states. Terminated ones are left out unless asked for.
        name: Their tag `Name`; `*` stands for anything.
    """
    wanted = {**(tags or {}), **({"Name": name} if name else {})}
    filters: list[Json] = [{"Name": f"tag:{k}", "Values": [v]} for k, v in wanted.items()]
    filters.append({"Name": "instance-state-name", "Values": state})
    found = _described(aws.pages("ec2.DescribeInstances", Filters=filters))
    return {"ids": [each["id"] for each in found], "instances": found}


def _first_disk(size: int | None) -> list[Json] | None:
    if size is None:
        return None
    disk = {"VolumeSize": size, "VolumeType": "gp3", "Encrypted": True}
    return [{"DeviceName": "/dev/xvda", "Ebs": disk}]


def _now(aws: Operations, ids: list[str]) -> Some:
    found = _described(aws.pages("ec2.DescribeInstances", InstanceIds=ids))
    return {"ids": ids, "instances": sorted(found, key=lambda each: ids.index(each["id"]))}


def _described(answer: dict[str, Json]) -> list[Instance]:
    return [_instance(each) for group in answer["Reservations"] for each in group["Instances"]]


def _instance(found: dict[str, Any]) -> Instance:
    return {
        "id": found["InstanceId"],
        "state": found["State"]["Name"],
        "type": found["InstanceType"],
        "image": found.get("ImageId"),
        "zone": found.get("Placement", {}).get("AvailabilityZone"),
        "private_ip": found.get("PrivateIpAddress"),
        "public_ip": found.get("PublicIpAddress"),
        "launched_at": found.get("LaunchTime"),
        "tags": tags_of(found.get("Tags")),
    }


_THERE = ["pending", "running", "stopping", "stopped"]


@aws_resource(
    "aws.ec2.instance",
    label="Instance",
    create=("ec2.RunInstances",),
    sends={"TagSpecifications": ()},
    read=("ec2.DescribeInstances",),
    update={"ec2.ModifyInstanceAttribute": ("security_groups",), **TAGGING},
    delete=("ec2.TerminateInstances",),
    loss="Its own disks.",
)
class Ec2Instance(AwsResource):
    """An instance of EC2, which runs when it is made."""

    noun = "instance"
    has_identifier: ClassVar[bool] = True
    name: Annotated[Text, FIXED, Field(description="Its tag `Name`.")]
    image: Annotated[Image, FIXED, Field(description="What it is launched from: `ami-…`.")]
    type: Annotated[Text, FIXED, Field(description="How large it is.")] = "t3.micro"
    subnet: Annotated[Subnet | None, FIXED, Field(description="Where it is.")] = None
    security_groups: Annotated[
        Groups | None, Field(description="Who reaches it.", json_schema_extra=UNORDERED_LIST)
    ] = None
    key_pair: Annotated[
        Text | None, FIXED, Names("KeyPairName"), Field(description="Name of the key for SSH.")
    ] = None
    profile: Annotated[Text | None, HIDDEN, Field(description="Name of its instance profile.")] = (
        None
    )
    user_data: Annotated[
        LiteralText | None, HIDDEN, Field(description="What it does when it first starts.")
    ] = None
    disk_gb: Annotated[int | None, HIDDEN, Field(ge=1, description="Size of its first disk.")] = (
        None
    )
    tags: Annotated[Tags | None, Field(description="All its tags but `Name`.")] = None
    id: Annotated[str | None, GIVEN, Field(description="What AWS calls it.")] = None
    state: Annotated[str | None, GIVEN, Field(description="`running`, `stopped` …")] = None
    private_ip: Annotated[str | None, GIVEN, Field(description="Inside the network.")] = None
    public_ip: Annotated[str | None, GIVEN, Field(description="On the internet.")] = None

    @override
    def create(self, aws: Operations) -> str:
        made = aws.ask(
            "ec2.RunInstances",
            MinCount=1,
            MaxCount=1,
            ImageId=self.image,
            InstanceType=self.type,
            SubnetId=self.subnet,
            SecurityGroupIds=self.security_groups,
            KeyName=self.key_pair,
            IamInstanceProfile={"Name": self.profile} if self.profile else None,
            UserData=self.user_data,
            BlockDeviceMappings=_first_disk(self.disk_gb),
            MetadataOptions={"HttpTokens": "required"},
            TagSpecifications=called("instance", self.name),
        )
        id = str(made["Instances"][0]["InstanceId"])
        aws.wait("ec2.instance_running", InstanceIds=[id])
        return id

    @classmethod
    @override
    def read(cls, aws: Operations, identifier: str) -> Found:
        by = {"instance_id" if identifier.startswith("i-") else "tag_Name": identifier}
        filters = having(**by, instance_state_name=_THERE)
        listed = aws.pages("ec2.DescribeInstances", Filters=filters).get("Reservations", [])
        found = only([i for each in listed for i in each["Instances"]], cls.noun, identifier)
        if found is None:
            return None
        if found["State"]["Name"] == "pending":
            aws.wait("ec2.instance_running", InstanceIds=[found["InstanceId"]])
            return cls.read(aws, found["InstanceId"])
        return found["InstanceId"], {
            **name_and_tags(found),
            "image": found["ImageId"],
            "type": found["InstanceType"],
            "subnet": found.get("SubnetId"),
            "security_groups": [each["GroupId"] for each in found.get("SecurityGroups", [])],
            "key_pair": found.get("KeyName"),
            "id": found["InstanceId"],
            "state": found["State"]["Name"],
            "private_ip": found.get("PrivateIpAddress"),
            "public_ip": found.get("PublicIpAddress"),
        }

    @override
    def update(self, aws: Operations, identifier: str, changed: Changed) -> None:
        if "security_groups" in changed:
            groups: dict[str, Json] = {"InstanceId": identifier, "Groups": self.security_groups}
            aws.ask("ec2.ModifyInstanceAttribute", **groups)
        set_tags(aws, identifier, changed, self.tags)

    @classmethod
    @override
    def delete(cls, aws: Operations, identifier: str) -> None:
        aws.ask("ec2.TerminateInstances", InstanceIds=[identifier])
        aws.wait("ec2.instance_terminated", InstanceIds=[identifier])
