"""Rules of EventBridge."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
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
    ONE,
    UNORDERED_LIST,
    Document,
    Tags,
    Text,
    document,
    gone,
    one,
    tag_list,
    tags_of,
)
from cloudflow_dagster.providers.aws.naming import Names
from cloudflow_dagster.providers.aws.operations import Operations

_ABSENT = ("ResourceNotFoundException",)


class Target(BaseModel):
    """What a rule starts."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    arn: Annotated[str, one("arn", "url"), ONE, Field(description="Function, queue, topic …")]
    role: Annotated[
        str | None, one("arn"), ONE, Field(description="Role that may start it, if one must.")
    ] = None
    input: Annotated[Json, Field(description="What it gets instead of the event.")] = None

    def sent(self) -> Json:
        """Return the target as EventBridge takes it; the same one has the same id."""
        said = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        given = {
            "RoleArn": self.role,
            "Input": None if self.input is None else json.dumps(self.input),
        }
        return {
            "Id": hashlib.sha256(said.encode()).hexdigest()[:32],
            "Arn": self.arn,
            **{name: value for name, value in given.items() if value is not None},
        }


@aws_resource(
    "aws.events.rule",
    label="Rule",
    create=("events.PutRule",),
    read=("events.DescribeRule", "events.ListTargetsByRule", "events.ListTagsForResource"),
    update={
        "events.PutTargets": ("targets",),
        "events.RemoveTargets": ("targets",),
        "events.TagResource": ("tags",),
        "events.UntagResource": ("tags",),
    },
    delete=("events.DeleteRule", "events.RemoveTargets"),
)
class EventRule(AwsResource):
    """A rule of EventBridge, which starts something at times or when something happens."""

    noun = "rule"
    name: Annotated[
        Text, FIXED, Names("RuleName"), Field(max_length=64, description="What it is called.")
    ]
    bus: Annotated[
        str,
        one("name"),
        ONE,
        FIXED,
        Names("EventBusName"),
        Field(description="Whose events it sees."),
    ] = "default"
    schedule: Annotated[
        str | None, Field(description="`rate(5 minutes)` or `cron(0 6 * * ? *)`.")
    ] = None
    pattern: Annotated[Document | None, Field(description="The events that it is about.")] = None
    targets: Annotated[
        list[Target] | None,
        Field(description="All that it starts.", json_schema_extra=UNORDERED_LIST),
    ] = None
    enabled: Annotated[bool, Field(description="Whether it does so.")] = True
    description: Annotated[str | None, Field(description="What it is for.")] = None
    tags: Annotated[Tags | None, Field(description="All its tags.")] = None
    arn: Annotated[str | None, GIVEN, Field(description="Names it.")] = None

    @override
    def identify(self) -> str:
        return f"{self.bus}|{self.name}"

    @override
    def create(self, aws: Operations) -> str:
        self._put(aws, {})
        return self.identify()

    @classmethod
    @override
    def read(cls, aws: Operations, identifier: str) -> Found:
        bus, _, name = identifier.rpartition("|")
        which: dict[str, Json] = {"Name": name, "EventBusName": bus}
        found = aws.find("events.DescribeRule", absent=_ABSENT, **which)
        if found is None:
            return None
        tags = aws.ask("events.ListTagsForResource", ResourceARN=found["Arn"]).get("Tags")
        return identifier, {
            "name": name,
            "bus": bus,
            "schedule": found.get("ScheduleExpression"),
            "pattern": document(found.get("EventPattern")),
            "targets": [_target_of(each) for each in _targets(aws, identifier)],
            "enabled": found.get("State") != "DISABLED",
            "description": found.get("Description"),
            "tags": tags_of(tags),
            "arn": found["Arn"],
        }

    @override
    def update(self, aws: Operations, identifier: str, changed: Changed) -> None:
        bus, _, name = identifier.rpartition("|")
        found = aws.ask("events.DescribeRule", Name=name, EventBusName=bus)
        if not {"schedule", "pattern", "enabled", "description"}.isdisjoint(changed):
            self._put(aws, found)
        if "targets" in changed:
            self._set_targets(aws, identifier)
        if "tags" in changed:
            if self.tags:
                aws.ask("events.TagResource", ResourceARN=found["Arn"], Tags=tag_list(self.tags))
            if old := gone(changed["tags"], self.tags):
                aws.ask("events.UntagResource", ResourceARN=found["Arn"], TagKeys=[*old])

    def _put(self, aws: Operations, found: dict[str, Any]) -> None:
        """Set all of the rule: what is not sent would be taken away."""
        pattern = json.dumps(self.pattern) if self.pattern else found.get("EventPattern")
        aws.ask(
            "events.PutRule",
            Name=self.name,
            EventBusName=self.bus,
            ScheduleExpression=self.schedule or found.get("ScheduleExpression"),
            EventPattern=pattern,
            State="ENABLED" if self.enabled else "DISABLED",
            Description=self.description or found.get("Description"),
        )

    def _set_targets(self, aws: Operations, identifier: str) -> None:
        there = {each["Id"] for each in _targets(aws, identifier)}
        wanted: dict[str, Json] = {
            each["Id"]: each for target in self.targets or () if (each := target.sent())
        }
        if new := [wanted[id] for id in wanted if id not in there]:
            aws.ask("events.PutTargets", Rule=self.name, EventBusName=self.bus, Targets=new)
        _remove(aws, identifier, [*(there - wanted.keys())])

    @classmethod
    @override
    def delete(cls, aws: Operations, identifier: str) -> None:
        bus, _, name = identifier.rpartition("|")
        _remove(aws, identifier, [each["Id"] for each in _targets(aws, identifier)])
        aws.ask("events.DeleteRule", Name=name, EventBusName=bus)


def _targets(aws: Operations, identifier: str) -> list[dict[str, Any]]:
    bus, _, name = identifier.rpartition("|")
    return aws.pages("events.ListTargetsByRule", Rule=name, EventBusName=bus).get("Targets", [])


def _target_of(found: dict[str, Any]) -> dict[str, Json]:
    given = {
        "arn": found["Arn"],
        "role": found.get("RoleArn"),
        "input": document(found.get("Input")),
    }
    return {name: value for name, value in given.items() if value is not None}


def _remove(aws: Operations, identifier: str, ids: list[str]) -> None:
    bus, _, name = identifier.rpartition("|")
    if ids:
        aws.ask("events.RemoveTargets", Rule=name, EventBusName=bus, Ids=[*sorted(ids)])
