"""Find the value of a JSON pointer in the text that it points into.

Compiling never needs positions, so nothing is scanned until a diagnostic is placed. Then only the
containers on the way to the value are taken apart, by the C scanner, and each of them once.
"""

from __future__ import annotations

import json
import re
from array import array
from bisect import bisect_right
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from cloudflow_dagster.diagnostics.model import Location

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")
_ESCAPE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\."
)

_Children: TypeAlias = "dict[str, tuple[int, int]] | array[int]"
"""Of an object: where the key and the value of each field start; of a key that stands twice the
last one counts. Of a list, which may have a million: where the items start."""


@dataclass(slots=True)
class Positions:
    """The places of all values in one JSON text.

    Attributes:
        text: JSON, nested less deep than Python's recursion limit. What follows a syntax error is
            not found; asking for it gives the nearest ancestor that is.
    """

    text: str
    _known: dict[int, _Children] = field(default_factory=dict[int, _Children])
    _lines: array[int] = field(default_factory=lambda: array("q"))

    def line_and_column(self, offset: int) -> tuple[int, int]:
        """Return the line and column, counted from 1, of an offset into the text."""
        lines = self._starts()
        offset = min(offset, len(self.text))
        line = bisect_right(lines, offset)
        return line, offset - lines[line - 1] + 1

    def of(self, repaired: str) -> Positions:
        """Return the places in a text that was put right, where every value stands as in this one.

        The lines are still those of this text: what was put right may have been the end of one.
        """
        return Positions(repaired, _lines=self._starts())

    def _starts(self) -> array[int]:
        """Return where the lines start."""
        if not self._lines:
            self._lines.append(0)
            self._lines.extend(m.end() for m in re.finditer("\n", self.text))
        return self._lines

    def offset(self, location: Location) -> int:
        """Return where a location starts in the text: its nearest ancestor if it is not there."""
        key = place = self._skip(0)
        for part in location.pointer.parts:
            child = self._child(place, part)
            if child is None:
                return place
            key, place = child
        if location.on_key:
            return key
        if location.offset is not None and self.text[place : place + 1] == '"':
            return self._inside(place, location.offset)
        return place

    def _child(self, opening: int, part: str | int) -> tuple[int, int] | None:
        children = self._children_at(opening)
        if isinstance(children, dict):
            return children.get(part) if isinstance(part, str) else None
        if isinstance(part, int) and 0 <= part < len(children):
            return children[part], children[part]
        return None

    def _inside(self, quote: int, characters: int) -> int:
        """Return where the nth character of a string literal is written."""
        try:
            _, end = self._decode(quote)
        except ValueError:
            return quote
        place, left = quote + 1, max(characters, 0)
        for escape in _ESCAPE.finditer(self.text, place, end - 1):
            plain = escape.start() - place
            if left <= plain:
                break
            left -= plain + 1
            place = escape.end()
        return min(place + left, end - 1)

    def _children_at(self, opening: int) -> _Children:
        """Return the children of the container at an offset; none if there is no container."""
        known = self._known.get(opening)
        if known is None:
            is_object = self.text[opening : opening + 1] == "{"
            known = self._known[opening] = {} if is_object else array("q")
            # Where the text is broken, what was found before stays.
            with suppress(ValueError, RecursionError):
                self._take_apart(opening, known)
        return known

    def _take_apart(self, opening: int, into: _Children) -> None:
        if self.text[opening : opening + 1] not in {"{", "["}:
            return
        place = self._skip(opening + 1)
        while self.text[place : place + 1] not in {"}", "]", ""}:
            if isinstance(into, dict):
                key_at, (key, end) = place, self._decode(place)
                place = self._skip(self._skip(end) + 1)
                into[key] = key_at, place
            else:
                into.append(place)
            _, end = self._decode(place)
            place = self._skip(end)
            if self.text[place : place + 1] == ",":
                place = self._skip(place + 1)

    def _decode(self, place: int) -> tuple[Any, int]:
        return _DECODER.raw_decode(self.text, place)

    def _skip(self, place: int) -> int:
        space = _SPACE.match(self.text, place)
        return space.end() if space else place
