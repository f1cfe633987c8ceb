"""Read one file of JSON, whatever it holds, and know where each value stands in it.

Nothing that a file holds raises an error, hangs, or takes memory without bound: problems become
diagnostics. A good file passes through the C parser once; only where that finds something odd is
the text scanned again, slowly, to say what and where (`flow/repair.py`).
"""

from __future__ import annotations

import codecs
import json
import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path

from cloudflow_dagster.diagnostics.model import (
    Diagnostic,
    Diagnostics,
    Location,
    Pointer,
    Rule,
)
from cloudflow_dagster.flow import syntax
from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.flow.positions import Positions
from cloudflow_dagster.flow.repair import repair

MAX_BYTES = 8_000_000
MAX_DEPTH = 100
MAX_VALUES = 1_000_000

_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_SHORT_NUMBER = 300
_OTHER_ENCODINGS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
    b"{\0": "UTF-16",
    b"\0{": "UTF-16",
    b"\0\0\0{": "UTF-32",
}


@dataclass(slots=True)
class Document:
    """One file as read.

    Attributes:
        file: Path of the file as the user gave it.
        text: What stands in it, without a byte order mark; empty if it could not be read.
        data: The JSON value; None if there is none, or not even one that could be guessed. If the
            reader reported errors, parts of it may be guessed.
        readable: Whether there is a JSON value (which may be `null`).
    """

    file: str
    text: str
    data: Json = None
    readable: bool = False
    _positions: Positions = field(default_factory=lambda: Positions(""), repr=False)

    def position(self, location: Location) -> tuple[int, int]:
        """Return the line and column, both from 1, where a location starts.

        Args:
            location: A value, its key (`on_key`), or a character of a text (`offset`). What is not
                there is looked for at its nearest ancestor.
        """
        return self._positions.line_and_column(self._positions.offset(location))

    def place(self, diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
        """Return the diagnostics in the order of the text, with line and column filled in.

        Those of other files are returned as they are, after the ones of this file.
        """
        placed = [self._placed(diagnostic) for diagnostic in diagnostics]
        return sorted(
            placed, key=lambda d: (d.at.file != self.file, d.at.file, d.line or 0, d.column or 0)
        )

    def _placed(self, diagnostic: Diagnostic) -> Diagnostic:
        if diagnostic.line is not None or diagnostic.at.file != self.file:
            return diagnostic
        line, column = self.position(diagnostic.at)
        return replace(diagnostic, line=line, column=column)


def read_document(source: Path | str | bytes, file: str, found: Diagnostics) -> Document:
    """Read a file, or a text that is at hand.

    Args:
        source: A path to read from; or the text itself, as `str` or as the bytes of a file.
        file: What diagnostics call the file.
        found: Takes what is wrong with it.

    Returns:
        The document. Its `data` can be used if `found` got no error.
    """
    content = _content(source, file, found) if isinstance(source, Path) else source
    text = None if content is None else _decoded(content, file, found)
    if text is None:
        return Document(file, "")
    if not text.strip():
        _report(found, syntax.UNREADABLE, file, "The file is empty.", syntax.SMALLEST_FLOW)
        return Document(file, text)
    if _values(text) > MAX_VALUES:
        _report(
            found,
            syntax.TOO_LARGE,
            file,
            f"The file holds more than {MAX_VALUES:,} values.",
            "Keep data in a file or a bucket that the flow reads.",
        )
        return Document(file, text)
    return _parsed(text, file, found)


# From the disk to text


def _content(path: Path, file: str, found: Diagnostics) -> bytes | None:
    """Return the bytes of a file, at most one more than it may have."""
    try:
        # A pipe that nobody writes to would let open() wait for ever.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            if not stat.S_ISREG(mode):
                kind = "a directory" if stat.S_ISDIR(mode) else "not a plain file"
                _report(found, syntax.UNREADABLE, file, f"This is {kind}.", "Name a flow's file.")
                return None
            return stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        _report(found, syntax.UNREADABLE, file, "There is no such file.", _similar_file(path, file))
    except IsADirectoryError:
        _report(found, syntax.UNREADABLE, file, "This is a directory.", "Name a flow's file.")
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        reason = getattr(error, "strerror", None) or str(error)
        _report(
            found,
            syntax.UNREADABLE,
            file,
            f"The file cannot be read: {reason}.",
            "Make it readable for the user who runs CloudFlow.",
        )
    return None


def _similar_file(path: Path, file: str) -> str | None:
    """Suggest a file of the same folder with nearly the same name."""
    try:
        names = [entry.name for entry in os.scandir(path.parent)][:10_000]
    except OSError:
        return f"The folder `{path.parent}` is not there either."
    close = get_close_matches(path.name[:100], names, n=1)
    return f"Did you mean `{Path(file).parent / close[0]}`?" if close else None


def _decoded(content: str | bytes, file: str, found: Diagnostics) -> str | None:
    if len(content) > MAX_BYTES:
        _report(
            found,
            syntax.TOO_LARGE,
            file,
            f"The file is larger than {MAX_BYTES // 1_000_000} MB.",
            "Keep data in a file or a bucket that the flow reads.",
        )
        return None
    if isinstance(content, str):
        text, bad = content, _LONE_SURROGATE.search(content)
        wrong = None if bad is None else (bad.start(), "Here stands one half of a character.")
        text = _LONE_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text) if bad else text
    else:
        for mark, encoding in _OTHER_ENCODINGS.items():
            if content.startswith(mark):
                _report(
                    found,
                    syntax.NOT_UNICODE,
                    file,
                    f"The file is written in {encoding}.",
                    "Save it as UTF-8.",
                )
                return None
        text, wrong = _from_utf8(content)
    if text.startswith("\ufeff"):
        message = "The file starts with a byte order mark."
        _report(found, syntax.BYTE_ORDER_MARK, file, message, "Save it as UTF-8 without one.")
        text, wrong = text[1:], wrong and (wrong[0] - 1, wrong[1])
    if wrong is not None:
        place = Positions(text).line_and_column(wrong[0])
        _report(found, syntax.NOT_UNICODE, file, wrong[1], "Save the file as UTF-8.", place=place)
    return text


