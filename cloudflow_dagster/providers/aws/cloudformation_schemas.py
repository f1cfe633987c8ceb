"""JSON Schemas (2020-12) from CloudFormation's, which are of an older draft with words of its own.

As in the schemas of operations (`schemas.py`), what the services are newer about than any schema is
a hint and not a rule: `x-enum`, `x-pattern` (dropped where it is no pattern of Python's).
Alternatives of fields at the top (`oneOf` of `required`) are left to AWS, which knows them better.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, cast

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.difference import UNORDERED, Path
from cloudflow_dagster.providers.aws.schemas import MEMBER_LIMIT, Schema, Side
from cloudflow_dagster.providers.aws.text import plain

_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_FORMATS = frozenset({"date", "date-time", "email", "ipv4", "ipv6", "time", "uri"})
_KEPT = frozenset({"type", "uniqueItems", "multipleOf"})
_LIMITS = frozenset(
    f"{least}{what}"
    for least in ("min", "max")
    for what in ("Length", "Items", "Properties", "imum")
) | {"exclusiveMinimum", "exclusiveMaximum"}
_REFERENCE = "#/definitions/"


def property_paths(schema: Mapping[str, Any], keyword: str) -> tuple[Path, ...]:
    """Return the paths under a keyword of a CloudFormation schema, such as `createOnlyProperties`.

    `/properties/Rules/*/Id` is `("Rules", "*", "Id")`.
    """
    return tuple(as_path(pointer) for pointer in schema.get(keyword, ()))


def as_path(pointer: str) -> Path:
    """Return the path that a pointer such as `/properties/Rules/*/Id` spells."""
    return tuple(pointer.removeprefix("/properties/").split("/"))


def schema_of_properties(
    source: Mapping[str, Any], side: Side, without: tuple[Path, ...] = ()
) -> Schema:
    """Return the schema of a resource's properties: an object that holds no others.

    Args:
        source: CloudFormation's schema.
        side: As a flow's config gives them, or as the node gives them.
        without: Paths of properties at the top that are left out.
    """
    writer = _Writer(source, side)
    dropped = {path[0] for path in without if len(path) == 1}
    properties = {
        name: writer.of(field)
        for name, field in source["properties"].items()
        if name not in dropped
    }
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    required = [name for name in source.get("required", ()) if name in properties]
    if side == "input" and required:
        schema["required"] = required
    if writer.definitions:
        schema["$defs"] = writer.definitions
    return schema


@lru_cache(maxsize=2048)  # inputs and outputs say the same
def in_words(text: str | None, limit: int) -> str:
    """Return a description in Markdown as short plain text."""
    return plain(_LINK.sub(r"\1", text[: limit * 8]) if text else text, limit)


class _Writer:
    """Writes the parts of one schema, and the definitions that they refer to."""

    def __init__(self, source: Mapping[str, Any], side: Side) -> None:
        self._source = source
        self._side: Side = side
        self.definitions: dict[str, Schema] = {}

    def of(self, part: Json) -> Schema:
        if not isinstance(part, dict):  # `true`
            return {}
        schema: Schema = {}
        for keyword, value in cast("dict[str, Json]", part).items():
            if keyword in _KEPT or (keyword in _LIMITS and self._side == "input"):
                schema[keyword] = value
            elif write := self._writers.get(keyword):
                schema |= write(self, value)
        return schema

    def _reference(self, value: str) -> Schema:
        if not value.startswith(_REFERENCE):  # `#/properties/Arn`: what it says, in place
            return self.of(self._source["properties"].get(value.rpartition("/")[2], {}))
        name = value.removeprefix(_REFERENCE)
        if name not in self.definitions:
            self.definitions[name] = {}
            self.definitions[name].update(self.of(self._source["definitions"].get(name, {})))
        return {"$ref": f"#/$defs/{name}"}

    def _description(self, value: str) -> Schema:
        text = in_words(value, MEMBER_LIMIT)
        return {"description": text} if text else {}

    def _fields(self, value: dict[str, Json]) -> Schema:
        return {"properties": {name: self.of(field) for name, field in value.items()}}

    def _patterns(self, value: dict[str, Json]) -> Schema:
        """Write a map's values; for keys whose pattern is none of Python's, any key will do."""
        return {
            "patternProperties": {
                pattern if _compiles(pattern) else "": self.of(field)
                for pattern, field in value.items()
            }
        }

    def _more(self, value: Json) -> Schema:
        return {"additionalProperties": value if isinstance(value, bool) else self.of(value)}

    def _items(self, value: Json) -> Schema:
        return {"items": self.of(value)} if isinstance(value, dict) else {}

    def _required(self, value: list[Json]) -> Schema:
        return {"required": value} if self._side == "input" and value else {}

    def _any(self, value: list[Json]) -> Schema:
        """Write alternatives. Without the enumerations that tell them apart several may fit."""
        return {"anyOf": [self.of(each) for each in value]} if self._side == "input" else {}

    def _enum(self, value: list[Json]) -> Schema:
        return {"x-enum": value}

    def _pattern(self, value: str) -> Schema:
        return {"x-pattern": value} if self._side == "input" and _compiles(value) else {}

    def _format(self, value: str) -> Schema:
        return {"format" if value in _FORMATS else "x-format": value}

    def _order(self, value: Json) -> Schema:
        return {} if value else {UNORDERED: True}

    def _default(self, value: Json) -> Schema:
        return {"default": value} if self._side == "input" else {}

    _writers: Mapping[str, Callable[[Any, Any], Schema]] = {
        "$ref": _reference,
        "additionalProperties": _more,
        "anyOf": _any,
        "default": _default,
        "description": _description,
        "enum": _enum,
        "format": _format,
        "insertionOrder": _order,
        "items": _items,
        "oneOf": _any,
        "pattern": _pattern,
        "patternProperties": _patterns,
        "properties": _fields,
        "required": _required,
    }


@lru_cache(maxsize=2048)
def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True
