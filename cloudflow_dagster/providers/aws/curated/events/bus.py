"""Buses of EventBridge."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import override

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
    tag_list,
    tags_of,
)
from cloudflow_dagster.providers.aws.naming import Names
from cloudflow_dagster.providers.aws.operations import Operations


@aws_resource(
    "aws.events.bus",
    label="Event bus",
    create=("events.CreateEventBus",),
    read=("events.DescribeEventBus", "events.ListTagsForResource"),
    update={"events.TagResource": ("tags",), "events.UntagResource": ("tags",)},
    delete=("events.DeleteEventBus",),
)
class EventBus(AwsResource):
    """A bus of EventBridge for events of your own."""

    noun = "event bus"
    name: Annotated[
        Text, FIXED, Names("EventBusName"), Field(max_length=256, description="What it is called.")
    ]
    tags: Annotated[Tags | None, Field(description="All its tags.")] = None
    arn: Annotated[str | None, GIVEN, Field(description="Names it.")] = None

    @override
    def create(self, aws: Operations) -> str:
        aws.ask("events.CreateEventBus", Name=self.name)
        return self.name

    @classmethod
    @override
    def read(cls, aws: Operations, identifier: str) -> Found:
        absent = ("ResourceNotFoundException",)
        found = aws.find("events.DescribeEventBus", absent=absent, Name=identifier)
        if found is None:
            return None
        tags = aws.ask("events.ListTagsForResource", ResourceARN=found["Arn"]).get("Tags")
        return identifier, {"name": identifier, "tags": tags_of(tags), "arn": found["Arn"]}

    @override
    def update(self, aws: Operations, identifier: str, changed: Changed) -> None:
        arn = aws.ask("events.DescribeEventBus", Name=identifier)["Arn"]
        if self.tags:
            aws.ask("events.TagResource", ResourceARN=arn, Tags=tag_list(self.tags))
        if old := gone(changed["tags"], self.tags):
            aws.ask("events.UntagResource", ResourceARN=arn, TagKeys=[*old])

    @classmethod
    @override
    def delete(cls, aws: Operations, identifier: str) -> None:
        aws.ask("events.DeleteEventBus", Name=identifier)
