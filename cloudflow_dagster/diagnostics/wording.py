"""How values and names appear in messages: short, on one line, and harmless to a terminal."""

from __future__ import annotations

import json
import re
from typing import Any

_LONGEST = 60
_LONGEST_INTEGER_IN_BITS = 200
# Control characters could move the cursor or change the colours of the reader's terminal; marks
# of writing direction could show a text in another order than it has; a surrogate alone cannot be
# written out at all.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: str) -> str:
    """Return the text with every character replaced that a terminal would not just draw."""
    return _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text)


def shortened(text: str, longest: int = _LONGEST) -> str:
    """Return the text on one line, with an ellipsis where it is too long for a message."""
    if len(text) > longest:
        text = text[: longest - 1] + "…"
    return printable(" ".join(text.split()) if "\n" in text else text)


def sentence(text: str) -> str:
    """Return a message of whatever origin as a sentence that another one can follow."""
    text = text.rstrip()
    return text if not text or text[-1] in ".!?…:" else f"{text}."


def shown(value: Any) -> str:
    """Return a JSON value as a message quotes it: `"prod"`, `3`, `an object`, `a list`."""
    match value:
        case dict():
            return "an object" if value else "an empty object"
        case list() | tuple():
            return "a list" if value else "an empty list"
        case str():
            return f'"{shortened(value)}"'
        case None | bool():
            return json.dumps(value)
        case int():
            # Python refuses to write out integers of more than 4,300 digits.
            short = value.bit_length() < _LONGEST_INTEGER_IN_BITS
            return str(value) if short else "a very long number"
        case _:
            return shortened(str(value))


def in_words(seconds: float) -> str:
    """Return a duration for people, in the largest unit that tells all of it: `24 hours`."""
    for name, length in (("hour", 3600), ("minute", 60)):
        if seconds >= length and seconds % length == 0:
            number = round(seconds / length)
            return f"{number:,} {name}" if number == 1 else f"{number:,} {name}s"
    return "1 second" if seconds == 1 else f"{seconds:g} seconds"
