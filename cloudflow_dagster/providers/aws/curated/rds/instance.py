"""Databases of RDS."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.given import ONE, Tags, Text, is_since, one, tag_list
from cloudflow_dagster.providers.aws.operations import Operations

Database = Annotated[str, one("id", "DBInstanceIdentifier"), ONE]
SnapshotId = Annotated[str, one("id", "DBSnapshotIdentifier"), ONE]
_EVERY = 30.0
_FAILED = frozenset(
    {"failed", "incompatible-network", "incompatible-parameters", "incompatible-restore"}
)


class Instance(TypedDict):
    """What most flows want to know of a database."""

    id: Annotated[str, Field(description="Its name.")]
    status: Annotated[str, Field(description="`available`, `stopped`, `starting`, …")]
    engine: Annotated[str, Field(description="`postgres`, `mysql`, …")]
    host: Annotated[str | None, Field(description="Where it answers.")]
    port: Annotated[int | None, Field(description="At which port.")]
    arn: Annotated[str | None, Field(description="Its ARN.")]


class Snapshot(TypedDict):
    """A snapshot of a database."""

    id: Annotated[str, Field(description="Its name.")]
    database: Annotated[str, Field(description="Name of the database.")]
    status: Annotated[str, Field(description="`creating` or `available`.")]
    arn: Annotated[str | None, Field(description="Its ARN.")]


def _snapshot_made(aws: Operations, given: dict[str, Any], since: datetime) -> Snapshot | None:
    name = given["name"] or _name(aws, given["database"])
    try:
        found = aws.ask("rds.DescribeDBSnapshots", DBSnapshotIdentifier=name)["DBSnapshots"][0]
    except NodeError as error:
        if error.code.startswith("DBSnapshotNotFound"):
            return None
        raise
    made = found.get("SnapshotCreateTime")
    if made is not None and not is_since(made, since):
        return None
    return _snapshot(aws, name, wait=given["wait"])


@aws_action(
    "aws.rds.instance.snapshot",
    label="Snapshot database",
    calls=("rds.CreateDBSnapshot", "rds.DescribeDBSnapshots"),
    repeat=Repeat.LOOKUP,
    look_up=_snapshot_made,
    icon="camera",
)
def snapshot(
    aws: Operations,
    *,
    database: Database,
    name: str | None = None,
    tags: Tags | None = None,
    wait: bool = True,
) -> Snapshot:
    """Makes a snapshot of a database and waits until it can be restored.

    Args:
        aws: Carries out operations.
        database: Name of the database, or one that another node gave.
        name: Of the snapshot; made from the database's if none is given.
        tags: Of the snapshot.
        wait: Whether to wait until it can be restored.
    """
    name = name or _name(aws, database)
    aws.ask(
        "rds.CreateDBSnapshot",
        DBSnapshotIdentifier=name,
        DBInstanceIdentifier=database,
        Tags=tag_list(tags) if tags else None,
    )
    return _snapshot(aws, name, wait=wait)


@aws_action(
    "aws.rds.instance.start",
    label="Start database",
    calls=("rds.StartDBInstance", "rds.DescribeDBInstances"),
    repeat=Repeat.SAFE,
    icon="play",
)
def start(aws: Operations, *, database: Database, wait: bool = True) -> Instance:
    """Starts a stopped database and waits until it answers; one that runs is left alone.

    Args:
        aws: Carries out operations.
        database: Name of the database, or one that another node gave.
        wait: Whether to wait until it answers.
    """
    if _look(aws, database)["status"] not in {"available", "starting"}:
        aws.ask("rds.StartDBInstance", DBInstanceIdentifier=database)
    return _reached(aws, database, "available") if wait else _look(aws, database)


@aws_action(
    "aws.rds.instance.stop",
    label="Stop database",
    calls=("rds.StopDBInstance", "rds.DescribeDBInstances"),
    repeat=Repeat.SAFE,
    icon="square",
)
def stop(aws: Operations, *, database: Database, wait: bool = True) -> Instance:
    """Stops a database and waits until it has stopped; AWS starts it again after seven days.

    Args:
        aws: Carries out operations.
        database: Name of the database, or one that another node gave.
        wait: Whether to wait until it has stopped.
    """
    if _look(aws, database)["status"] not in {"stopped", "stopping"}:
        aws.ask("rds.StopDBInstance", DBInstanceIdentifier=database)
    return _reached(aws, database, "stopped") if wait else _look(aws, database)


@aws_action(
    "aws.rds.instance.reboot",
    label="Reboot database",
    calls=("rds.RebootDBInstance", "rds.DescribeDBInstances"),
    repeat=Repeat.ASK,
    icon="rotate-cw",
)
def reboot(
    aws: Operations, *, database: Database, failover: bool = False, wait: bool = True
) -> Instance:
    """Reboots a database and waits until it answers again.

    Args:
        aws: Carries out operations.
        database: Name of the database, or one that another node gave.
        failover: Whether to go on with the stand-by in another zone.
        wait: Whether to wait until it answers.
    """
    aws.ask("rds.RebootDBInstance", DBInstanceIdentifier=database, ForceFailover=failover or None)
    return _reached(aws, database, "available") if wait else _look(aws, database)


def _restored(aws: Operations, given: dict[str, Any], since: datetime) -> Instance | None:
    name: str = given["name"]
    try:
        found = aws.ask("rds.DescribeDBInstances", DBInstanceIdentifier=name)["DBInstances"][0]
    except NodeError as error:
        if error.code.startswith("DBInstanceNotFound"):
            return None
        raise
    made = found.get("InstanceCreateTime")  # while it is being made, it has none
    if made is not None and not is_since(made, since):
        return None
    return _reached(aws, name, "available") if given["wait"] else _look(aws, name)


@aws_action(
    "aws.rds.instance.restore",
    label="Restore database",
    calls=("rds.RestoreDBInstanceFromDBSnapshot", "rds.DescribeDBInstances"),
    repeat=Repeat.LOOKUP,
    look_up=_restored,
    icon="archive-restore",
)
def restore(
    aws: Operations,
    *,
    snapshot: SnapshotId,
    name: Text,
    type: str | None = None,
    subnet_group: str | None = None,
    tags: Tags | None = None,
    wait: bool = True,
) -> Instance:
    """Makes a new database of a snapshot and waits until it answers.

    Args:
        aws: Carries out operations.
        snapshot: Name of the snapshot, or one that another node gave.
        name: Of the new database.
        type: `db.t4g.medium`, …; as the snapshot's database if none is given.
        subnet_group: Where it is put.
        tags: Of the new database.
        wait: Whether to wait until it answers.
    """
    aws.ask(
        "rds.RestoreDBInstanceFromDBSnapshot",
        DBInstanceIdentifier=name,
        DBSnapshotIdentifier=snapshot,
        DBInstanceClass=type,
        DBSubnetGroupName=subnet_group,
        Tags=tag_list(tags) if tags else None,
    )
    return _reached(aws, name, "available") if wait else _look(aws, name)


def _name(aws: Operations, database: str) -> str:
    """Return the name of a snapshot: the same one if the same call is made again."""
    return f"{database}-{aws.call.token[:12]}"


def _snapshot(aws: Operations, name: str, *, wait: bool) -> Snapshot:
    found = aws.until(
        lambda answer: not wait or _is(answer["DBSnapshots"][0]["Status"], "available", name),
        "rds.DescribeDBSnapshots",
        every=_EVERY,
        DBSnapshotIdentifier=name,
    )["DBSnapshots"][0]
    return {
        "id": name,
        "database": found["DBInstanceIdentifier"],
        "status": found["Status"],
        "arn": found.get("DBSnapshotArn"),
    }


def _is(status: str, wanted: str, name: str) -> bool:
    if status in _FAILED:
        raise NodeError("DatabaseFailed", f"`{name}` is {status}.", transient=False)
    return status == wanted


def _reached(aws: Operations, database: str, status: str) -> Instance:
    answer = aws.until(
        lambda answer: _is(answer["DBInstances"][0]["DBInstanceStatus"], status, database),
        "rds.DescribeDBInstances",
        every=_EVERY,
        DBInstanceIdentifier=database,
    )
    return _instance(answer)


def _look(aws: Operations, database: str) -> Instance:
    return _instance(aws.ask("rds.DescribeDBInstances", DBInstanceIdentifier=database))


def _instance(answer: dict[str, Json]) -> Instance:
    found = answer["DBInstances"][0]
    address: dict[str, Any] = found.get("Endpoint") or {}
    return {
        "id": found["DBInstanceIdentifier"],
        "status": found["DBInstanceStatus"],
        "engine": found["Engine"],
        "host": address.get("Address"),
        "port": address.get("Port"),
        "arn": found.get("DBInstanceArn"),
    }
