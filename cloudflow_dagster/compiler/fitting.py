"""Does a JSON value fit a JSON Schema, where some of its texts will only be known at run time?

Made for configs: it says in plain words what is wrong, knows what to suggest, and leaves a text
with an expression to a callback. It fetches nothing, does bounded work, and runs patterns on an
engine without backtracking, so that a schema from a stranger cannot hang it. Keywords that it does
not know ask for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from itertools import pairwise
from math import isfinite
from typing import Any

from cloudflow_dagster.compiler.json_types import (
    WORDS,
    accepts,
    is_list,
    is_object,
    referred,
    type_of,
    types_of,
    worded,
)
from cloudflow_dagster.diagnostics.model import did_you_mean
from cloudflow_dagster.diagnostics.wording import shortened, shown
from cloudflow_dagster.flow.patterns import linear

_Path = tuple[str | int, ...]
_Schema = Mapping[str, Any]
_BUDGET = 200_000
"""Schemas applied to values in one fitting; a nest of `anyOf` can ask for any number."""
_DEEPEST = 130
"""Schemas inside each other; a file nests up to a hundred values."""
_LISTED = 12
"""How many allowed values a message lists."""


class Misfit(Enum):
    """What kind of thing is wrong."""

    VALUE = auto()
    UNKNOWN = auto()
    MISSING = auto()


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that does not fit.

    Attributes:
        misfit: What kind of thing is wrong.
        path: Where, from the value that was looked at. For a missing field, its object.
        message: One sentence.
        suggestion: A way out.
        name: Of the field that is missing or unknown.
        offset: Where in the text, if it is in an expression.
        expression: Whether what does not fit is an expression's value.
    """

    misfit: Misfit
    path: _Path
    message: str
    suggestion: str | None = None
    name: str = ""
    offset: int | None = None
    expression: bool = False


Hole = Callable[[str, _Schema, _Schema, _Path], Problem | None]
"""Judges a text with expressions: the text, the schema asked for, the schema's root, the path."""


def find_misfits(value: Any, schema: _Schema, hole: Hole | None = None) -> list[Problem]:
    """Return all that does not fit.

    Args:
        value: Any JSON value.
        schema: A JSON Schema; what it refers to must be inside it.
        hole: Judges the texts with expressions in them. None: a text is a text.
    """
    fitting = _Fitting(schema, hole)
    fitting.apply(value, schema, ())
    return fitting.found


