"""Tables of DynamoDB."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import TypedDict, override

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.resource_fields import FIXED, GIVEN
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.curated.dynamodb.item import Table
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.declare_resource import (
    AwsResource,
    Changed,
    Found,
    aws_resource,
)
from cloudflow_dagster.providers.aws.given import (
    UNORDERED_LIST,
    Tags,
    Text,
    gone,
    is_since,
    tag_list,
    tags_of,
)
from cloudflow_dagster.providers.aws.naming import Names
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


Type = Literal["S", "N", "B"]


class Index(BaseModel):
    """Another key by which items of a table are found."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    name: Annotated[str, Field(description="What it is called.")]
    partition_key: Annotated[str, Field(description="The attribute that finds items.")]
    partition_type: Annotated[Type, Field(description="Text, number or bytes.")] = "S"
    sort_key: Annotated[str | None, Field(description="The attribute that sorts them.")] = None
    sort_type: Annotated[Type | None, Field(description="Text, if not given.")] = None

    @property
    def types(self) -> dict[str, Type]:
        """The types of the attributes of the key."""
        found: dict[str, Type] = {self.partition_key: self.partition_type}
        if self.sort_key:
            found[self.sort_key] = self.sort_type or "S"
        return found

    @property
    def schema_of_key(self) -> Json:
        """The key as DynamoDB takes it."""
        return [
            {"AttributeName": name, "KeyType": kind}
            for name, kind in zip(self.types, ("HASH", "RANGE"), strict=False)
        ]


