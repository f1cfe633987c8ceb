"""Zones of Route 53."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import override

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.errors import NodeError
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
from cloudflow_dagster.providers.aws.operations import Operations


@aws_resource(
    "aws.route53.zone",
    label="Zone",
    create=("route53.CreateHostedZone",),
    read=("route53.ListHostedZonesByName", "route53.GetHostedZone", "route53.ListTagsForResource"),
    update={
        "route53.UpdateHostedZoneComment": ("comment",),
        "route53.ChangeTagsForResource": ("tags",),
    },
    delete=("route53.DeleteHostedZone",),
    loss="The name servers that it has been given.",
)
class HostedZone(AwsResource):
    """A public zone of Route 53."""

    noun = "zone"
    name: Annotated[Text, FIXED, Field(description="Its domain: `shop.example`.")]
    comment: Annotated[str | None, Field(max_length=256, description="What it is for.")] = None
    tags: Annotated[Tags | None, Field(description="All its tags.")] = None
    id: Annotated[str | None, GIVEN, Field(description="What AWS calls it.")] = None
    name_servers: Annotated[
        list[str] | None, GIVEN, Field(description="What the domain must be delegated to.")
    ] = None

    @override
    def create(self, aws: Operations) -> str:
        aws.ask("route53.CreateHostedZone", Name=self.name, CallerReference=aws.call.token)
        return self.name

    @classmethod
    @override
    def read(cls, aws: Operations, identifier: str) -> Found:
        wanted = f"{identifier.rstrip('.')}."
        listed = aws.ask("route53.ListHostedZonesByName", DNSName=wanted).get("HostedZones", [])
        there = [
            each
            for each in listed
            if each["Name"] == wanted and not each.get("Config", {}).get("PrivateZone")
        ]
        if len(there) > 1:
            raise NodeError(
                "Ambiguous",
                f"There are {len(there)} public zones for `{identifier}`.",
                transient=False,
            )
        if not there:
            return None
        id = str(there[0]["Id"]).rpartition("/")[2]
        found = aws.ask("route53.GetHostedZone", Id=id)
        tagged = aws.ask("route53.ListTagsForResource", ResourceType="hostedzone", ResourceId=id)
        return identifier, {
            "name": identifier,
            "comment": found["HostedZone"].get("Config", {}).get("Comment") or None,
            "tags": tags_of(tagged["ResourceTagSet"].get("Tags")),
            "id": id,
            "name_servers": found.get("DelegationSet", {}).get("NameServers"),
        }

    @override
    def update(self, aws: Operations, identifier: str, changed: Changed) -> None:
        id = _id(self.read(aws, identifier))
        if "comment" in changed:
            aws.ask("route53.UpdateHostedZoneComment", Id=id, Comment=self.comment)
        if "tags" in changed:
            old = gone(changed["tags"], self.tags)
            aws.ask(
                "route53.ChangeTagsForResource",
                ResourceType="hostedzone",
                ResourceId=id,
                AddTags=tag_list(self.tags or {}) or None,
                RemoveTagKeys=[*old] or None,
            )

    @classmethod
    @override
    def delete(cls, aws: Operations, identifier: str) -> None:
        aws.ask("route53.DeleteHostedZone", Id=_id(cls.read(aws, identifier)))


def _id(found: Found) -> Json:
    return found[1]["id"] if found else None
