"""The types of JSON, as JSON Schema names them and as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WORDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}


def type_of(value: Any) -> str:
    """Return the JSON type of a value; whole numbers are `integer`, even `5.0`."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "integer" if value.is_integer() else "number"
        case str():
            return "string"
        case list() | tuple():
            return "array"
        case _:
            return "object"


def types_of(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the types that a schema asks for; none if it does not say."""
    match schema.get("type"):
        case str(one):
            return (one,)
        case [*several]:
            return tuple(str(one) for one in several)
        case _:
            return ()


def accepts(wanted: tuple[str, ...], given: str) -> bool:
    """Return whether a type is among those wanted."""
    return not wanted or given in wanted or (given == "integer" and "number" in wanted)


def worded(types: tuple[str, ...]) -> str:
    """Return types as people read them: `text or a list`."""
    words = [WORDS.get(name, name) for name in types]
    return " or ".join(words)


def referred(schema: Any, root: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Follow `$ref` inside the same document; None for what is not a schema or cannot be found.

    A schema that has more than the reference is taken as the reference alone.
    """
    for _ in range(_LONGEST_CHAIN):
        if not isinstance(schema, Mapping):
            return {} if schema is True else None
        reference = schema.get("$ref")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - JSON
        if reference is None:
            return schema  # pyright: ignore[reportUnknownVariableType] - JSON
        schema = _found(str(reference), root)  # pyright: ignore[reportUnknownArgumentType] - JSON
    return None


_LONGEST_CHAIN = 50


def _found(reference: str, root: Mapping[str, Any]) -> Any:
    if reference == "#":
        return root
    if not reference.startswith("#/"):
        return None
    found: Any = root
    for part in reference[2:].split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, Mapping):
            found = found.get(key)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - JSON
        elif isinstance(found, list) and key.isdigit() and len(key) < 6 and int(key) < len(found):  # pyright: ignore[reportUnknownArgumentType] - JSON
            found = found[int(key)]  # pyright: ignore[reportUnknownVariableType] - JSON
        else:
            return None
    return found  # pyright: ignore[reportUnknownVariableType] - JSON
