"""Tables of DynamoDB."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.curated.dynamodb.item import Table
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.given import is_since
from cloudflow_dagster.providers.aws.operations import Operations

_EVERY = 10.0


class Backup(TypedDict):
    """A backup of a table."""

    arn: Annotated[str, Field(description="Names it.")]
    name: Annotated[str, Field(description="As it was called.")]
    status: Annotated[str, Field(description="`CREATING` or `AVAILABLE`.")]
    created_at: Annotated[str, Field(description="The moment that it shows.")]


def _name(aws: Operations, table: str) -> str:
    return f"{table}-{aws.call.token[:12]}"


def _made(aws: Operations, given: dict[str, Any], since: datetime) -> Backup | None:
    name = given["name"] or _name(aws, given["table"])
    found = aws.pages("dynamodb.ListBackups", TableName=given["table"])["BackupSummaries"]
    for each in found:
        if each["BackupName"] == name and is_since(each["BackupCreationDateTime"], since):
            return _backup(aws, each["BackupArn"], wait=given["wait"])
    return None


@aws_action(
    "aws.dynamodb.table.backup",
    label="Back up table",
    calls=("dynamodb.CreateBackup", "dynamodb.DescribeBackup", "dynamodb.ListBackups"),
    repeat=Repeat.LOOKUP,
    look_up=_made,
    icon="archive",
)
def backup(aws: Operations, *, table: Table, name: str | None = None, wait: bool = True) -> Backup:
    """Backs up a table and waits until that can be restored.

    Args:
        aws: Carries out operations.
        table: Name of the table.
        name: Of the backup; made from the table's if none is given.
        wait: Whether to wait until it can be restored.
    """
    answer = aws.ask("dynamodb.CreateBackup", TableName=table, BackupName=name or _name(aws, table))
    return _backup(aws, answer["BackupDetails"]["BackupArn"], wait=wait)


def _backup(aws: Operations, arn: str, *, wait: bool) -> Backup:
    answer = aws.until(
        lambda answer: (
            not wait or answer["BackupDescription"]["BackupDetails"]["BackupStatus"] != "CREATING"
        ),
        "dynamodb.DescribeBackup",
        every=_EVERY,
        BackupArn=arn,
    )
    found = answer["BackupDescription"]["BackupDetails"]
    return {
        "arn": arn,
        "name": found["BackupName"],
        "status": found["BackupStatus"],
        "created_at": found["BackupCreationDateTime"],
    }
