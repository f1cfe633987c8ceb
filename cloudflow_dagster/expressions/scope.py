"""Takes from a scope what an expression reads, and no more."""

from __future__ import annotations

import marshal
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias, cast

from cloudflow_dagster.expressions.cost import UNIT
from cloudflow_dagster.expressions.errors import ABSENT, Absent, ExpressionError
from cloudflow_dagster.expressions.references import Read
from cloudflow_dagster.expressions.values import EXACT, Json

Scope: TypeAlias = Mapping[str, Json | Callable[[], Json]]
"""Root name → its value, or a function that gives it and is called only if it is read. A value may
be a mapping other than a dict: only the fields that are read are looked up in it, and `KeyError`
means that a field is absent."""

_PLAIN_MARSHAL: Final = 2
"""The last version of marshal's format in which nothing stands for something written before."""
_LARGE_INTEGER: Final = re.compile(
    rb"l(?:(?:[^\x00-\x03].|.[^\x00])\x00\x00|(?:[^\xfd-\xff].|.[^\xff])\xff\xff)", re.DOTALL
)
"""In marshal's format: an integer of more than three digits of 15 bits (or what looks like one)."""

Needs: TypeAlias = "dict[str, Needs | None]"
"""The fields of a value that are read, and those of the fields …; None: all of it."""


def needs_of(reads: Iterable[Read]) -> Needs:
    """Return which parts of the scope have to be there for these reads."""
    needs: Needs = {}
    for read in reads:
        if not read.shadowed:
            _need(needs, (read.root, *read.path))
    return needs


def _need(needs: Needs, path: tuple[str | int, ...]) -> None:
    for at, step in enumerate(path):
        if not isinstance(step, str):
            return
        last = at == len(path) - 1 or not isinstance(path[at + 1], str)
        if last:
            needs[step] = None
        inner = needs.setdefault(step, {})
        if inner is None:
            return
        needs = inner


def take(scope: Scope, needs: Needs) -> dict[str, Json]:
    """Return the parts of the scope that are read, as one JSON object."""
    found: dict[str, Json] = {}
    for root, inner in needs.items():
        value = root_value(scope, root)
        if value is not ABSENT:
            found[root] = _take(value, inner)
    return found


def root_value(scope: Scope, root: str) -> Json | Absent:
    """Return a value of the scope by its name; absent if it is not there."""
    value = scope.get(root, ABSENT)
    return value() if callable(value) else value


def field_of(value: Mapping[str, Json], name: str) -> Json | Absent:
    """Return a field of a mapping that may look it up only now."""
    try:
        return value[name]
    except KeyError:
        return ABSENT


def _take(value: Json, needs: Needs | None) -> Json:
    if type(value) is dict and needs is None:
        return cast("Json", value)
    if not isinstance(value, Mapping):
        return value
    mapping = cast("Mapping[str, Json]", value)
    found: dict[str, Json] = {}
    for name in mapping if needs is None else needs:
        part = field_of(mapping, name)
        if part is not ABSENT:
            found[name] = _take(part, None if needs is None else needs[name])
    return found


def weigh(value: Json) -> tuple[int, bool]:
    """Return what the size of a value is at most, and whether it may hold large integers.

    Much faster than `survey`, and good enough where the size matters little.

    Raises:
        ExpressionError: It holds something that is no JSON value.
    """
    try:
        written = marshal.dumps(value, _PLAIN_MARSHAL)
    except ValueError:  # nested deep, or dicts and lists of other classes
        return survey(value)
    return len(written), _LARGE_INTEGER.search(written) is not None


def survey(value: Json) -> tuple[int, bool]:
    """Return the size of a value, and whether it holds integers that are no exact floats.

    The size counts values; long strings count more, see `cost.UNIT`.

    Raises:
        ExpressionError: It holds something that is no JSON value.
    """
    size = 0
    large = False
    waiting: list[Any] = [value]
    while waiting:
        part = waiting.pop()
        size += 1
        if isinstance(part, str):
            size += len(part) // UNIT
        elif isinstance(part, dict):
            fields = cast("dict[str, Json]", part)
            waiting.extend(fields.values())
            size += _names_size(fields)
        elif isinstance(part, list):
            waiting.extend(cast("list[Json]", part))
        elif isinstance(part, int):
            large = large or not -EXACT <= part <= EXACT
        elif part is not None and not isinstance(part, float):
            message = f"It reads a value of type {type(part).__name__}, which is no JSON value."
            raise ExpressionError(message)
    return size, large


def _names_size(value: dict[str, Json]) -> int:
    try:
        return len("".join(value)) // UNIT
    except TypeError:
        message = "It reads an object with a name that is no text, which is no JSON value."
        raise ExpressionError(message) from None
