"""What `--param NAME=VALUE` means: the value is read by the param's schema."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

_OPEN = {"additionalProperties", "patternProperties", "allOf", "anyOf", "oneOf", "$ref"}


class UnreadableValueError(ValueError):
    """The text cannot be a value of the param; the message says what can."""


def takes(schema: Mapping[str, Any], name: str) -> bool:
    """Return whether a flow's params may have one of this name."""
    if name in schema.get("properties", {}):
        return True
    return any(schema.get(key, False) is not False for key in _OPEN)


def read_value(schema: Mapping[str, Any], name: str, text: str) -> Any:
    """Return the value that a text on the command line stands for.

    Text stays text, anything else is JSON. Where the schema names no single type, it is the JSON if
    that fits, else the text.

    Args:
        schema: Of all params.
        name: The param.
        text: As given.

    Raises:
        UnreadableValueError: It is no JSON, and cannot be text.
    """
    written: Any = schema.get("properties", {}).get(name, {})
    # `true` and `false` are schemas too.
    types = cast("Mapping[str, Any]", written).get("type") if isinstance(written, dict) else None
    if types == "string":
        return text
    if isinstance(types, str):
        try:
            return json.loads(text)
        except ValueError:
            raise UnreadableValueError(f"the param is of type {types}.") from None
    return next((v for v in _meanings(text) if _fits(schema, name, v)), text)


def _meanings(text: str) -> Iterator[Any]:
    try:
        yield json.loads(text)
    except ValueError:
        return


def _fits(schema: Mapping[str, Any], name: str, value: Any) -> bool:
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - costs 70 ms

    validator: Any = Draft202012Validator({**schema, "required": []})
    return validator.is_valid({name: value})
