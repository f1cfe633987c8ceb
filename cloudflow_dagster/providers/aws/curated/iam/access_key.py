"""Access keys of IAM's users."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.operations import Operations


class Key(TypedDict):
    """An access key."""

    user: Annotated[str, Field(description="Whose it is.")]
    id: Annotated[str, Field(description="`AKIA…`.")]
    active: Annotated[bool, Field(description="Whether it can be used.")]
    age_days: Annotated[int, Field(description="How old it is.")]
    created_at: Annotated[str, Field(description="When it was made.")]
    last_used_at: Annotated[str | None, Field(description="Null if it never was.")]


class Keys(TypedDict):
    """Access keys of an account."""

    old: Annotated[list[Key], Field(description="Active ones older than the limit.")]
    keys: Annotated[list[Key], Field(description="All of them.")]
    users: Annotated[list[str], Field(description="Who has an old one.")]


@aws_action(
    "aws.iam.access_key.age",
    label="Age of access keys",
    calls=("iam.ListUsers", "iam.ListAccessKeys", "iam.GetAccessKeyLastUsed"),
    repeat=Repeat.READ,
    icon="key-round",
)
def age(aws: Operations, *, days: Annotated[int, Field(ge=0)] = 90) -> Keys:
    """Lists the access keys of all users with their age, and which of them are too old.

    Args:
        aws: Carries out operations.
        days: Older ones are too old.
    """
    keys = [
        _key(aws, each)
        for user in aws.pages("iam.ListUsers")["Users"]
        for each in aws.pages("iam.ListAccessKeys", UserName=user["UserName"])["AccessKeyMetadata"]
    ]
    old = [key for key in keys if key["active"] and key["age_days"] > days]
    return {"old": old, "keys": keys, "users": list(dict.fromkeys(key["user"] for key in old))}


def _key(aws: Operations, found: dict[str, Json]) -> Key:
    used = aws.ask("iam.GetAccessKeyLastUsed", AccessKeyId=found["AccessKeyId"])
    made = datetime.fromisoformat(found["CreateDate"])
    return {
        "user": found["UserName"],
        "id": found["AccessKeyId"],
        "active": found["Status"] == "Active",
        "age_days": (datetime.now(UTC) - made).days,
        "created_at": found["CreateDate"],
        "last_used_at": used.get("AccessKeyLastUsed", {}).get("LastUsedDate"),
    }
