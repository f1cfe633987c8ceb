"""Reads the parts of a config's JSON Schema that matter while a step runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from cloudflow_dagster.flow.model import Json

_LONGEST_CHAIN = 50
_EMPTY: Mapping[str, Any] = {}
WORDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}


_TYPES: Mapping[type, str] = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    str: "string",
    list: "array",
    tuple: "array",
}


def type_of(value: Json) -> str:
    """Return the JSON type of a value; whole numbers are `integer`, even `5.0`."""
    if isinstance(value, float):
        return "integer" if value.is_integer() else "number"
    return _TYPES.get(value.__class__, "object")


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema inside its document, with references followed.

    Attributes:
        data: The schema.
        root: The document.
    """

    data: Mapping[str, Any]
    root: Mapping[str, Any]

    @classmethod
    def of(cls, data: object, root: Mapping[str, Any]) -> Schema:
        """Return a schema; what is none, or refers to nothing, asks for nothing."""
        for _ in range(_LONGEST_CHAIN):
            if not isinstance(data, Mapping):
                return cls(_EMPTY, root)
            found = cast("Mapping[str, Any]", data)
            reference = found.get("$ref")
            if not isinstance(reference, str):
                return cls(found, root)
            data = _target(reference, root)
        return cls(_EMPTY, root)

    @property
    def types(self) -> frozenset[str]:
        """The types it names; none if any will do."""
        match self.data.get("type"):
            case str(one):
                return frozenset({one})
            case [*several]:
                return frozenset(str(one) for one in several)
            case _:
                return frozenset()

    def choices(self) -> Iterator[Schema]:
        """Yield the schemas of which one must fit, itself if there is no choice."""
        found = False
        for keyword in ("anyOf", "oneOf"):
            for part in self.data.get(keyword) or ():
                found = True
                yield from Schema.of(part, self.root).choices()
        if not found:
            yield self

    def field(self, name: str) -> Schema:
        """Return the schema of an object's field."""
        for choice in self.choices():
            properties = choice.data.get("properties") or _EMPTY
            if name in properties:
                return Schema.of(properties[name], self.root)
        for choice in self.choices():
            others = choice.data.get("additionalProperties")
            if isinstance(others, Mapping):
                return Schema.of(cast("object", others), self.root)
        return Schema(_EMPTY, self.root)

    def item(self) -> Schema:
        """Return the schema of an array's items."""
        for choice in self.choices():
            if "items" in choice.data:
                return Schema.of(choice.data["items"], self.root)
        return Schema(_EMPTY, self.root)

    def marked(self, mark: str) -> Json:
        """Return the value of an `x-` keyword, here or in one of the choices."""
        return self.data.get(mark) or next(
            (c.data[mark] for c in self.choices() if mark in c.data), None
        )

    def accepts(self, value: Json) -> bool:
        """Return whether the value is of a type that is asked for."""
        given = type_of(value)
        return any(
            not c.types or given in c.types or (given == "integer" and "number" in c.types)
            for c in self.choices()
        )

    @property
    def asks_for_array(self) -> bool:
        """Whether an array is asked for, possibly beside other things."""
        return any("array" in choice.types for choice in self.choices())


def _target(reference: str, root: Mapping[str, Any]) -> object:
    if not reference.startswith("#"):
        return None
    found: Any = root
    for part in reference[1:].split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        found = cast("Mapping[str, Any]", found).get(name) if isinstance(found, Mapping) else None
    return found


def wrapped(value: Json, schema: Schema) -> Json:
    """Return a value with single values put into arrays where the schema asks for an array.

    JSONata gives one match without its array.
    """
    match value:
        case None:
            return value
        case list():
            item, items = schema.item(), cast("list[Json]", value)
            return [wrapped(v, item) for v in items] if item.data else items
        case _ if schema.asks_for_array and not schema.accepts(value):
            return [wrapped(value, schema.item())]
        case dict():
            fields = cast("dict[str, Json]", value)
            return {name: wrapped(field, schema.field(name)) for name, field in fields.items()}
        case _:
            return value
