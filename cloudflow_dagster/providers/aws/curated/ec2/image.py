"""Machine images of EC2."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.given import ONE, Tags, is_older, is_since, one, tag_list
from cloudflow_dagster.providers.aws.naming import Names
from cloudflow_dagster.providers.aws.operations import Operations

Instance = Annotated[str, one("id", "InstanceId"), ONE, Names("InstanceId")]
_EVERY = 15.0
_GONE = frozenset({"InvalidAMIID.NotFound", "InvalidAMIID.Unavailable"})


class Image(TypedDict):
    """A machine image."""

    id: Annotated[str, Field(description="`ami-…`.")]
    name: Annotated[str, Field(description="Its name.")]
    state: Annotated[str, Field(description="`pending` or `available`.")]
    snapshots: Annotated[list[str], Field(description="Ids of the snapshots of its disks.")]


class Cleared(TypedDict):
    """What was deleted."""

    deleted: Annotated[list[str], Field(description="Ids that are gone, or would be.")]
    kept: Annotated[int, Field(description="How many stayed.")]


def _made(aws: Operations, given: dict[str, Any], since: datetime) -> Image | None:
    filters: list[Json] = [{"Name": "name", "Values": [given["name"]]}]
    found = aws.pages("ec2.DescribeImages", Owners=["self"], Filters=filters)["Images"]
    for each in found:
        if is_since(each["CreationDate"], since):
            return _image(aws, each["ImageId"], wait=given["wait"])
    return None


@aws_action(
    "aws.ec2.image.create",
    label="Create image",
    calls=("ec2.CreateImage", "ec2.DescribeImages"),
    repeat=Repeat.LOOKUP,
    look_up=_made,
    icon="disc-3",
)
def create(
    aws: Operations,
    *,
    instance: Instance,
    name: Annotated[str, Field(min_length=3, max_length=128)],
    description: str | None = None,
    tags: Tags | None = None,
    reboot: bool = False,
    wait: bool = True,
) -> Image:
    """Makes a machine image of an instance and waits until it can be launched.

    Args:
        aws: Carries out operations.
        instance: Id, or an instance that another node gave.
        name: Unique among the account's images.
        description: Says what it is for.
        tags: Of the image and of its snapshots.
        reboot: Whether to reboot the instance meanwhile, so that all its files are whole.
        wait: Whether to wait until it can be launched.
    """
    kinds = ("image", "snapshot") if tags else ()
    answer = aws.ask(
        "ec2.CreateImage",
        InstanceId=instance,
        Name=name,
        Description=description,
        NoReboot=not reboot,
        TagSpecifications=[{"ResourceType": each, "Tags": tag_list(tags or {})} for each in kinds]
        or None,
    )
    return _image(aws, answer["ImageId"], wait=wait)


@aws_action(
    "aws.ec2.image.delete_old",
    label="Delete old images",
    calls=("ec2.DeregisterImage", "ec2.DescribeImages"),
    repeat=Repeat.SAFE,
    destructive="It deletes machine images that are older than it says, with their snapshots.",
    icon="eraser",
)
def delete_old(
    aws: Operations,
    *,
    days: Annotated[float, Field(ge=0)],
    tags: Tags,
    keep: Annotated[int, Field(ge=0)] = 1,
    dry_run: bool = False,
) -> Cleared:
    """Deletes the account's own images with certain tags that are older than some days.

    Their snapshots are deleted with them.

    Args:
        aws: Carries out operations.
        days: Younger ones are kept.
        tags: They have all of these; `*` stands for any value. `{}` means all of the account's.
        keep: So many of the newest are kept however old they are.
        dry_run: Whether only to say what would be deleted.
    """
    filters: list[Json] = [{"Name": f"tag:{k}", "Values": [v]} for k, v in tags.items()]
    answer = aws.pages("ec2.DescribeImages", Owners=["self"], Filters=filters or None)
    found = sorted(answer["Images"], key=lambda each: each["CreationDate"], reverse=True)
    old = [each["ImageId"] for each in found[keep:] if is_older(each["CreationDate"], days)]
    for id in old if not dry_run else ():
        try:
            aws.ask("ec2.DeregisterImage", ImageId=id, DeleteAssociatedSnapshots=True)
        except NodeError as error:
            if error.code not in _GONE:
                raise
    return {"deleted": old, "kept": len(found) - len(old)}


def _image(aws: Operations, id: str, *, wait: bool) -> Image:
    found = aws.until(
        lambda answer: not wait or _is_available(answer),
        "ec2.DescribeImages",
        every=_EVERY,
        not_yet=("InvalidAMIID.NotFound",),
        ImageIds=[id],
    )["Images"][0]
    disks: list[dict[str, Any]] = found.get("BlockDeviceMappings", [])
    snapshots = [disk["Ebs"]["SnapshotId"] for disk in disks if "SnapshotId" in disk.get("Ebs", {})]
    return {"id": id, "name": found["Name"], "state": found["State"], "snapshots": snapshots}


def _is_available(answer: dict[str, Json]) -> bool:
    found: list[dict[str, Any]] = answer["Images"]
    for each in found:
        if each["State"] not in {"pending", "available"}:
            said = each.get("StateReason", {}).get("Message") or "AWS does not say why"
            raise NodeError(
                "ImageFailed", f"{each['ImageId']} is {each['State']}: {said}.", transient=False
            )
    return bool(found) and all(each["State"] == "available" for each in found)