class _Fitting:
    def __init__(self, root: _Schema, hole: Hole | None) -> None:
        self.root = root
        self.hole = hole
        self.left = _BUDGET
        self.depth = 0
        self.found: list[Problem] = []

    def apply(self, value: Any, schema: Any, path: _Path) -> None:
        """Record what is wrong with a value at a path."""
        self.left -= 1
        self.depth += 1
        if self.depth > _DEEPEST:
            self.left = -1
        if self.left >= 0:
            self.judge(value, schema, path)
        self.depth -= 1

    def judge(self, value: Any, schema: Any, path: _Path) -> None:
        if schema is False:
            self.found.append(Problem(Misfit.VALUE, path, f"{_name(path)} must not be given."))
            return
        found = referred(schema, self.root)
        if found is None:
            return
        if self.hole is not None and isinstance(value, str) and _is_open(value, found):
            problem = self.hole(value, found, self.root, path)
            if problem is not None:
                self.found.append(problem)
            return
        wrong = self.wrong_type(value, found, path)
        if wrong is not None:
            self.found.append(wrong)
            return
        self.by_type(value, found, path)
        if "enum" in found or "const" in found:
            self.allowed(value, found, path)
        if not found.keys().isdisjoint(_COMBINING):
            self.combined(value, found, path)

    def tried(self, value: Any, schema: Any, path: _Path) -> list[Problem]:
        """Return what would be wrong, without recording it."""
        kept, self.found = self.found, []
        self.apply(value, schema, path)
        kept, self.found = self.found, kept
        return kept

    def by_type(self, value: Any, schema: _Schema, path: _Path) -> None:
        if is_object(value):
            self.fields(value, schema, path)
        elif is_list(value):
            self.items(value, schema, path)
        elif isinstance(value, str):
            self.found += _text(value, schema, path)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            self.found += _number(value, schema, path)

    def wrong_type(self, value: Any, schema: _Schema, path: _Path) -> Problem | None:
        wanted = types_of(schema)
        given = type_of(value)
        if accepts(wanted, given):
            return None
        suggestion = None
        if "array" in wanted and given in {"string", "integer", "number", "boolean", "object"}:
            suggestion = "Put it into brackets: a list of one."
        elif given == "string" and _reads_as(value, wanted):
            suggestion = f"Write it without quotes: `{shortened(value)}`."
        elif wanted == ("string",) and given in {"integer", "number", "boolean"}:
            suggestion = "Put it into quotes."
        message = f"{_name(path)} must be {worded(wanted)}, not {_given(value)}."
        return Problem(Misfit.VALUE, path, message, suggestion)

    def allowed(self, value: Any, schema: _Schema, path: _Path) -> None:
        values: list[Any] = list(schema["enum"]) if "enum" in schema else [schema["const"]]
        if any(type_of(one) == type_of(value) and one == value for one in values):
            return
        names = [one for one in values if isinstance(one, str)]
        suggestion = did_you_mean(value, names) if isinstance(value, str) else None
        listed = ", ".join(
            f"`{one}`" if isinstance(one, str) else shown(one) for one in values[:_LISTED]
        )
        more = ", …" if len(values) > _LISTED else ""
        choice = listed if len(values) == 1 else f"one of {listed}{more}"
        message = f"{_name(path)} must be {choice}, not {shown(value)}."
        self.found.append(Problem(Misfit.VALUE, path, message, suggestion))

    def fields(self, value: dict[str, Any], schema: _Schema, path: _Path) -> None:
        properties: _Schema = schema.get("properties") or {}
        patterns: _Schema = schema.get("patternProperties") or {}
        others: Any = schema.get("additionalProperties", True)
        for name, child in value.items():
            known = name in properties
            if known:
                self.apply(child, properties[name], (*path, name))
            for pattern, matching in patterns.items():
                if _matches(pattern, name):
                    known = True
                    self.apply(child, matching, (*path, name))
            if not known and others is False:
                self.found.append(_unknown(name, properties, path))
            elif not known and others is not True:
                self.apply(child, others, (*path, name))
        for name in schema.get("required", ()):
            if name not in value:
                message = f"{_name(path)} needs `{name}`."
                self.found.append(Problem(Misfit.MISSING, path, message, name=name))
        self.found += _size(len(value), schema, path, "Properties", "field")

    def items(self, value: list[Any], schema: _Schema, path: _Path) -> None:
        first: list[Any] = schema.get("prefixItems") or []
        for index, child in enumerate(value):
            if index < len(first):
                self.apply(child, first[index], (*path, index))
            elif "items" in schema:
                self.apply(child, schema["items"], (*path, index))
        certain = [v for v in value if self.hole is None or not (isinstance(v, str) and "{{" in v)]
        open_ended = len(certain) < len(value)
        limits = {k: schema[k] for k in ("minItems", "maxItems") if k in schema}
        if open_ended:
            limits.pop("minItems", None)
        self.found += _size(len(certain), limits, path, "Items", "entry")
        if schema.get("uniqueItems") and _repeated(certain):
            self.found.append(
                Problem(Misfit.VALUE, path, f"{_name(path)} must not hold the same value twice.")
            )

    def combined(self, value: Any, schema: _Schema, path: _Path) -> None:
        for part in schema.get("allOf", ()):
            self.apply(value, part, path)
        for keyword in ("anyOf", "oneOf"):
            if schema.get(keyword):
                self.one_of(value, schema[keyword], path, exact=keyword == "oneOf")
        if "not" in schema and not self.tried(value, schema["not"], path) and self.left >= 0:
            self.found.append(
                Problem(Misfit.VALUE, path, f"{_name(path)} must not be {shown(value)}.")
            )
        if "if" in schema:
            holds = not self.tried(value, schema["if"], path)
            self.apply(value, schema.get("then" if holds else "else", True), path)

    def one_of(self, value: Any, choices: list[Any], path: _Path, *, exact: bool) -> None:
        """Record nothing if a choice fits, else what is wrong with the one that comes closest."""
        tried: list[list[Problem]] = []
        fitting = 0
        for choice in choices:
            problems = self.tried(value, choice, path)
            fitting += not problems
            if fitting and not exact:
                return
            tried.append(problems)
        if fitting == 1 or self.left < 0:
            return
        if fitting:
            # Texts that are known only later can fit several choices now and one then.
            if not _has_hole(value):
                message = f"{_name(path)} can be read in more than one way."
                self.found.append(Problem(Misfit.VALUE, path, message))
            return
        self.found += min(tried, key=lambda problems: _distance(problems, path))


_NEARLY = 1e-9
_COMBINING = frozenset({"allOf", "anyOf", "oneOf", "not", "if"})


def _is_open(text: str, schema: _Schema) -> bool:
    """Return whether a text stands for a value that only a run will know."""
    return "{{" in text and not schema.get("x-literal")


def _distance(problems: list[Problem], path: _Path) -> tuple[bool, int]:
    """Return how far a choice is off: one of another type altogether is the farthest."""
    here = any(p.misfit is Misfit.VALUE and p.path == path for p in problems)
    return here, len(problems)


