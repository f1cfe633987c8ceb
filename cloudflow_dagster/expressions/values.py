"""What JSONata makes of JSON values: text, truth, and paths through arrays.

These are `$string`, `$boolean` and the plain path of the reference implementation
(https://github.com/jsonata-js/jsonata) in Python, where calling the engine would cost more than the
work itself. Tests compare them with the engine.
"""

from __future__ import annotations

import json
import math
from typing import Any, Final, TypeAlias, cast

from cloudflow_dagster.expressions.errors import ABSENT, Absent, ExpressionError

Json: TypeAlias = Any
"""One JSON value: None, bool, int, float, str, list, dict."""

EXACT: Final = 2**53
"""Up to here (and down to its negative) every integer is exact as a JSON number."""

_HUGE: Final = 1e21
_TINY: Final = 1e-6


def to_text(value: Json) -> str:
    """Return a value as `$string` gives it; absent is empty, null is `null`, integers are exact.

    Raises:
        ExpressionError: It holds what JSON does not have, or is nested too deep.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, Absent):
        return ""
    try:
        return _json_text(value)
    except RecursionError:
        raise ExpressionError("The value is nested too deep for text.", code="TooDeep") from None


def _json_text(value: Json) -> str:  # noqa: PLR0911 - one case for each kind of value
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return _digits(value)
        case float():
            return number_text(value)
        case str():
            return json.dumps(value, ensure_ascii=False)
        case list():
            items = cast("list[Json]", value)
            return f"[{','.join([_json_text(item) for item in items])}]"
        case dict():
            fields = cast("dict[str, Json]", value).items()
            return f"{{{','.join([f'{_json_text(k)}:{_json_text(v)}' for k, v in fields])}}}"
        case _:
            raise ExpressionError(f"A value of type {type(value).__name__} is no JSON value.")


def _digits(value: int) -> str:
    try:
        return str(value)
    except ValueError:  # Python refuses more than some thousand digits
        raise ExpressionError("This integer is too long for text.", code="TooLarge") from None


def number_text(value: float) -> str:
    """Return a float as JSONata writes it: 15 significant digits, then as JavaScript does.

    Raises:
        ExpressionError: It is infinite or not a number.
    """
    if not math.isfinite(value):
        raise ExpressionError("The result is not a finite number.")
    value = float(f"{value:.15g}")
    if abs(value) >= _HUGE or 0 < abs(value) < _TINY:
        digits, _, exponent = f"{value!r}".partition("e")
        sign = "-" if exponent.startswith("-") else "+"
        return f"{digits.removesuffix('.0')}e{sign}{exponent.lstrip('+-0')}"
    if value == math.trunc(value):
        return str(int(value))
    text = repr(value)
    return f"{value:.20f}".rstrip("0") if "e" in text else text


def truthy(value: Json) -> bool:
    """Return whether a value holds as a condition, as `$boolean` says; absent does not."""
    match value:
        case bool():
            return value
        case list():
            return any(truthy(item) for item in cast("list[Json]", value))
        case float():
            return not (math.isnan(value) or abs(value) == 0)
        case Absent():
            return False
        case _:
            return bool(value)


class _Sequence(list[Json]):
    """What a step found: if it is one value, it is that value; if it is none, it is absent."""


def follow(value: Json, steps: tuple[str | int, ...]) -> Json | Absent:
    """Return what a path finds in a value, as JSONata does; absent where there is nothing.

    Args:
        value: What the first step is looked up in.
        steps: Names, each followed by the integers of the `[n]` behind it.
    """
    for at, step in enumerate(steps):
        if type(value) is not dict or type(step) is not str:
            return _follow_arrays(value, steps[at:])
        value = cast("dict[str, Json]", value).get(step, ABSENT)
        if value is ABSENT:
            return ABSENT
    return value


def _follow_arrays(value: Json, steps: tuple[str | int, ...]) -> Json | Absent:
    """The general case: arrays on the way are mapped over and flattened."""
    names = [i for i, step in enumerate(steps) if isinstance(step, str)]
    before = steps[: names[0]] if names else steps
    found: Json = _picked(value, before) if before else value
    for at, index in enumerate(names):
        end = names[at + 1] if at + 1 < len(names) else len(steps)
        items = cast("list[Json]", found) if isinstance(found, list) else [found]
        found = _step(items, str(steps[index]), steps[index + 1 : end], last=end == len(steps))
    return _settled(found)


def _step(items: list[Json], name: str, indices: tuple[str | int, ...], *, last: bool) -> Json:
    results: list[Json] = []
    for item in items:
        result = _settled(_lookup(item, name))
        if result is not ABSENT and indices:
            result = _picked(result, indices)
        if result is not ABSENT:
            results.append(result)
    if last and len(results) == 1 and type(results[0]) is list:
        return cast("list[Json]", results[0])
    found = _Sequence()
    for result in results:
        if isinstance(result, list):
            found.extend(cast("list[Json]", result))
        else:
            found.append(result)
    return found


def _settled(found: Json | Absent) -> Json | Absent:
    if not isinstance(found, _Sequence):
        return found
    return found[0] if len(found) == 1 else (list(found) or ABSENT)


def _lookup(item: Json, name: str) -> Json | Absent:
    if isinstance(item, dict):
        return cast("dict[str, Json]", item).get(name, ABSENT)
    if not isinstance(item, list):
        return ABSENT
    found = _Sequence()
    for part in cast("list[Json]", item):
        result = _lookup(part, name)
        if isinstance(result, list):
            found.extend(cast("list[Json]", result))
        elif result is not ABSENT:
            found.append(result)
    return found


def _picked(value: Json, indices: tuple[str | int, ...]) -> list[Json]:
    """Apply `[n]`s: a value that is no array is an array of one."""
    for index in indices:
        items = cast("list[Json]", value) if isinstance(value, list) else [value]
        at = int(index)
        found = items[at] if -len(items) <= at < len(items) else ABSENT
        if isinstance(found, list):
            value = cast("list[Json]", found)
        else:
            value = _Sequence() if found is ABSENT else _Sequence([found])
    return value
