"""What EC2 knows by no name of its own: it is known by its tag `Name`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.providers.aws.declare_resource import Changed
from cloudflow_dagster.providers.aws.given import gone, tag_list, tags_of
from cloudflow_dagster.providers.aws.operations import Operations

TAGGING = {"ec2.CreateTags": ("tags",), "ec2.DeleteTags": ("tags",)}
"""The operations that `set_tags` calls."""


def called(kind: str, name: str) -> Json:
    """Return the tags of something that is created: they are there from its first moment."""
    return [{"ResourceType": kind, "Tags": tag_list({"Name": name})}]


def having(**filters: str | list[str]) -> Json:
    """Return filters: `vpc_id` is `vpc-id`, `tag_Name` is `tag:Name`."""
    return [
        {
            "Name": name.replace("tag_", "tag:").replace("_", "-"),
            "Values": [value] if isinstance(value, str) else value,
        }
        for name, value in filters.items()
    ]


def only(found: list[dict[str, Any]], noun: str, name: str) -> dict[str, Any] | None:
    """Return the one thing that was found, or None.

    Raises:
        NodeError: `Ambiguous`: there are several.
    """
    if len(found) > 1:
        raise NodeError(
            "Ambiguous",
            f"There are {len(found)} of the kind {noun} with the name `{name}`: give one of them "
            "another tag `Name`, or say with `identifier` which one is meant.",
            transient=False,
        )
    return found[0] if found else None


def name_and_tags(found: Mapping[str, Any]) -> dict[str, Json]:
    """Return the fields `name` and `tags` of something."""
    tags = tags_of(found.get("Tags"))
    return {"name": tags.pop("Name", None), "tags": dict[str, Json](tags)}


def set_tags(
    aws: Operations, identifier: str, changed: Changed, tags: Mapping[str, str] | None
) -> None:
    """Bring about the tags of something, if they are not so."""
    if "tags" not in changed:
        return
    if tags:
        aws.ask("ec2.CreateTags", Resources=[identifier], Tags=tag_list(tags))
    if old := gone(changed["tags"], tags):
        aws.ask("ec2.DeleteTags", Resources=[identifier], Tags=[{"Key": each} for each in old])
