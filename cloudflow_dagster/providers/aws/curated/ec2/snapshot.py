"""Snapshots of EC2's volumes."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, TypeAlias

from pydantic import Field
from typing_extensions import TypedDict

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.given import MANY, Tags, is_older, many, tag_list, tags_of
from cloudflow_dagster.providers.aws.naming import Names
from cloudflow_dagster.providers.aws.operations import Operations

Volumes: TypeAlias = Annotated[
    list[str], many("id", "VolumeId"), MANY, Names("VolumeId"), Field(min_length=1)
]
_MARK = "cloudflow:call"
"""A tag by which an interrupted call finds what it has made: AWS takes no token here."""
_EVERY = 15.0
_GONE = "InvalidSnapshot.NotFound"
_IN_USE = "InvalidSnapshot.InUse"


class Snapshot(TypedDict):
    """What most flows want to know of a snapshot."""

    id: Annotated[str, Field(description="`snap-…`.")]
    volume: Annotated[str, Field(description="Id of the volume that it was made of.")]
    state: Annotated[str, Field(description="`pending` or `completed`.")]
    started_at: Annotated[str, Field(description="The moment that it shows.")]
    gigabytes: Annotated[int, Field(description="Size of the volume.")]
    tags: Annotated[dict[str, str], Field(description="Its tags.")]


class Made(TypedDict):
    """New snapshots."""

    ids: Annotated[list[str], Field(description="Their ids, in the order of the volumes.")]
    snapshots: Annotated[list[Snapshot], Field(description="As they are now.")]


class Cleared(TypedDict):
    """What was deleted and what not."""

    deleted: Annotated[list[str], Field(description="Ids that are gone, or would be.")]
    in_use: Annotated[list[str], Field(description="Ids that were kept: an image needs them.")]
    kept: Annotated[int, Field(description="How many stayed.")]


@aws_action(
    "aws.ec2.snapshot.create",
    label="Create snapshots",
    calls=("ec2.CreateSnapshot", "ec2.DescribeSnapshots"),
    # Made again, it finds what it made by the call's own tag.
    repeat=Repeat.SAFE,
    icon="camera",
    category="storage",
)
def create(
    aws: Operations,
    *,
    volumes: Volumes,
    description: str | None = None,
    tags: Tags | None = None,
    wait: bool = True,
) -> Made:
    """Makes snapshots of volumes and waits until they are complete.

    Args:
        aws: Carries out operations.
        volumes: Ids, or volumes that another node gave.
        description: Says what they are for.
        tags: Of the snapshots.
        wait: Whether to wait until all data is saved, which may take an hour for a first one. They
            show the moment that they were started at in any case.
    """
    mark = {_MARK: aws.call.token[:32]}
    made = _made_before(aws, mark) if aws.call.repeated else {}
    labels: list[Json] = [{"ResourceType": "snapshot", "Tags": tag_list({**(tags or {}), **mark})}]
    for volume in volumes:
        if volume not in made:
            made[volume] = aws.ask(
                "ec2.CreateSnapshot",
                VolumeId=volume,
                Description=description,
                TagSpecifications=labels,
            )["SnapshotId"]
    ids = [made[volume] for volume in volumes]
    if wait:
        found = aws.until(_complete, "ec2.DescribeSnapshots", every=_EVERY, SnapshotIds=ids)
    else:
        found = aws.ask("ec2.DescribeSnapshots", SnapshotIds=ids)
    snapshots = sorted(map(_snapshot, found["Snapshots"]), key=lambda each: ids.index(each["id"]))
    return {"ids": ids, "snapshots": snapshots}


@aws_action(
    "aws.ec2.snapshot.delete_old",
    label="Delete old snapshots",
    calls=("ec2.DescribeSnapshots", "ec2.DeleteSnapshot"),
    repeat=Repeat.SAFE,
    destructive="It deletes snapshots that are older than it says.",
    icon="eraser",
    category="storage",
)
def delete_old(
    aws: Operations,
    *,
    days: Annotated[float, Field(ge=0)],
    tags: Tags,
    keep: Annotated[int, Field(ge=0)] = 1,
    dry_run: bool = False,
) -> Cleared:
    """Deletes the account's own snapshots with certain tags that are older than some days.

    Args:
        aws: Carries out operations.
        days: Younger ones are kept.
        tags: They have all of these; `*` stands for any value. `{}` means all of the account's.
        keep: So many of each volume's newest are kept however old they are.
        dry_run: Whether only to say what would be deleted.
    """
    filters: list[Json] = [{"Name": f"tag:{k}", "Values": [v]} for k, v in tags.items()]
    answer = aws.pages("ec2.DescribeSnapshots", OwnerIds=["self"], Filters=filters or None)
    found = sorted(answer["Snapshots"], key=lambda each: each["StartTime"], reverse=True)
    seen: Counter[str] = Counter()
    old: list[str] = []
    for each in found:
        seen[each["VolumeId"]] += 1
        if seen[each["VolumeId"]] > keep and is_older(each["StartTime"], days):
            old.append(each["SnapshotId"])
    in_use = [] if dry_run else [id for id in old if not _delete(aws, id)]
    deleted = [id for id in old if id not in in_use]
    return {"deleted": deleted, "in_use": in_use, "kept": len(found) - len(deleted)}


def _delete(aws: Operations, id: str) -> bool:
    """Delete one and return whether it is gone."""
    try:
        aws.ask("ec2.DeleteSnapshot", SnapshotId=id)
    except NodeError as error:
        if error.code not in {_GONE, _IN_USE}:
            raise
        return error.code == _GONE
    return True


def _made_before(aws: Operations, mark: dict[str, str]) -> dict[str, str]:
    filters: list[Json] = [{"Name": f"tag:{k}", "Values": [v]} for k, v in mark.items()]
    found = aws.pages("ec2.DescribeSnapshots", OwnerIds=["self"], Filters=filters)["Snapshots"]
    return {each["VolumeId"]: each["SnapshotId"] for each in found}


def _complete(answer: dict[str, Json]) -> bool:
    found: list[dict[str, Any]] = answer["Snapshots"]
    for each in found:
        if each["State"] == "error":
            said = each.get("StateMessage") or "AWS does not say why"
            raise NodeError(
                "SnapshotFailed", f"{each['SnapshotId']} failed: {said}.", transient=False
            )
    return all(each["State"] == "completed" for each in found)


def _snapshot(found: dict[str, Any]) -> Snapshot:
    return {
        "id": found["SnapshotId"],
        "volume": found["VolumeId"],
        "state": found["State"],
        "started_at": found["StartTime"],
        "gigabytes": found["VolumeSize"],
        "tags": tags_of(found.get("Tags")),
    }
