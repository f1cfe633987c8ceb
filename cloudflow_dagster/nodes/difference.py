"""Where a cloud resource is not as its config says.

A provider gives back more than it was given (defaults), in another order, numbers as text, and JSON
documents as texts. None of that is a difference.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

from cloudflow_dagster.flow.model import Json

Path: TypeAlias = tuple[str, ...]
"""Names of properties, from the outside in; `*` stands for each item or value."""

ANY = "*"
UNORDERED = "x-unordered"
"""Marks the schema of a list in which the order means nothing."""

Schema: TypeAlias = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Change:
    """One property that is not as it is wanted.

    Attributes:
        path: Of the property. Lists and maps are taken as a whole.
        before: What it is; None if it is not there.
        after: What is wanted.
    """

    path: Path
    before: Json
    after: Json

    @property
    def name(self) -> str:
        """Its path in one text: `VersioningConfiguration.Status`."""
        return dotted(self.path)

    def is_within(self, path: Path) -> bool:
        """Return whether the property is the one at a path, or a part of it."""
        return len(path) <= len(self.path) and _match(path, self.path[: len(path)])

    def concerns(self, path: Path) -> bool:
        """Return whether a path leads into the property, to what is not as it was there."""
        if len(path) <= len(self.path) or not _match(path[: len(self.path)], self.path):
            return False
        rest = path[len(self.path) :]
        wanted = values_at(self.after, rest)
        return bool(wanted) and wanted != values_at(self.before, rest)


def dotted(path: Path) -> str:
    """Return a path in one text."""
    return ".".join(path)


def values_at(value: Json, path: Path) -> list[Json]:
    """Return all that a path leads to in a value."""
    if not path:
        return [value]
    first, rest = path[0], path[1:]
    match value:
        case list() if first == ANY:
            items = cast("list[Json]", value)
        case dict() if first == ANY:
            items = list(cast("dict[str, Json]", value).values())
        case dict() if first in value:
            items = [cast("dict[str, Json]", value)[first]]
        case _:
            return []
    return [found for item in items for found in values_at(item, rest)]


def find_changes(
    wanted: Mapping[str, Json],
    current: Mapping[str, Json],
    schema: Schema,
    *,
    ignored: Sequence[Path] = (),
) -> list[Change]:
    """Return where what is wanted is not so. What is not mentioned in it may be as it likes.

    Args:
        wanted: Properties, as written.
        current: Properties, as the provider gives them.
        schema: JSON Schema of the properties: tells objects from maps, and lists from sets.
        ignored: Paths that are not looked at.
    """
    return list(_Comparison(schema, ignored).changes(wanted, current, schema, ()))


class _Comparison:
    def __init__(self, root: Schema, ignored: Sequence[Path]) -> None:
        self._definitions = cast("Mapping[str, Schema]", root.get("$defs", {}))
        self._ignored = ignored

    def changes(
        self, wanted: Mapping[str, Json], current: Mapping[str, Json], schema: Schema, at: Path
    ) -> Iterator[Change]:
        properties = cast("Mapping[str, Schema]", self._resolved(schema).get("properties", {}))
        for name, value in wanted.items():
            path = (*at, name)
            if self._is_ignored(path):
                continue
            before, inner = current.get(name), properties.get(name, {})
            if isinstance(value, dict) and isinstance(before, dict) and self._is_object(inner):
                inside = cast("dict[str, Json]", before)
                yield from self.changes(cast("dict[str, Json]", value), inside, inner, path)
            elif not self._is_so(value, before, inner, path):
                yield Change(path, before, value)

    def _is_so(self, wanted: Json, current: Json, schema: Schema, path: Path) -> bool:
        """Return whether a value is what is wanted."""
        if self._is_ignored(path) or wanted == current or (current is None and not wanted):
            return True  # nothing, spelled out, is the same as nothing
        match wanted, current:
            case dict(), dict():
                return self._fits(
                    cast("dict[str, Json]", wanted), cast("dict[str, Json]", current), schema, path
                )
            case list(), list():
                return self._lists(
                    cast("list[Json]", wanted), cast("list[Json]", current), schema, path
                )
            case (dict() | list(), str()) | (str(), dict() | list()):
                return _document(wanted) == _document(current)
            case (str() | int() | float(), str() | int() | float()):
                return _spelled(wanted) == _spelled(current)
            case _:
                return False

    def _fits(
        self,
        wanted: dict[str, Json],
        current: dict[str, Json],
        schema: Schema,
        path: Path,
    ) -> bool:
        if self._is_object(schema):
            return not any(self.changes(wanted, current, schema, path))
        return wanted.keys() == current.keys() and all(
            self._is_so(value, current[name], self._values(schema), (*path, ANY))
            for name, value in wanted.items()
        )

    def _lists(self, wanted: list[Json], current: list[Json], schema: Schema, path: Path) -> bool:
        if len(wanted) != len(current):
            return False
        found = self._resolved(schema)
        inner, inside = cast("Schema", found.get("items", {})), (*path, ANY)
        if not found.get(UNORDERED):
            pairs = zip(wanted, current, strict=True)
            return all(self._is_so(one, other, inner, inside) for one, other in pairs)
        left = list(current)
        for item in wanted:
            for n, other in enumerate(left):
                if self._is_so(item, other, inner, inside):
                    del left[n]
                    break
            else:
                return False
        return True

    def _values(self, schema: Schema) -> Schema:
        """Return the schema of a map's values."""
        found = self._resolved(schema)
        patterns = list(cast("Mapping[str, Schema]", found.get("patternProperties", {})).values())
        if patterns:
            return patterns[0]
        more = found.get("additionalProperties")
        return cast("Schema", more) if isinstance(more, dict) else {}

    def _is_object(self, schema: Schema) -> bool:
        """Return whether a schema is that of an object with known fields, not of a map."""
        return bool(self._resolved(schema).get("properties"))

    def _resolved(self, schema: Schema) -> Schema:
        while isinstance(reference := schema.get("$ref"), str):
            schema = self._definitions.get(reference.removeprefix("#/$defs/"), {})
        return schema

    def _is_ignored(self, path: Path) -> bool:
        return any(len(each) == len(path) and _match(each, path) for each in self._ignored)


def _match(pattern: Path, path: Path) -> bool:
    return all(
        ANY in {one, other} or one == other for one, other in zip(pattern, path, strict=True)
    )


def _document(value: Json) -> Json:
    """Return the JSON that a text spells, or what it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _spelled(value: Json) -> str:
    """Return a single value as providers that know only text spell it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