@aws_resource(
    "aws.dynamodb.table",
    label="Table",
    create=("dynamodb.CreateTable",),
    read=(
        "dynamodb.DescribeTable",
        "dynamodb.DescribeContinuousBackups",
        "dynamodb.DescribeTimeToLive",
        "dynamodb.ListTagsOfResource",
    ),
    update={
        "dynamodb.UpdateTable": ("deletion_protection", "read_capacity", "write_capacity"),
        "dynamodb.UpdateContinuousBackups": ("point_in_time_recovery",),
        "dynamodb.UpdateTimeToLive": ("expires_by",),
        "dynamodb.TagResource": ("tags",),
        "dynamodb.UntagResource": ("tags",),
    },
    delete=("dynamodb.DeleteTable",),
    loss="All its items.",
)
class DynamodbTable(AwsResource):
    """A table of DynamoDB, paid for by request unless it has a capacity."""

    noun = "table"
    name: Annotated[Text, FIXED, Names("TableName"), Field(description="What it is called.")]
    partition_key: Annotated[
        str, FIXED, Field(description="The attribute that tells items from each other.")
    ] = "id"
    partition_type: Annotated[Type, FIXED, Field(description="Text, number or bytes.")] = "S"
    sort_key: Annotated[
        str | None, FIXED, Field(description="The attribute that does so too, and sorts them.")
    ] = None
    sort_type: Annotated[Type | None, FIXED, Field(description="Text, if not given.")] = None
    indexes: Annotated[
        list[Index] | None,
        FIXED,
        Field(description="Other keys.", json_schema_extra=UNORDERED_LIST),
    ] = None
    read_capacity: Annotated[
        int | None, Field(ge=1, description="Reads in a second that are always paid for.")
    ] = None
    write_capacity: Annotated[int | None, Field(ge=1, description="The same for writes.")] = None
    point_in_time_recovery: Annotated[
        bool | None, Field(description="Whether every second of the last 35 days can be restored.")
    ] = None
    deletion_protection: Annotated[
        bool | None, Field(description="Whether nobody can delete it.")
    ] = None
    expires_by: Annotated[
        Text | None, Field(description="The attribute that says when an item goes by itself.")
    ] = None
    tags: Annotated[Tags | None, Field(description="All its tags.")] = None
    arn: Annotated[str | None, GIVEN, Field(description="Names it in policies.")] = None

    @model_validator(mode="after")
    def _both_capacities(self) -> DynamodbTable:
        if (self.read_capacity is None) != (self.write_capacity is None):
            raise ValueError("`read_capacity` and `write_capacity` go together")
        return self

    @override
    def create(self, aws: Operations) -> str:
        key = Index(
            name=self.name,
            partition_key=self.partition_key,
            partition_type=self.partition_type,
            sort_key=self.sort_key,
            sort_type=self.sort_type,
        )
        types = {**key.types}
        for index in self.indexes or ():
            types |= index.types
        throughput = self._throughput()
        more: list[Json] = [
            {
                "IndexName": index.name,
                "KeySchema": index.schema_of_key,
                "Projection": {"ProjectionType": "ALL"},
                **({"ProvisionedThroughput": throughput} if throughput else {}),
            }
            for index in self.indexes or ()
        ]
        aws.ask(
            "dynamodb.CreateTable",
            TableName=self.name,
            KeySchema=key.schema_of_key,
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": kind} for name, kind in types.items()
            ],
            BillingMode="PROVISIONED" if throughput else "PAY_PER_REQUEST",
            ProvisionedThroughput=throughput,
            GlobalSecondaryIndexes=more or None,
        )
        return self.name

    @classmethod
    @override
    def read(cls, aws: Operations, identifier: str) -> Found:
        found = _settled(aws, identifier)
        if found is None:
            return None
        arn = found["TableArn"]
        types = {a["AttributeName"]: a["AttributeType"] for a in found["AttributeDefinitions"]}
        capacity: dict[str, int] = found.get("ProvisionedThroughput", {})
        backups = aws.ask("dynamodb.DescribeContinuousBackups", TableName=identifier)
        recovery = backups["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
        expiry = aws.ask("dynamodb.DescribeTimeToLive", TableName=identifier)
        ttl: dict[str, Any] = expiry.get("TimeToLiveDescription", {})
        key = _key_of(found["KeySchema"], types)
        return identifier, {
            "name": identifier,
            **key,
            "indexes": [
                {"name": each["IndexName"], **_key_of(each["KeySchema"], types)}
                for each in found.get("GlobalSecondaryIndexes", [])
            ],
            "read_capacity": capacity.get("ReadCapacityUnits") or None,
            "write_capacity": capacity.get("WriteCapacityUnits") or None,
            "point_in_time_recovery": recovery.get("PointInTimeRecoveryStatus") == "ENABLED",
            "deletion_protection": found.get("DeletionProtectionEnabled", False),
            "expires_by": ttl.get("AttributeName"),
            "tags": tags_of(aws.pages("dynamodb.ListTagsOfResource", ResourceArn=arn).get("Tags")),
            "arn": arn,
        }

    @override
    def update(self, aws: Operations, identifier: str, changed: Changed) -> None:
        if not {"read_capacity", "write_capacity", "deletion_protection"}.isdisjoint(changed):
            throughput = self._throughput() if "read_capacity" in changed else None
            aws.ask(
                "dynamodb.UpdateTable",
                TableName=identifier,
                BillingMode="PROVISIONED" if throughput else None,
                ProvisionedThroughput=throughput,
                DeletionProtectionEnabled=self.deletion_protection,
            )
            _settled(aws, identifier)
        if "point_in_time_recovery" in changed:
            aws.ask(
                "dynamodb.UpdateContinuousBackups",
                TableName=identifier,
                PointInTimeRecoverySpecification={
                    "PointInTimeRecoveryEnabled": self.point_in_time_recovery
                },
            )
        if "expires_by" in changed:
            aws.ask(
                "dynamodb.UpdateTimeToLive",
                TableName=identifier,
                TimeToLiveSpecification={"Enabled": True, "AttributeName": self.expires_by},
            )
        if "tags" in changed:
            arn = aws.ask("dynamodb.DescribeTable", TableName=identifier)["Table"]["TableArn"]
            if self.tags:
                aws.ask("dynamodb.TagResource", ResourceArn=arn, Tags=tag_list(self.tags))
            if old := gone(changed["tags"], self.tags):
                aws.ask("dynamodb.UntagResource", ResourceArn=arn, TagKeys=[*old])

    @classmethod
    @override
    def delete(cls, aws: Operations, identifier: str) -> None:
        aws.ask("dynamodb.DeleteTable", TableName=identifier)
        aws.wait("dynamodb.table_not_exists", TableName=identifier)

    def _throughput(self) -> Json:
        if self.read_capacity is None:
            return None
        return {
            "ReadCapacityUnits": self.read_capacity,
            "WriteCapacityUnits": self.write_capacity,
        }


def _settled(aws: Operations, name: str) -> dict[str, Any] | None:
    """Return what is said of a table when it can be used; None if there is none."""

    def is_ready(answer: dict[str, Any]) -> bool:
        return answer["Table"]["TableStatus"] not in {"CREATING", "UPDATING", "DELETING"}

    try:
        found = aws.until(is_ready, "dynamodb.DescribeTable", every=_EVERY, TableName=name)
    except NodeError as error:
        if error.code != "ResourceNotFoundException":
            raise
        return None
    return found["Table"]


def _key_of(schema: list[dict[str, str]], types: dict[str, str]) -> dict[str, Json]:
    names = {each["KeyType"]: each["AttributeName"] for each in schema}
    found: dict[str, Json] = {}
    for kind, name in (("HASH", "partition"), ("RANGE", "sort")):
        if kind in names:
            found |= {f"{name}_key": names[kind], f"{name}_type": types[names[kind]]}
    return found
