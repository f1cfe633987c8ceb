"""Diagnostics as text for a terminal, and as JSON for programs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from unicodedata import category, east_asian_width

from cloudflow_dagster.diagnostics.model import Diagnostic, Severity
from cloudflow_dagster.diagnostics.wording import printable

WIDEST_LINE = 100
"""Columns of the terminal that an excerpt may take."""
_TAB = "    "
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"|[-+.\w]++')
_RED, _YELLOW, _BLUE, _BOLD, _PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[34m", "\x1b[1m", "\x1b[0m"


def as_text(
    diagnostics: Iterable[Diagnostic],
    sources: Mapping[str, str],
    color: bool = False,  # noqa: FBT001, FBT002 - a terminal shows colours or does not
) -> str:
    """Return diagnostics for people, each with the line that it is about.

    Args:
        diagnostics: In the order in which they are shown; placed, where they have a place.
        sources: The text of each file, by the name that the diagnostics give it.
        color: Whether to colour them for a terminal.
    """
    lines: dict[str, list[str]] = {}
    blocks: list[str] = []
    for diagnostic in diagnostics:
        file = diagnostic.at.file
        if file not in lines:
            lines[file] = sources.get(file, "").split("\n")
        blocks.append(_block(diagnostic, lines[file], _Paint(color)))
    return "\n".join(blocks)


def as_json(diagnostics: Iterable[Diagnostic]) -> str:
    """Return diagnostics as a JSON list of objects, one line of text for each field."""
    return json.dumps([as_object(diagnostic) for diagnostic in diagnostics], indent=2)


def as_object(diagnostic: Diagnostic) -> dict[str, str | int | None]:
    """Return one diagnostic as the object that `--format json` prints."""
    return {
        "severity": diagnostic.severity.value,
        "code": diagnostic.code,
        "file": diagnostic.at.file,
        "pointer": str(diagnostic.at.pointer),
        "line": diagnostic.line,
        "column": diagnostic.column,
        "node": diagnostic.at.node,
        "message": diagnostic.message,
        "suggestion": diagnostic.suggestion,
    }


class _Paint:
    def __init__(self, color: bool) -> None:  # noqa: FBT001 - a class of this file alone
        self._color = color

    def __call__(self, text: str, *codes: str) -> str:
        return f"{''.join(codes)}{text}{_PLAIN}" if self._color else text


def _block(diagnostic: Diagnostic, lines: list[str], paint: _Paint) -> str:
    hue = _RED if diagnostic.severity is Severity.ERROR else _YELLOW
    place = printable(diagnostic.at.file)
    if diagnostic.line is not None:
        place += f":{diagnostic.line}:{diagnostic.column or 1}"
    kind = paint(f"{diagnostic.severity.value} {diagnostic.code}", hue, _BOLD)
    text = [f"{paint(place, _BOLD)}: {kind}: {printable(diagnostic.message)}"]
    margin = "  "
    if diagnostic.line is not None and diagnostic.line <= len(lines):
        line = lines[diagnostic.line - 1].removesuffix("\r")
        if line.strip():
            number = str(diagnostic.line)
            margin += " " * len(number)
            start = min((diagnostic.column or 1) - 1, len(line))
            shown, before, width = _excerpt(line, start, _end(diagnostic, line, start))
            text += [
                f"  {paint(f'{number} |', _BLUE)} {shown}".rstrip(),
                f"{margin} {paint('|', _BLUE)} {' ' * before}{paint('^' * width, hue)}",
            ]
    if diagnostic.suggestion is not None:
        text.append(f"{margin} {paint('=', _BLUE)} {printable(diagnostic.suggestion)}")
    return "\n".join([*text, ""])


def _end(diagnostic: Diagnostic, line: str, start: int) -> int:
    """Return where the underlined part ends: with the value or key that starts there."""
    if diagnostic.at.offset is None and (token := _TOKEN.match(line, start)):
        return token.end()
    return start + 1


def _excerpt(line: str, start: int, end: int) -> tuple[str, int, int]:
    """Return a piece of a line around a part of it, and the columns before and of that part."""
    last = min(max(end, start + 1), start + WIDEST_LINE // 2)
    room = WIDEST_LINE - _width(line[start:last])
    # Half of the room is for what stands before, unless one side does not need its half.
    _, before = _back(line, start, room // 2)
    stop, after = _forth(line, last, room - before)
    first, before = _back(line, start, room - after)
    head, tail = "…" if first > 0 else "", "…" if stop < len(line) else ""
    shown = head + _visible(line[first:stop]) + tail
    return shown, len(head) + before, max(_width(line[start:last]), 1)


def _back(line: str, place: int, room: int) -> tuple[int, int]:
    """Return where a piece that ends here may begin, and the columns that it takes."""
    used = 0
    while place > 0 and (columns := _columns(line[place - 1])) <= room - used:
        place, used = place - 1, used + columns
    return place, used


def _forth(line: str, place: int, room: int) -> tuple[int, int]:
    """Return where a piece that begins here may end, and the columns that it takes."""
    used = 0
    while place < len(line) and (columns := _columns(line[place])) <= room - used:
        place, used = place + 1, used + columns
    return place, used


def _visible(text: str) -> str:
    return printable(text.replace("\t", _TAB))


def _width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if character == "\t":
        return len(_TAB)
    if character.isascii():
        return 1
    if category(character) in {"Mn", "Me"} or character in "\u200b\u200c\u200d\ufe0f":
        return 0
    return 2 if east_asian_width(character) in {"W", "F"} else 1
