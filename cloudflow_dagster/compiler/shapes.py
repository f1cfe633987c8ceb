"""What is known, before anything runs, about the values that expressions read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from cloudflow_dagster.compiler.json_types import (
    accepts,
    is_schema,
    referred,
    type_of,
    types_of,
    worded,
)
from cloudflow_dagster.diagnostics.model import did_you_mean
from cloudflow_dagster.diagnostics.wording import shortened

_DEEPEST = 8
_LISTED = 10


@dataclass(frozen=True, slots=True)
class Shape:
    """A value of which a schema is known.

    Attributes:
        schema: Its JSON Schema, without a `$ref` at the top.
        root: The schema that references in it refer to.
        many: A path led through a list, so that it may be one such value or a list of them.
    """

    schema: Mapping[str, Any]
    root: Mapping[str, Any] = field(compare=False)
    many: bool = False

    @property
    def types(self) -> tuple[str, ...]:
        """The types that it can have, `null` left aside; none if that is not known."""
        return tuple(name for name in types_of(self.schema) if name != "null")

    @property
    def fields(self) -> Mapping[str, Any]:
        """The fields that it is known to have, if it is an object."""
        return self.schema.get("properties") or {}

    def child(self, schema: Any, *, many: bool | None = None) -> Shape | None:
        """Return the shape of a part of this value."""
        return shape_of(schema, self.root, many=self.many if many is None else many)


@dataclass(frozen=True, slots=True)
class Lacking:
    """A path that leads nowhere.

    Attributes:
        step: Which part of the path there is nothing at.
        message: Why, as the end of a sentence: "has no field `VolumId`".
        suggestion: A way out.
    """

    step: int
    message: str
    suggestion: str | None


def shape_of(
    schema: Any, root: Mapping[str, Any] | None = None, *, many: bool = False
) -> Shape | None:
    """Return a shape, or None if a schema says nothing that could be used.

    Of choices (`anyOf`) only "this or null" says enough.
    """
    base = root if root is not None else schema
    for _ in range(_DEEPEST):
        found = referred(schema, base) if is_schema(base) else None
        if found is None:
            return None
        choices: Sequence[Any] = found.get("anyOf") or found.get("oneOf") or ()
        real = [c for c in choices if not (is_schema(c) and c.get("type") == "null")]
        if len(real) != 1:
            known = types_of(found) or found.get("properties")
            return None if choices or "allOf" in found or not known else Shape(found, base, many)
        schema = real[0]
    return None


def follow(shape: Shape | None, path: Sequence[str | int]) -> Shape | Lacking | None:
    """Walk down a path as JSONata does: names map over lists, an index on one value is that value.

    Returns:
        What is known of the value there; why there can be none; None if nothing is known.
    """
    for step, part in enumerate(path):
        if shape is None:
            return None
        if isinstance(part, int):
            shape = _at_index(shape)
            continue
        inner = _inside_lists(shape)
        if inner is None:
            return None
        found = _at_name(inner, part, step)
        if isinstance(found, Lacking):
            return found
        shape = found
    return shape


@dataclass(frozen=True, slots=True, eq=False)
class _Same:
    """A schema as the key of a cache: equal only to itself, which is quick to find out."""

    schema: Mapping[str, Any]

    def __hash__(self) -> int:
        return id(self.schema)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.schema is self.schema


def follow_schema(schema: Mapping[str, Any], path: Sequence[str | int]) -> Shape | Lacking | None:
    """Walk down a path from a value of which the schema is known, as `follow` does.

    Many flows read the same fields of the same node types, so this remembers.
    """
    return _followed(_Same(schema), tuple(path))


@lru_cache(maxsize=16_384)
def _followed(start: _Same, path: tuple[str | int, ...]) -> Shape | Lacking | None:
    return follow(shape_of(start.schema), path)


def _at_index(shape: Shape) -> Shape | None:
    if shape.types == ("array",):
        return shape.child(shape.schema.get("items", {}))
    return shape if shape.types and "array" not in shape.types else None


def _inside_lists(shape: Shape) -> Shape | None:
    """Return the shape of what a name is looked up in; lists in lists count as one."""
    inner: Shape | None = shape
    for _ in range(10):
        if inner is None or inner.types != ("array",):
            return inner
        inner = inner.child(inner.schema.get("items", {}), many=True)
    return None


def _at_name(shape: Shape, name: str, step: int) -> Shape | Lacking | None:
    if shape.types and "object" not in shape.types and "array" not in shape.types:
        return Lacking(step, f"is {worded(shape.types)} and has no fields", None)
    if name in shape.fields:
        return shape.child(shape.fields[name])
    others = shape.schema.get("additionalProperties")
    if shape.types not in {("object",), ()} or shape.schema.get("patternProperties"):
        return None
    if is_schema(others):
        return shape.child(others)
    if others is True or (others is None and not shape.fields):
        return None
    return lacking(step, name, list(shape.fields))


def lacking(step: int, name: str, known: Sequence[str]) -> Lacking:
    """Return that there is no such field among those that are known."""
    suggestion = did_you_mean(name, known)
    if suggestion is None and 0 < len(known) <= _LISTED:
        suggestion = f"There are {', '.join(f'`{one}`' for one in known)}."
    return Lacking(step, f"has no field `{shortened(name)}`", suggestion)


def can_fit(shape: Shape, wanted: Any, root: Mapping[str, Any], depth: int = 0) -> bool:
    """Return whether some value of a shape could fit a schema; in doubt it could.

    Where a list is wanted a single value is wrapped into one, so its type is compared with the
    list's items.

    Args:
        shape: What is known of the value.
        wanted: A JSON Schema.
        root: The schema that references in it refer to.
        depth: How far this has gone down; a schema can refer to itself.
    """
    found = referred(wanted, root)
    if found is None or not shape.types or "x-lazy" in found or depth > _DEEPEST:
        return True
    choices: Sequence[Any] = found.get("anyOf") or found.get("oneOf") or ()
    if choices:
        return any(can_fit(shape, one, root, depth + 1) for one in choices)
    if shape.many and shape.types == ("array",):
        # What is gathered from several lists is one list, and one value if there is only one.
        inner = shape.child(shape.schema.get("items", {}))
        return inner is None or can_fit(inner, found, root, depth + 1)
    types = types_of(found)
    if not types:
        return _among(shape, found)
    if "array" in types and _items_fit(shape, found, root, depth):
        return True
    return any(_type_fits(name, types) for name in shape.types if name != "array")


def _among(shape: Shape, wanted: Mapping[str, Any]) -> bool:
    """Return whether any of the values wanted has a type that the shape can have."""
    values: Sequence[Any] = wanted.get("enum") or ()
    return not values or any(_type_fits(one, (type_of(v),)) for one in shape.types for v in values)


def _type_fits(given: str, wanted: tuple[str, ...]) -> bool:
    return accepts(wanted, given) or (given == "number" and "integer" in wanted)


def _items_fit(
    shape: Shape, wanted: Mapping[str, Any], root: Mapping[str, Any], depth: int
) -> bool:
    items = wanted.get("items", {})
    if shape.types == ("array",):
        inner = shape.child(shape.schema.get("items", {}))
        return inner is None or can_fit(inner, items, root, depth + 1)
    return can_fit(replace(shape, many=False), items, root, depth + 1)
