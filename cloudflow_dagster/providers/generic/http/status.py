"""Which status codes are not errors."""

from __future__ import annotations

import re
from typing import Any, cast

from cloudflow_dagster.flow.model import Json

DEFAULT = "200-399"
_RANGE = re.compile(r"([1-5][0-9]{2})-([1-5][0-9]{2})")
_CLASS = re.compile(r"([1-5])xx", re.IGNORECASE)
_CODE = re.compile(r"[1-5][0-9]{2}")


def expected_status(expect: Json) -> tuple[range, ...]:
    """Read `200`, `"200-399"`, `"2xx"`, or a list of such.

    Raises:
        ValueError: It is none of these; the message says which part.
    """
    parts = cast("list[Any]", expect) if isinstance(expect, list) else [expect]
    if not parts:
        raise ValueError("The list of expected status codes is empty.")
    return tuple(_range(part) for part in parts)


def _range(part: Any) -> range:
    text = str(part).strip() if isinstance(part, (int, str)) else ""
    if _CODE.fullmatch(text):
        return range(int(text), int(text) + 1)
    if found := _CLASS.fullmatch(text):
        return range(int(found[1]) * 100, int(found[1]) * 100 + 100)
    if (found := _RANGE.fullmatch(text)) and int(found[1]) <= int(found[2]):
        return range(int(found[1]), int(found[2]) + 1)
    raise ValueError(f'`{part}` is no status code; write `200`, "200-299" or "2xx".')
