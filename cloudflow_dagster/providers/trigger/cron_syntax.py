"""Which cron expressions a schedule may have.

Dagster reads them with croniter, which takes more than it documents, and some of it by accident.
Accepted here is a part of that, so that what passes `cloudflow check` is accepted by Dagster and
means what it says:

- `@hourly`, `@daily`, `@midnight`, `@weekly`, `@monthly`, `@yearly`, `@annually`;
- five fields separated by blanks: minute 0-59, hour 0-23, day of the month 1-31, month 1-12 or
  `jan`-`dec`, day of the week 0-7 (0 and 7 are Sunday) or `sun`-`sat`; upper and lower case alike;
- in a field, separated by commas: `*`, a value, a range `a-b` (`fri-mon` goes over the end), each
  of these with a step (`*/15`, `8-18/2`, `5/10`);
- as the day of the month `l` (the month's last day), as the day of the week `mon#2` (the second
  Monday) and `l5` (the last Friday); `?` for `*` in these two fields.

Not accepted though Dagster takes them: ranges of one value, which croniter reads as the whole
field; dates that no year has (30 February, 31 April), for which its search fails at run time; steps
that are longer than the field, which never take effect.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

NICKNAMES = frozenset(
    {"@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"}
)
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_LONGEST_NUMBER = 4
_PART = re.compile(r"(?P<low>\*|\w+)(?:-(?P<high>\w+))?(?:/(?P<step>[0-9]+))?", re.ASCII)
_NTH_DAY = re.compile(r"(?:(?P<day>[a-z]{3}|[0-7])#[1-5]|l[0-7])", re.ASCII)


@dataclass(frozen=True, slots=True)
class Field:
    """One of the five fields: its name, its range, and the names of its values."""

    name: str
    low: int
    high: int
    names: dict[str, int] = field(default_factory=dict[str, int])

    def value(self, text: str) -> int | None:
        """Return the number of a value, or None if it is none."""
        if text in self.names:
            return self.names[text]
        return (
            int(text)
            if text.isascii() and len(text) <= _LONGEST_NUMBER and text.isdigit()
            else None
        )


_FIELDS = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of the month", 1, 31),
    Field("month", 1, 12, {name: n for n, name in enumerate(_MONTHS, 1)}),
    Field("day of the week", 0, 7, {name: n for n, name in enumerate(_DAYS)}),
)
_DAY, _MONTH, _WEEKDAY = 2, 3, 4


def cron_problem(text: str) -> str | None:
    """Say what is wrong with a cron expression, or None."""
    lowered = text.lower()
    if lowered.startswith("@"):
        if lowered in NICKNAMES:
            return None
        return f"`{text}` is no schedule; there are {', '.join(sorted(NICKNAMES))}."
    fields = lowered.split()
    if len(fields) != len(_FIELDS):
        return (
            f"A cron expression has five fields (minute, hour, day of the month, month, day of "
            f"the week); `{text}` has {len(fields)}."
        )
    for n, part in enumerate(fields):
        if problem := _field_problem(n, part):
            return problem
    return _date_problem(text, fields)


def _field_problem(n: int, text: str) -> str | None:
    if text == "?" and n in {_DAY, _WEEKDAY}:
        return None
    parts = text.split(",")
    nth = [part for part in parts if n == _WEEKDAY and _is_nth_day(part)]
    if nth and len(nth) < len(parts):
        return f"The day of the week `{text}` mixes `{nth[0]}` with whole days; use a list of two."
    return next((p for part in parts if (p := _part_problem(n, part))), None)


def _is_nth_day(part: str) -> bool:
    found = _NTH_DAY.fullmatch(part)
    return bool(found) and _FIELDS[_WEEKDAY].value(found["day"] or "0") is not None


def _part_problem(n: int, part: str) -> str | None:
    place = _FIELDS[n]
    if (n == _DAY and part == "l") or (n == _WEEKDAY and _is_nth_day(part)):
        return None
    found = _PART.fullmatch(part)
    if found is None or (found["low"] == "*" and found["high"]):
        return f"`{part}` is no {place.name} of a cron expression."
    bounds = [] if found["low"] == "*" else [found["low"]]
    bounds += [found["high"]] if found["high"] else []
    for bound in bounds:
        value = place.value(bound)
        if value is None or not place.low <= value <= place.high:
            return f"`{bound}` is no {place.name}: it is from {place.low} to {place.high}."
    return _range_problem(place, found)


def _range_problem(place: Field, found: re.Match[str]) -> str | None:
    low, high, step = found["low"], found["high"], found["step"]
    if high and place.value(low) == place.value(high):
        return f"`{found[0]}` is a range of one {place.name}; write `{low}`."
    if step is not None and not 1 <= int(step) <= place.high:
        return f"The step of `{found[0]}` does not fit: it is from 1 to {place.high}."
    return None


def _date_problem(text: str, fields: list[str]) -> str | None:
    """Find dates that no year has; Dagster refuses some of them even beside a day of the week."""
    days, months = _values(_DAY, fields[_DAY]), _values(_MONTH, fields[_MONTH])
    if any(day <= _LONGEST[month - 1] for day in days for month in months):
        return None
    return f"`{text}` never comes: no such month has that many days."


def _values(n: int, text: str) -> set[int]:
    """Return the values a field stands for; the last day of the month counts as the first."""
    place = _FIELDS[n]
    values: set[int] = set()
    for part in text.split(","):
        found = _PART.fullmatch(part)
        if part in {"l", "?"} or found is None or found["low"] == "*":
            values.add(place.low)
            continue
        low = place.value(found["low"]) or place.low
        if found["high"]:
            high = place.value(found["high"]) or place.high
        else:
            high = place.high if found["step"] else low
        # A range that goes over the end begins again at the start.
        values |= {low} | (set(range(low, high + 1)) if low <= high else {low, place.low})
    return values