def _has_hole(value: Any) -> bool:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            if "{{" in one:
                return True
        elif is_object(one):
            waiting += one.values()
        elif is_list(one):
            waiting += one
    return False


def _unknown(name: str, properties: _Schema, path: _Path) -> Problem:
    suggestion = did_you_mean(name, properties)
    if suggestion is None and 0 < len(properties) <= _LISTED:
        suggestion = f"There are {', '.join(f'`{known}`' for known in properties)}."
    message = f"{_name(path)} has no field `{shortened(name)}`."
    return Problem(Misfit.UNKNOWN, (*path, name), message, suggestion, name)


def _text(value: str, schema: _Schema, path: _Path) -> Iterator[Problem]:
    yield from _size(len(value), schema, path, "Length", "character")
    pattern = schema.get("pattern")
    if isinstance(pattern, str) and not _matches(pattern, value):
        message = f"{_name(path)} does not have the form `{shortened(pattern)}`."
        yield Problem(Misfit.VALUE, path, message)


def _number(value: float, schema: _Schema, path: _Path) -> Iterator[Problem]:
    for keyword, words, wrong in (
        ("minimum", "at least", value.__lt__),
        ("maximum", "at most", value.__gt__),
        ("exclusiveMinimum", "more than", value.__le__),
        ("exclusiveMaximum", "less than", value.__ge__),
    ):
        limit = schema.get(keyword)
        if isinstance(limit, int | float) and _compare(wrong, value, limit):
            message = f"{_name(path)} must be {words} {limit}, not {shown(value)}."
            yield Problem(Misfit.VALUE, path, message)
    step = schema.get("multipleOf")
    if isinstance(step, int | float) and step > 0 and not _is_multiple(value, step):
        message = f"{_name(path)} must be a multiple of {step}."
        yield Problem(Misfit.VALUE, path, message)


def _is_multiple(value: float, step: float) -> bool:
    if isinstance(value, int) and isinstance(step, int):
        return value % step == 0
    quotient = value / step
    return isfinite(quotient) and abs(quotient - round(quotient)) < _NEARLY


def _compare(wrong: Callable[[Any], Any], value: float, limit: float) -> bool:
    """Compare numbers of two kinds: `int.__lt__` does not know floats."""
    outcome = wrong(limit)
    return (
        bool(getattr(float(value), wrong.__name__)(limit)) if outcome is NotImplemented else outcome
    )


def _size(size: int, schema: _Schema, path: _Path, of: str, unit: str) -> Iterator[Problem]:
    least, most = schema.get(f"min{of}"), schema.get(f"max{of}")
    if isinstance(least, int) and size < least:
        if least == 1:
            message = f"{_name(path)} must not be empty."
        else:
            message = f"{_name(path)} needs at least {_counted(least, unit)}; it has {size}."
        yield Problem(Misfit.VALUE, path, message)
    if isinstance(most, int) and size > most:
        message = f"{_name(path)} may have at most {_counted(most, unit)}; it has {size}."
        yield Problem(Misfit.VALUE, path, message)


def _counted(count: int, unit: str) -> str:
    if count == 1:
        return f"1 {unit}"
    return f"{count} {'entries' if unit == 'entry' else unit + 's'}"


def _repeated(values: list[Any]) -> bool:
    import json  # noqa: PLC0415 - rarely needed

    keys = sorted(json.dumps(_as_compared(value), sort_keys=True) for value in values)
    return any(one == other for one, other in pairwise(keys))


def _as_compared(value: Any) -> Any:
    """Return a value with `1.0` as `1`, which are the same number in JSON Schema."""
    if is_object(value):
        return {key: _as_compared(child) for key, child in value.items()}
    if is_list(value):
        return [_as_compared(child) for child in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _reads_as(text: str, wanted: tuple[str, ...]) -> bool:
    """Return whether a text is one of the wanted types, but in quotes."""
    if text in {"true", "false"}:
        return "boolean" in wanted
    digits = text.removeprefix("-")
    return digits.isdecimal() and digits.isascii() and not {"integer", "number"}.isdisjoint(wanted)


def _given(value: Any) -> str:
    return shown(value) if type_of(value) in {"null", "boolean"} else WORDS[type_of(value)]


def _name(path: _Path) -> str:
    """Return how a message calls the value at a path."""
    name = ""
    for part in path:
        name += f"[{part}]" if isinstance(part, int) else f".{part}"
    return f"`{shortened(name.removeprefix('.'))}`" if name else "It"


def _matches(pattern: str, text: str) -> bool:
    judge = linear(pattern)
    return judge is None or judge(text)
