"""Turns JSON into DynamoDB's attribute values and back.

Numbers travel as text. A set becomes a list on the way out.
"""

from __future__ import annotations

import json
from typing import cast

from cloudflow_dagster.flow.model import Json

_BYTES = {"base64"}


def to_attributes(item: dict[str, Json]) -> dict[str, Json]:
    """Return an item as DynamoDB takes it."""
    return {name: to_attribute(value) for name, value in item.items()}


def to_attribute(value: Json) -> Json:
    """Return one value with its type."""
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case int() | float():
            return {"N": json.dumps(value, allow_nan=False)}
        case str():
            return {"S": value}
        case list():
            return {"L": [to_attribute(each) for each in cast("list[Json]", value)]}
        case _:
            fields = cast("dict[str, Json]", value)
            return {"B": fields} if set(fields) == _BYTES else {"M": to_attributes(fields)}


def from_attributes(item: dict[str, Json]) -> dict[str, Json]:
    """Return an item as DynamoDB gives it as plain JSON."""
    return {name: from_attribute(value) for name, value in item.items()}


def from_attribute(value: Json) -> Json:
    """Return one value without its type."""
    ((kind, inner),) = cast("dict[str, Json]", value).items()
    match kind:
        case "NULL":
            return None
        case "N":
            return _number(inner)
        case "L":
            return [from_attribute(each) for each in inner]
        case "M":
            return from_attributes(inner)
        case "NS":
            return [_number(each) for each in inner]
        case _:  # S, B, BOOL, SS, BS
            return inner


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)
