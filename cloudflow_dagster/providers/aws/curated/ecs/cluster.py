"""Clusters of ECS."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import override

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.resource_fields import FIXED, GIVEN
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
)
from cloudflow_dagster.providers.aws.naming import Names
from cloudflow_dagster.providers.aws.operations import Operations


@aws_resource(
    "aws.ecs.cluster",
    label="Cluster",
    create=("ecs.CreateCluster",),
    read=("ecs.DescribeClusters",),
    update={
        "ecs.UpdateClusterSettings": ("insights",),
        "ecs.TagResource": ("tags",),
        "ecs.UntagResource": ("tags",),
    },
    delete=("ecs.DeleteCluster",),
)
class EcsCluster(AwsResource):
    """A cluster of ECS."""

    noun = "cluster"
    name: Annotated[
        Text, FIXED, Names("ClusterName"), Field(max_length=255, description="What it is called.")
    ]
    insights: Annotated[
        bool | None, Field(description="Whether CloudWatch measures what runs in it.")
    ] = None
    tags: Annotated[Tags | None, Field(description="All its tags.")] = None
    arn: Annotated[str | None, GIVEN, Field(description="Names it.")] = None

    @override
    def create(self, aws: Operations) -> str:
        settings = None if self.insights is None else [self._setting()]
        aws.ask("ecs.CreateCluster", clusterName=self.name, settings=settings)
        return self.name

    @classmethod
    @override
    def read(cls, aws: Operations, identifier: str) -> Found:
        asked: list[Json] = ["SETTINGS", "TAGS"]
        answer = aws.ask("ecs.DescribeClusters", clusters=[identifier], include=asked)
        there = [each for each in answer.get("clusters", []) if each["status"] != "INACTIVE"]
        if not there:
            return None
        found = there[0]
        settings = {each["name"]: each["value"] for each in found.get("settings", [])}
        return identifier, {
            "name": identifier,
            "insights": settings.get("containerInsights", "disabled") != "disabled",
            "tags": {each["key"]: each["value"] for each in found.get("tags", [])},
            "arn": found["clusterArn"],
        }

    @override
    def update(self, aws: Operations, identifier: str, changed: Changed) -> None:
        if "insights" in changed:
            settings: Json = [self._setting()]
            aws.ask("ecs.UpdateClusterSettings", cluster=identifier, settings=settings)
        if "tags" in changed:
            found = self.read(aws, identifier)
            arn = found[1]["arn"] if found else None
            tags: list[Json] = [{"key": k, "value": v} for k, v in (self.tags or {}).items()]
            if tags:
                aws.ask("ecs.TagResource", resourceArn=arn, tags=tags)
            if old := gone(changed["tags"], self.tags):
                aws.ask("ecs.UntagResource", resourceArn=arn, tagKeys=[*old])

    @classmethod
    @override
    def delete(cls, aws: Operations, identifier: str) -> None:
        aws.ask("ecs.DeleteCluster", cluster=identifier)

    def _setting(self) -> Json:
        return {"name": "containerInsights", "value": "enabled" if self.insights else "disabled"}
