"""Databases of RDS."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field
from typing_extensions import override

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.resource_fields import FIXED, GIVEN
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.curated.fields import SecurityGroups
from cloudflow_dagster.providers.aws.curated.rds.shown import Instance, Snapshot
from cloudflow_dagster.providers.aws.curated.rds.waiting import (
    CHANGING,
    EVERY,
    has_begun,
    is_in,
    look,
    reached,
    settled,
)
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.declare_resource import (
    AwsResource,
    Changed,
    Found,
    aws_resource,
)
from cloudflow_dagster.providers.aws.given import (
    ONE,
    Tags,
    Text,
    gone,
    is_since,
    one,
    tag_list,
    tags_of,
)
from cloudflow_dagster.providers.aws.naming import Names
from cloudflow_dagster.providers.aws.operations import Operations

Database = Annotated[str, one("id", "name", "DBInstanceIdentifier"), ONE, Names("DbInstanceName")]
SnapshotId = Annotated[str, one("id", "DBSnapshotIdentifier"), ONE, Names("SnapshotName")]


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
    name: Annotated[str, Names("SnapshotName", made_up=True)] | None = None,
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
    if look(aws, database)["status"] not in {"available", "starting"}:
        aws.ask("rds.StartDBInstance", DBInstanceIdentifier=database)
    return reached(aws, database, "available") if wait else look(aws, database)


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
    if look(aws, database)["status"] not in {"stopped", "stopping"}:
        aws.ask("rds.StopDBInstance", DBInstanceIdentifier=database)
    return reached(aws, database, "stopped") if wait else look(aws, database)


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
    answer = aws.ask(
        "rds.RebootDBInstance", DBInstanceIdentifier=database, ForceFailover=failover or None
    )
    if wait and answer["DBInstance"]["DBInstanceStatus"] != "available":
        has_begun(aws, database)
    return reached(aws, database, "available") if wait else look(aws, database)


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
    return reached(aws, name, "available") if given["wait"] else look(aws, name)


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
    name: Annotated[Text, Names("DbInstanceName")],
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
    return reached(aws, name, "available") if wait else look(aws, name)


def _name(aws: Operations, database: str) -> str:
    """Return the name of a snapshot: the same one if the same call is made again."""
    return f"{database}-{aws.call.token[:12]}"


def _snapshot(aws: Operations, name: str, *, wait: bool) -> Snapshot:
    found = aws.until(
        lambda answer: not wait or is_in(answer["DBSnapshots"][0]["Status"], "available", name),
        "rds.DescribeDBSnapshots",
        every=EVERY,
        DBSnapshotIdentifier=name,
    )["DBSnapshots"][0]
    return {
        "id": name,
        "database": found["DBInstanceIdentifier"],
        "status": found["Status"],
        "arn": found.get("DBSnapshotArn"),
    }


_SETTINGS = {
    "size": "DBInstanceClass",
    "gigabytes": "AllocatedStorage",
    "version": "EngineVersion",
    "backup_days": "BackupRetentionPeriod",
    "two_zones": "MultiAZ",
    "deletion_protection": "DeletionProtection",
}


@aws_resource(
    "aws.rds.instance",
    label="Database",
    create=("rds.CreateDBInstance",),
    sends={"ManageMasterUserPassword": (), "StorageEncrypted": ()},
    read=("rds.DescribeDBInstances",),
    update={
        "rds.ModifyDBInstance": (*_SETTINGS, "security_groups"),
        "rds.AddTagsToResource": ("tags",),
        "rds.RemoveTagsFromResource": ("tags",),
    },
    delete=("rds.DeleteDBInstance",),
    loss="All that is in it; a last snapshot is made.",
)
class RdsInstance(AwsResource):
    """A database of RDS, encrypted and closed to the internet; AWS keeps its password."""

    noun = "database"
    name: Annotated[
        Text, FIXED, Names("DbInstanceName"), Field(max_length=63, description="What it is called.")
    ]
    engine: Annotated[Text, FIXED, Field(description="`postgres`, `mysql`, `mariadb` …")]
    size: Annotated[Text, Field(description="How large it is.")] = "db.t4g.micro"
    gigabytes: Annotated[int, Field(ge=5, description="How much it holds.")] = 20
    version: Annotated[Text | None, Field(description="Of the engine.")] = None
    user: Annotated[Text, FIXED, Field(description="The one who may do everything.")] = "cloudflow"
    database: Annotated[Text | None, FIXED, Field(description="Made in it at first.")] = None
    backup_days: Annotated[
        int | None, Field(ge=0, le=35, description="How long its backups are kept.")
    ] = None
    two_zones: Annotated[bool | None, Field(description="Whether it is in two zones.")] = None
    deletion_protection: Annotated[
        bool | None, Field(description="Whether nobody can delete it.")
    ] = None
    subnet_group: Annotated[Text | None, FIXED, Field(description="Where it may be.")] = None
    security_groups: Annotated[SecurityGroups, Field(description="Who reaches it.")] = None
    tags: Annotated[Tags | None, Field(description="All its tags.")] = None
    arn: Annotated[str | None, GIVEN, Field(description="Names it.")] = None
    host: Annotated[str | None, GIVEN, Field(description="Its address.")] = None
    port: Annotated[int | None, GIVEN, Field(description="Its port.")] = None
    secret: Annotated[str | None, GIVEN, Field(description="ARN of its password.")] = None

    @override
    def create(self, aws: Operations) -> str:
        aws.ask(
            "rds.CreateDBInstance",
            DBInstanceIdentifier=self.name,
            Engine=self.engine,
            MasterUsername=self.user,
            ManageMasterUserPassword=True,
            DBName=self.database,
            StorageEncrypted=True,
            PubliclyAccessible=False,
            DBSubnetGroupName=self.subnet_group,
            VpcSecurityGroupIds=self.security_groups,
            **self._settings(),
        )
        aws.wait("rds.db_instance_available", DBInstanceIdentifier=self.name)
        return self.name

    @classmethod
    @override
    def read(cls, aws: Operations, identifier: str) -> Found:
        absent = ("DBInstanceNotFound", "DBInstanceNotFoundFault")
        answer = aws.find("rds.DescribeDBInstances", absent=absent, DBInstanceIdentifier=identifier)
        if answer is None or not answer.get("DBInstances"):
            return None
        found = answer["DBInstances"][0]
        if found["DBInstanceStatus"] == "deleting":
            aws.wait("rds.db_instance_deleted", DBInstanceIdentifier=identifier)
            return None
        if found["DBInstanceStatus"] in CHANGING:
            settled(aws, identifier)
            return cls.read(aws, identifier)
        endpoint: dict[str, Any] = found.get("Endpoint") or {}
        groups: list[dict[str, Any]] = found.get("VpcSecurityGroups", [])
        subnets: dict[str, Any] = found.get("DBSubnetGroup") or {}
        secret: dict[str, Any] = found.get("MasterUserSecret") or {}
        return identifier, {
            "name": identifier,
            "engine": found["Engine"],
            **{name: found.get(api) for name, api in _SETTINGS.items()},
            "user": found.get("MasterUsername"),
            "database": found.get("DBName"),
            "subnet_group": subnets.get("DBSubnetGroupName"),
            "security_groups": [each["VpcSecurityGroupId"] for each in groups],
            "tags": tags_of(found.get("TagList")),
            "arn": found["DBInstanceArn"],
            "host": endpoint.get("Address"),
            "port": endpoint.get("Port"),
            "secret": secret.get("SecretArn"),
        }

    @override
    def update(self, aws: Operations, identifier: str, changed: Changed) -> None:
        if not {*_SETTINGS, "security_groups"}.isdisjoint(changed):
            aws.ask(
                "rds.ModifyDBInstance",
                DBInstanceIdentifier=identifier,
                ApplyImmediately=True,
                VpcSecurityGroupIds=self.security_groups,
                **self._settings(),
            )
            settled(aws, identifier, _SETTINGS.values())
        if "tags" in changed:
            _, found = self.read(aws, identifier) or ("", {})
            if self.tags:
                tags = tag_list(self.tags)
                aws.ask("rds.AddTagsToResource", ResourceName=found["arn"], Tags=tags)
            if old := gone(changed["tags"], self.tags):
                aws.ask("rds.RemoveTagsFromResource", ResourceName=found["arn"], TagKeys=[*old])

    @classmethod
    @override
    def delete(cls, aws: Operations, identifier: str) -> None:
        last = f"{identifier}-last-{aws.call.token[:12]}"
        aws.ask(
            "rds.DeleteDBInstance",
            DBInstanceIdentifier=identifier,
            FinalDBSnapshotIdentifier=last,
        )
        aws.wait("rds.db_instance_deleted", DBInstanceIdentifier=identifier)

    def _settings(self) -> dict[str, Json]:
        return {api: getattr(self, name) for name, api in _SETTINGS.items()}
