"""Whether an evaluated config fits its node type's schema, said without showing any value.

The compiler has checked what stands in the flow; here only what expressions and edges gave can be
wrong. Patterns and formats are left to whoever gets the value.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from typing import Any, cast

from cloudflow_dagster.diagnostics.model import did_you_mean
from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.runtime.schemas import WORDS, Schema, type_of

Path = tuple[str | int, ...]
_BUDGET = 100_000
"""Values that are looked at; what comes after them is left to the handler."""

_BOUNDS = (
    ("minimum", "at least", operator.lt),
    ("maximum", "at most", operator.gt),
    ("exclusiveMinimum", "more than", operator.le),
    ("exclusiveMaximum", "less than", operator.ge),
)
_ASKING = frozenset(
    {
        "type",
        "properties",
        "additionalProperties",
        "required",
        "items",
        "anyOf",
        "oneOf",
        "enum",
        "const",
        *(limit for limit, _, _ in _BOUNDS),
        *("minLength", "maxLength", "minItems", "maxItems"),
    }
)
"""Keywords that ask for anything here."""


def find_misfits(
    value: Json, schema: Mapping[str, Any], *, values: bool = True
) -> list[tuple[Path, str]]:
    """Return what does not fit: where, and why in one sentence.

    Args:
        value: The config; callables in it (conditions) are not looked at.
        schema: A JSON Schema of type object.
        values: Whether the schema's lists of allowed values and limits count. Those that a cloud
            publishes lag behind its service, which has the last word.
    """
    return list(_Fitting(values=values).apply(value, Schema.of(schema, schema), ()))


def named(path: Path) -> str:
    """Return how a message calls the value at a path in a config."""
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return f"`{name.removeprefix('.')}`" if name else "The config"


class _Fitting:
    def __init__(self, *, values: bool) -> None:
        self._values = values
        self._left = _BUDGET

    def apply(self, value: Any, schema: Schema, path: Path) -> Iterator[tuple[Path, str]]:
        self._left -= 1
        if self._left < 0 or schema.data.keys().isdisjoint(_ASKING) or callable(value):
            return
        choices = list(schema.choices())
        if len(choices) == 1:
            yield from self._one(value, choices[0], path)
            return
        tried = [list(self._one(value, choice, path)) for choice in choices]
        if all(tried):
            fitting = [t for t, c in zip(tried, choices, strict=True) if c.accepts(value)]
            yield from (fitting or [[(path, _wrong_type(value, schema, path))]])[0]

    def _one(self, value: Any, schema: Schema, path: Path) -> Iterator[tuple[Path, str]]:
        if not schema.accepts(value):
            yield path, _wrong_type(value, schema, path)
            return
        match value:
            case dict():
                yield from self._fields(cast("dict[str, Json]", value), schema, path)
            case list():
                item = schema.item()
                for index, entry in enumerate(cast("list[Json]", value) if item.data else []):
                    yield from self.apply(entry, item, (*path, index))
            case _:
                pass
        if self._values:
            yield from _limits(value, schema.data, path)

    def _fields(
        self, value: dict[str, Json], schema: Schema, path: Path
    ) -> Iterator[tuple[Path, str]]:
        properties: Mapping[str, Any] = schema.data.get("properties") or {}
        closed = schema.data.get("additionalProperties") is False
        for name, field in value.items():
            if name in properties or not closed:
                yield from self.apply(field, schema.field(name), (*path, name))
            else:
                close = did_you_mean(name, properties)
                text = f"{named(path)} has no field `{name}`."
                yield (*path, name), f"{text} {close}" if close else text
        for name in schema.data.get("required") or ():
            if name not in value:
                yield (*path, name), f"{named(path)} needs `{name}`."


def _wrong_type(value: Json, schema: Schema, path: Path) -> str:
    wanted = sorted({t for choice in schema.choices() for t in choice.types}, key=list(WORDS).index)
    words = " or ".join(WORDS[name] for name in wanted)
    return f"{named(path)} must be {words}; it is {WORDS[type_of(value)]}."


def _limits(value: Any, schema: Mapping[str, Any], path: Path) -> Iterator[tuple[Path, str]]:
    allowed: list[Json] | None = schema.get("enum")
    if allowed is None and "const" in schema:
        allowed = [schema["const"]]
    if allowed is not None and not any(
        one == value and type_of(one) == type_of(value) for one in allowed
    ):
        listed = ", ".join(f"`{one}`" for one in allowed)
        yield path, f"{named(path)} must be one of {listed}."
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        for keyword, words, wrong in _BOUNDS:
            if keyword in schema and wrong(value, schema[keyword]):
                yield path, f"{named(path)} must be {words} {schema[keyword]}."
    if isinstance(value, str):
        yield from _sizes(len(value), schema, path, "Length", "characters")
    if isinstance(value, list):
        yield from _sizes(len(cast("list[Json]", value)), schema, path, "Items", "entries")


def _sizes(
    size: int, schema: Mapping[str, Any], path: Path, of: str, unit: str
) -> Iterator[tuple[Path, str]]:
    least, most = schema.get(f"min{of}"), schema.get(f"max{of}")
    if least is not None and size < least:
        reason = "must not be empty" if least == 1 else f"needs at least {least} {unit}"
        yield path, f"{named(path)} {reason}."
    if most is not None and size > most:
        yield path, f"{named(path)} may have at most {most} {unit}."