def _from_utf8(content: bytes) -> tuple[str, tuple[int, str] | None]:
    """Return the text, and where and why it is not UTF-8 if it is not."""
    try:
        return content.decode(), None
    except UnicodeDecodeError as error:
        offset = len(content[: error.start].decode())
        byte = content[error.start]
        return content.decode(errors="replace"), (offset, f"The byte 0x{byte:02x} is not UTF-8.")


def _values(text: str) -> int:
    """Return at least how many values a text holds, exactly if they are many."""

    def separators(text: str) -> int:
        return text.count(",") + text.count("[") + text.count("{")

    rough = separators(text)
    return rough if rough <= MAX_VALUES else separators(_STRING.sub("", text))


# From text to JSON


def _parsed(text: str, file: str, found: Diagnostics) -> Document:
    broken: ValueError | RecursionError | None = None
    try:
        data, odd = _parse(text)
    except (ValueError, RecursionError) as error:
        data, odd, broken = None, True, error
    if not odd:
        return Document(file, text, data, readable=True, _positions=Positions(text))
    positions = Positions(text)
    repaired = repair(text, MAX_DEPTH)
    if broken and not repaired.problems:
        offset = getattr(broken, "pos", 0)
        place = positions.line_and_column(offset)
        _report(found, syntax.SYNTAX, file, "Here the file stops being JSON.", None, place=place)
        return Document(file, text, _positions=positions)
    if repaired.text is None:
        document = Document(file, text, _positions=positions)
    else:
        data, _ = _parse(repaired.text)
        document = Document(file, text, data, readable=True, _positions=positions.of(repaired.text))
    for problem in repaired.problems:
        at = Location(file, Pointer(problem.pointer), node_of(document.data, problem.pointer))
        line, column = positions.line_and_column(problem.offset)
        rule = problem.rule
        found.extend(
            [
                Diagnostic(
                    rule.code, problem.message, at, problem.suggestion, rule.severity, line, column
                )
            ]
        )
    return document


def _parse(text: str) -> tuple[Json, bool]:
    """Return the JSON value, and whether something in it needs a second look."""
    odd = False

    def pairs(items: list[tuple[str, Json]]) -> dict[str, Json]:
        nonlocal odd
        made = dict(items)
        odd = odd or len(made) != len(items)
        return made

    def constant(_: str) -> int:
        nonlocal odd
        odd = True
        return 0

    def number(written: str) -> float:
        nonlocal odd
        odd = odd or syntax.out_of_range(written)
        return float(written)

    def integer(written: str) -> int:
        nonlocal odd
        if len(written) > _SHORT_NUMBER and syntax.out_of_range(written):
            odd = True
            return 0
        return int(written)

    decoder = json.JSONDecoder(
        object_pairs_hook=pairs, parse_constant=constant, parse_float=number, parse_int=integer
    )
    data = decoder.decode(text)
    odd = odd or ("\\u" in text and _SURROGATE_ESCAPE.search(text) is not None) or _too_deep(data)
    return data, odd


def _too_deep(data: Json) -> bool:
    level = [data]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for parent in level
            if isinstance(parent, dict | list)
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


def node_of(data: Json, pointer: tuple[str | int, ...]) -> str | None:
    """Return the id of the node that a pointer into a flow leads into, if any."""
    match pointer:
        case ("nodes", int() as index, *_):
            try:
                id = data["nodes"][index]["id"]
            except (LookupError, TypeError):
                return None
            return id if isinstance(id, str) else None
        case _:
            return None


def _report(
    found: Diagnostics,
    rule: Rule,
    file: str,
    message: str,
    suggestion: str | None,
    *,
    place: tuple[int, int] = (1, 1),
) -> None:
    line, column = place
    found.extend(
        [Diagnostic(rule.code, message, Location(file), suggestion, rule.severity, line, column)]
    )
