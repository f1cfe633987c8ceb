"""Caches of ElastiCache."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import override

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.resource_fields import FIXED, GIVEN, HIDDEN
from cloudflow_dagster.providers.aws.curated.fields import SecurityGroups
from cloudflow_dagster.providers.aws.declare_resource import (
    AwsResource,
    Changed,
    Found,
    aws_resource,
)
from cloudflow_dagster.providers.aws.given import (
    Tags,
    Text,
    gone,
    tag_list,
    tags_of,
)
from cloudflow_dagster.providers.aws.naming import Names
from cloudflow_dagster.providers.aws.operations import Operations

_ABSENT = ("ReplicationGroupNotFoundFault", "ReplicationGroupNotFound")
_CHANGED_AT_ONCE = ("size", "snapshot_days")


@aws_resource(
    "aws.elasticache.cluster",
    label="Cache",
    create=("elasticache.CreateReplicationGroup",),
    read=("elasticache.DescribeReplicationGroups", "elasticache.ListTagsForResource"),
    update={
        "elasticache.ModifyReplicationGroup": _CHANGED_AT_ONCE,
        "elasticache.AddTagsToResource": ("tags",),
        "elasticache.RemoveTagsFromResource": ("tags",),
    },
    delete=("elasticache.DeleteReplicationGroup",),
    loss="All that is in it.",
)
class Cache(AwsResource):
    """A cache of Valkey or Redis on one node, with copies in other zones if wanted.

    It is encrypted on its disks and on the wire: clients connect with TLS.
    """

    noun = "cache"
    name: Annotated[
        str,
        FIXED,
        Names("ReplicationGroupId"),
        Field(pattern="^[a-z][a-z0-9-]{0,39}$", description="What it is called."),
    ]
    engine: Annotated[Literal["valkey", "redis"], FIXED, Field(description="What it speaks.")] = (
        "valkey"
    )
    version: Annotated[
        Text | None,
        FIXED,
        HIDDEN,
        Field(description="Of the engine; only heeded when it is made."),
    ] = None
    size: Annotated[Text, Field(description="How large each node is.")] = "cache.t4g.micro"
    copies: Annotated[
        int,
        FIXED,
        Field(ge=0, le=5, description="Nodes in other zones of which one takes over if need be."),
    ] = 0
    snapshot_days: Annotated[
        int | None, Field(ge=0, le=35, description="How long its daily snapshots are kept.")
    ] = None
    subnet_group: Annotated[
        Text | None,
        FIXED,
        HIDDEN,
        Field(description="Where it may be; only heeded when it is made."),
    ] = None
    security_groups: Annotated[
        SecurityGroups,
        FIXED,
        HIDDEN,
        Field(description="Who reaches it; only heeded when it is made."),
    ] = None
    tags: Annotated[Tags | None, Field(description="All its tags.")] = None
    arn: Annotated[str | None, GIVEN, Field(description="Names it.")] = None
    host: Annotated[str | None, GIVEN, Field(description="Where it is written to.")] = None
    read_host: Annotated[str | None, GIVEN, Field(description="Where it can be read.")] = None
    port: Annotated[int | None, GIVEN, Field(description="Its port.")] = None

    @override
    def create(self, aws: Operations) -> str:
        aws.ask(
            "elasticache.CreateReplicationGroup",
            ReplicationGroupId=self.name,
            ReplicationGroupDescription=self.name,
            Engine=self.engine,
            EngineVersion=self.version,
            CacheNodeType=self.size,
            NumNodeGroups=1,
            ReplicasPerNodeGroup=self.copies,
            AutomaticFailoverEnabled=self.copies > 0,
            MultiAZEnabled=self.copies > 0,
            SnapshotRetentionLimit=self.snapshot_days,
            CacheSubnetGroupName=self.subnet_group,
            SecurityGroupIds=self.security_groups,
            AtRestEncryptionEnabled=True,
            TransitEncryptionEnabled=True,
        )
        aws.wait("elasticache.replication_group_available", ReplicationGroupId=self.name)
        return self.name

    @classmethod
    @override
    def read(cls, aws: Operations, identifier: str) -> Found:
        found = _described(aws, identifier)
        if found is None:
            return None
        if found["Status"] == "deleting":
            aws.wait("elasticache.replication_group_deleted", ReplicationGroupId=identifier)
            return None
        if found["Status"] in {"creating", "modifying"}:
            aws.wait("elasticache.replication_group_available", ReplicationGroupId=identifier)
            return cls.read(aws, identifier)
        arn = found["ARN"]
        tags = aws.ask("elasticache.ListTagsForResource", ResourceName=arn)
        group: dict[str, Any] = _first(found.get("NodeGroups"))
        primary: dict[str, Any] = group.get("PrimaryEndpoint") or {}
        reader: dict[str, Any] = group.get("ReaderEndpoint") or {}
        return identifier, {
            "name": identifier,
            "engine": found.get("Engine"),
            "size": found.get("CacheNodeType"),
            "copies": len(found["MemberClusters"]) - 1,
            "snapshot_days": found.get("SnapshotRetentionLimit"),
            "tags": tags_of(tags.get("TagList")),
            "arn": arn,
            "host": primary.get("Address"),
            "read_host": reader.get("Address"),
            "port": primary.get("Port"),
        }

    @override
    def update(self, aws: Operations, identifier: str, changed: Changed) -> None:
        if not changed.keys().isdisjoint(_CHANGED_AT_ONCE):
            aws.ask(
                "elasticache.ModifyReplicationGroup",
                ReplicationGroupId=identifier,
                ApplyImmediately=True,
                CacheNodeType=self.size if "size" in changed else None,
                SnapshotRetentionLimit=self.snapshot_days,
            )
            aws.wait("elasticache.replication_group_available", ReplicationGroupId=identifier)
        if "tags" in changed:
            arn: Json = (self.read(aws, identifier) or ("", {}))[1]["arn"]
            if self.tags:
                tags = tag_list(self.tags)
                aws.ask("elasticache.AddTagsToResource", ResourceName=arn, Tags=tags)
            if old := gone(changed["tags"], self.tags):
                aws.ask("elasticache.RemoveTagsFromResource", ResourceName=arn, TagKeys=[*old])

    @classmethod
    @override
    def delete(cls, aws: Operations, identifier: str) -> None:
        aws.ask("elasticache.DeleteReplicationGroup", ReplicationGroupId=identifier)
        aws.wait("elasticache.replication_group_deleted", ReplicationGroupId=identifier)


def _first(listed: list[dict[str, Any]] | None) -> dict[str, Any]:
    return listed[0] if listed else {}


def _described(aws: Operations, name: str) -> dict[str, Any] | None:
    asked = "elasticache.DescribeReplicationGroups"
    answer = aws.find(asked, absent=_ABSENT, ReplicationGroupId=name)
    listed: list[dict[str, Any]] = (answer or {}).get("ReplicationGroups") or []
    return listed[0] if listed else None
