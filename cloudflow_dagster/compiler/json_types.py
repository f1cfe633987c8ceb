"""The types of JSON, as JSON Schema names them and as people read them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeGuard

WORDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    """Return whether a JSON value is an object."""
    return isinstance(value, dict)


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Return whether a JSON value is a list."""
    return isinstance(value, list)


def is_schema(value: Any) -> TypeGuard[Mapping[str, Any]]:
    """Return whether a value is a JSON Schema other than true and false."""
    return isinstance(value, Mapping)


_NAMES: Mapping[type, str] = {
    bool: "boolean",
    int: "integer",
    str: "string",
    list: "array",
    tuple: "array",
}


def type_of(value: Any) -> str:
    """Return the JSON type of a value; whole numbers are `integer`, even `5.0`."""
    if value is None:
        return "null"
    if isinstance(value, float):
        return "integer" if value.is_integer() else "number"
    return _NAMES.get(value.__class__, "object")


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
        if not is_schema(schema):
            return {} if schema is True else None
        reference = schema.get("$ref")
        if reference is None:
            return schema
        schema = _found(str(reference), root)
    return None


_LONGEST_CHAIN = 50
_INDEX = re.compile("[0-9]{1,6}")


def _found(reference: str, root: Mapping[str, Any]) -> Any:
    if reference == "#":
        return root
    if not reference.startswith("#/"):
        return None
    found: Any = root
    for part in reference[2:].split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        if is_schema(found):
            found = found.get(key)
        elif is_list(found) and _INDEX.fullmatch(key) and int(key) < len(found):
            found = found[int(key)]
        else:
            return None
    return found
