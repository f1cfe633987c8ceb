"""Types for the fields of curated node types: they take what other nodes give.

Where an id is asked for, an object will do that has it: `{{ nodes.launch.instances }}` as well as
`{{ nodes.launch.ids }}` or `i-0123`. Where several may be given, one is enough.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeAlias, cast

from pydantic import BeforeValidator, Field, WithJsonSchema

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.difference import UNORDERED

_NAMED = 8
"""Fields of an object that are named to people."""
_CLOCKS = timedelta(minutes=5)
_ONE: dict[str, Json] = {"type": ["string", "object"]}
MANY_TEXTS: dict[str, Json] = {
    "type": ["string", "object", "array"],
    "items": {"type": ["string", "object"]},
}


def _id_in(value: Any, names: Sequence[str]) -> Any:
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, Any]", value)
        found = next((fields[name] for name in names if name in fields), None)
        if not isinstance(found, str):
            raise ValueError(_lacking(names[0], fields))  # noqa: TRY004 - pydantic's way
        return found
    return value


def _lacking(name: str, fields: Mapping[str, Any]) -> str:
    """Say what an object lacks, and which of its fields may be meant instead: `ids`, `arn`."""
    has = ", ".join(f"`{field}`" for field in list(fields)[:_NAMED])
    return f"the object has no `{name}`" + (f"; give one of what it has: {has}" if has else "")


def document(value: Any) -> Any:
    """Return the JSON that a text spells; anything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError("it is no JSON") from None


def one(*names: str) -> BeforeValidator:
    """Take a text, or an object that has it as one of these fields."""
    return BeforeValidator(lambda value: _id_in(value, names))


def many(*names: str) -> BeforeValidator:
    """Take a text, or an object as `one` does, or a list of either."""

    def read(value: Any) -> Any:
        listed = cast("list[Any]", value) if isinstance(value, list) else [value]
        return list(dict.fromkeys(_id_in(each, names) for each in listed))

    return BeforeValidator(read)


ONE = WithJsonSchema(_ONE)
MANY = WithJsonSchema(MANY_TEXTS)

Text: TypeAlias = Annotated[str, Field(min_length=1)]
EncryptionKey: TypeAlias = Annotated[str, one("arn", "Arn", "KeyId"), ONE]
Texts: TypeAlias = Annotated[list[str], many("name"), MANY]
Tags: TypeAlias = Annotated[
    dict[str, str],
    WithJsonSchema({"type": "object", "additionalProperties": {"type": "string"}}),
]
Document: TypeAlias = Annotated[
    dict[str, Any],
    BeforeValidator(document),
    WithJsonSchema({"type": ["object", "string"]}),
]
"""A JSON document, also spelled out as a text: a policy."""
UNORDERED_LIST: dict[str, Any] = {UNORDERED: True}
"""Belongs to the schema of a list in which the order means nothing."""
Body: TypeAlias = Annotated[Any, WithJsonSchema({})]
"""Any JSON; text and `{base64}` and `{file}` stand for themselves."""


def tag_list(tags: Mapping[str, str]) -> list[Json]:
    """Return tags as most services take them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def message_attributes(texts: Mapping[str, str] | None) -> dict[str, Json] | None:
    """Return texts that go with a message as SNS and SQS take them."""
    made: dict[str, Json] = {
        name: {"DataType": "String", "StringValue": text} for name, text in (texts or {}).items()
    }
    return made or None


def gone(before: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> list[str]:
    """Return the names that were there and are not wanted any more: of tags, of policies."""
    return [name for name in before or {} if name not in (now or {})]


def tags_of(listed: Sequence[Mapping[str, str]] | None) -> dict[str, str]:
    """Return tags as most services give them as an object."""
    return {each["Key"]: each["Value"] for each in listed or ()}


def is_older(time: str, days: float) -> bool:
    """Whether a time in ISO 8601 lies more than so many days back."""
    return datetime.now(UTC) - datetime.fromisoformat(time) > timedelta(days=days)


def is_since(time: str, since: datetime) -> bool:
    """Whether a time in ISO 8601 is not earlier than another, give or take what clocks differ."""
    return datetime.fromisoformat(time) > since - _CLOCKS


def as_text(body: Json) -> str:
    """Return a text as it is, and anything else as JSON."""
    return body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
