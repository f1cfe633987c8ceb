"""Reads YAML into plain values with their places, and nothing else.

YAML's own pitfalls stay outside: nothing is ever constructed but plain values, `no` and `on` are
text, and text of digits that starts with 0 (an account's number) stays text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from cloudflow_dagster.diagnostics.model import (
    Diagnostic,
    Diagnostics,
    Location,
    Pointer,
)
from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.project.rules import DUPLICATE, UNREADABLE

MAX_BYTES = 256 * 1024
MAX_DEPTH = 50
MAX_VALUES = 20_000
"""Values in all, with each alias counted as what it stands for."""

_untyped: Any = yaml
"""PyYAML's stubs do not say what `parse` and `compose` give."""
_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,30})")
_EXPONENT = r"[eE][-+]?[0-9]{1,3}"
_FLOAT = re.compile(rf"[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+(?:{_EXPONENT})?|{_EXPONENT})")
_QUOTED = re.compile(r"'(?!<)[^']{2,}'")
_CONSTANTS: dict[str, Json] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


@dataclass(frozen=True, slots=True)
class Span:
    """Where a value stands: characters from the start of the file; line and column from 1."""

    start: int
    end: int
    line: int
    column: int


@dataclass(slots=True)
class YamlDocument:
    """A YAML file as read.

    Attributes:
        file: Its path, as shown to people.
        text: Its text.
        data: Its values; None if it could not be read.
        values: Where each value stands, by its path.
        keys: Where the key of each value stands, by the value's path.
    """

    file: str
    text: str
    data: Json = None
    values: dict[tuple[str | int, ...], Span] = field(
        default_factory=dict[tuple[str | int, ...], Span]
    )
    keys: dict[tuple[str | int, ...], Span] = field(
        default_factory=dict[tuple[str | int, ...], Span]
    )

    def place(self, diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
        """Return diagnostics with line and column, in the order of their places."""
        placed: list[Diagnostic] = []
        for found in diagnostics:
            if found.line is None:
                span = self.span(found.at)
                found = replace(found, line=span.line, column=span.column)  # noqa: PLW2901 - the same, placed
            placed.append(found)
        return sorted(placed, key=lambda d: (d.line or 0, d.column or 0, d.code))

    def span(self, at: Location) -> Span:
        """Return where a value, or its key, stands; if it is missing, where it would belong."""
        path = at.pointer.parts
        if at.on_key and path in self.keys:
            return self.keys[path]
        while path and path not in self.values:
            path = path[:-1]
            # What is missing is best shown at the name of what it is missing in.
            if path in self.keys:
                return self.keys[path]
        return self.values.get(path, Span(0, 0, 1, 1))


def read_yaml(content: bytes, file: str, found: Diagnostics) -> YamlDocument:
    """Read a YAML file. Never raises: what cannot be read is a diagnostic.

    Args:
        content: The bytes of the file.
        file: Its path, as shown to people.
        found: Receives what is wrong.
    """
    document = YamlDocument(file, "")
    try:
        document.text = _decode(content)
        root = _compose(document.text)
        document.data = {} if root is None else _Reader(document, found).read(root, ())
    except _RefusedError as refused:
        place = (refused.line, refused.column)
        rule = UNREADABLE
        found.extend(
            [
                Diagnostic(
                    rule.code,
                    str(refused),
                    Location(file),
                    refused.suggestion,
                    rule.severity,
                    *place,
                )
            ]
        )
    return document


class _RefusedError(Exception):
    """The file cannot be read any further; lines and columns count from 0 here."""

    def __init__(
        self, message: str, suggestion: str | None, line: int = 0, column: int = 0
    ) -> None:
        super().__init__(message)
        self.suggestion = suggestion
        self.line = line + 1
        self.column = column + 1


def _decode(content: bytes) -> str:
    if len(content) > MAX_BYTES:
        raise _RefusedError(
            f"The file is larger than {MAX_BYTES // 1024} kB.",
            "Keep data out of it; it holds credentials, secrets' places, variables and settings.",
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n")
        raise _RefusedError("The file is not UTF-8 text.", "Save it as UTF-8.", line) from None


def _compose(text: str) -> yaml.Node | None:
    """Return the tree of nodes; events are looked at first, since composing recurses."""
    try:
        _check_events(text)
        root: yaml.Node | None = _untyped.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise _explained(error) from None
    return root


def _check_events(text: str) -> None:
    depth = 0
    events: Iterable[yaml.Event] = _untyped.parse(text, Loader=yaml.SafeLoader)
    for event in events:
        tag: str | None = getattr(event, "tag", None)
        mark: Any = event.start_mark
        if tag is not None:
            raise _RefusedError(
                "Tags (`!…`) are not read.",
                "Leave it out; text that starts with `!` stands in quotes.",
                mark.line,
                mark.column,
            )
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise _RefusedError(
                    f"Values are nested more than {MAX_DEPTH} deep.",
                    "Write them flatter.",
                    mark.line,
                    mark.column,
                )
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _explained(error: yaml.YAMLError) -> _RefusedError:
    mark: Any = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    place: tuple[int, int] = (0, 0) if mark is None else (mark.line, mark.column)
    if isinstance(error, yaml.reader.ReaderError):
        said = "it holds a character that YAML does not allow"
    else:
        parts = (getattr(error, "context", None), getattr(error, "problem", None))
        said = ", ".join(str(p) for p in parts if p) or "it cannot be parsed"
        # What stands in the file is not repeated: it may be a secret that lost its quotes.
        said = _QUOTED.sub("…", said).replace("; first occurrence", "")
    suggestion = None
    if "\\t" in said:
        suggestion = "Indent with spaces."
    elif "alias" in said or "anchor" in said:
        suggestion = "Text that starts with `*` or `&` stands in quotes."
    elif "expected a single document" in said:
        suggestion = "Remove the line `---` and what follows it."
    return _RefusedError(f"This is not YAML that can be read: {said}.", suggestion, *place)


class _Reader:
    """Turns nodes into values and notes where each one stands."""

    def __init__(self, document: YamlDocument, found: Diagnostics) -> None:
        self._document = document
        self._found = found
        self._count = 0

    def read(self, node: yaml.Node, path: tuple[str | int, ...]) -> Json:
        self._count += 1
        # An alias to something around it would never end; each stands for its whole value.
        if self._count > MAX_VALUES or len(path) > MAX_DEPTH:
            raise _RefusedError(
                f"The file stands for more than {MAX_VALUES} values, or for endless ones.",
                "Use fewer aliases (`*name`).",
            )
        self._document.values[path] = _span(node)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            items: list[yaml.Node] = node.value
            return [self.read(item, (*path, i)) for i, item in enumerate(items)]
        return _plain_value(node) if isinstance(node, yaml.ScalarNode) else None

    def _mapping(self, node: yaml.MappingNode, path: tuple[str | int, ...]) -> Json:
        values: dict[str, Json] = {}
        pairs: list[tuple[yaml.Node, yaml.Node]] = node.value
        for key, value in pairs:
            at = (*path, str(key.value) if isinstance(key, yaml.ScalarNode) else "?")
            where = Location(self._document.file, Pointer(at), on_key=True)
            if not isinstance(key, yaml.ScalarNode):
                self._document.keys[at] = _span(key)
                self._found.add(UNREADABLE, where, "A key must be text.", "Write a plain name.")
                continue
            name = str(key.value)
            if name == "<<" and key.style is None:
                self._document.keys[at] = _span(key)
                self._found.add(
                    UNREADABLE,
                    where,
                    "Merge keys (`<<`) are not read.",
                    "Repeat the fields, or use an alias (`*name`) for a whole value.",
                )
                continue
            if name in values:
                span = _span(key)
                self._found.extend(
                    [
                        Diagnostic(
                            DUPLICATE.code,
                            f"The key `{name}` is there twice.",
                            where,
                            f"It was first given in line {self._document.keys[at].line}.",
                            DUPLICATE.severity,
                            span.line,
                            span.column,
                        )
                    ]
                )
                continue
            self._document.keys[at] = _span(key)
            values[name] = self.read(value, at)
        return values


def _plain_value(node: yaml.ScalarNode) -> Json:
    text = str(node.value)
    if node.style is not None:
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return text


def _span(node: yaml.Node) -> Span:
    start: Any = node.start_mark
    return Span(start.index, node.end_mark.index, start.line + 1, start.column + 1)
