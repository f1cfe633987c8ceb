"""Buckets of S3."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.curated.s3.object import Bucket, delete_all
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.operations import Operations

_AT_ONCE = 1000


class Emptied(TypedDict):
    """What is gone."""

    bucket: Annotated[str, Field(description="The bucket.")]
    deleted: Annotated[int, Field(description="How many objects, versions and marks were deleted.")]


@aws_action(
    "aws.s3.bucket.empty",
    label="Empty bucket",
    calls=("s3.ListObjectVersions", "s3.DeleteObjects"),
    repeat=Repeat.SAFE,
    destructive="It deletes all that a bucket holds, with all versions of it.",
    icon="trash-2",
)
def empty(aws: Operations, *, bucket: Bucket, prefix: str = "") -> Emptied:
    """Deletes all objects of a bucket with all their versions; the bucket itself stays.

    Args:
        aws: Carries out operations.
        bucket: Name of the bucket.
        prefix: What the keys begin with of what is deleted; everything if it is empty.
    """
    deleted = 0
    while True:
        # What is deleted is no longer listed, so the first page is asked for again and again.
        answer = aws.ask("s3.ListObjectVersions", Bucket=bucket, Prefix=prefix, MaxKeys=_AT_ONCE)
        found: list[dict[str, Any]] = [
            *answer.get("Versions", []),
            *answer.get("DeleteMarkers", []),
        ]
        if not found:
            return {"bucket": bucket, "deleted": deleted}
        listed: list[Json] = [
            {"Key": each["Key"], "VersionId": each["VersionId"]} for each in found
        ]
        delete_all(aws, bucket, listed)
        deleted += len(listed)
