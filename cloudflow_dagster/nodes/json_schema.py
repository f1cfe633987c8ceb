"""Makes pydantic's JSON Schemas as plain as a person would write them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from cloudflow_dagster.flow.model import Json

_MAPS = frozenset({"properties", "$defs", "patternProperties"})
"""Keywords whose keys are names that somebody chose."""
_REFERENCE = "#/$defs/"


def plain_schema(schema: Mapping[str, Json], *, closed: bool = False) -> dict[str, Json]:
    """Return the schema without titles, with references put in place where they end.

    Args:
        schema: As pydantic makes it.
        closed: Whether objects with known properties have no others.
    """
    definitions = cast("dict[str, Json]", schema.get("$defs", {}))
    plain = _Plain(definitions, closed=closed)
    body = {key: value for key, value in schema.items() if key != "$defs"}
    result = cast("dict[str, Json]", plain.of(body, ()))
    kept: dict[str, Json] = {}  # schemas that contain themselves
    while missing := _references((result, kept)) - kept.keys():
        kept |= {name: plain.of(definitions[name], (name,)) for name in sorted(missing)}
    return {**result, "$defs": kept} if kept else result


class _Plain:
    def __init__(self, definitions: Mapping[str, Json], *, closed: bool) -> None:
        self.definitions = definitions
        self.closed = closed

    def of(self, value: Json, inside: tuple[str, ...]) -> Json:
        if isinstance(value, list):
            return [self.of(part, inside) for part in cast("list[Json]", value)]
        if not isinstance(value, dict):
            return value
        schema = cast("dict[str, Json]", value)
        if isinstance(reference := schema.get("$ref"), str):
            return self._resolved(schema, reference.removeprefix(_REFERENCE), inside)
        plain: dict[str, Json] = {}
        for key, part in schema.items():
            if key in _MAPS:
                named = cast("dict[str, Json]", part)
                plain[key] = {name: self.of(sub, inside) for name, sub in named.items()}
            elif key not in {"title", "discriminator"} and (key, part) != ("default", None):
                plain[key] = part if key in {"default", "enum", "const"} else self.of(part, inside)
        if self.closed and "properties" in plain:
            plain.setdefault("additionalProperties", False)
        return _nullable(plain)

    def _resolved(self, schema: dict[str, Json], name: str, inside: tuple[str, ...]) -> Json:
        beside = {
            key: self.of(v, inside) for key, v in schema.items() if key not in {"$ref", "title"}
        }
        if name in inside:
            return {"$ref": _REFERENCE + name, **beside}
        return {
            **cast("dict[str, Json]", self.of(self.definitions[name], (*inside, name))),
            **beside,
        }


def _nullable(schema: dict[str, Json]) -> dict[str, Json]:
    """Write `anyOf: [X, null]` as X with one more type, which forms and messages read better."""
    match schema.get("anyOf"):
        case [{"type": kind, **rest}, {"type": "null", **empty}] if not empty:
            if "enum" in rest:
                rest = {**rest, "enum": [*cast("list[Json]", rest["enum"]), None]}
            if "const" in rest:
                return schema
            beside = {key: value for key, value in schema.items() if key != "anyOf"}
            kinds = cast("list[Json]", kind if isinstance(kind, list) else [kind])
            return {"type": [*kinds, "null"], **rest, **beside}
        case _:
            return schema


def _references(value: Json) -> set[str]:
    """Return the names of the definitions that are referred to anywhere in a value."""
    if isinstance(value, (list, tuple)):
        return {name for part in cast("list[Json]", value) for name in _references(part)}
    if not isinstance(value, dict):
        return set()
    schema = cast("dict[str, Json]", value)
    found = {name for part in schema.values() for name in _references(part)}
    if isinstance(reference := schema.get("$ref"), str):
        found.add(reference.removeprefix(_REFERENCE))
    return found
