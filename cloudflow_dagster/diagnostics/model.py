"""A diagnostic, its place, and the rule it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from enum import StrEnum


class Severity(StrEnum):
    """How much a diagnostic matters to the author of the flow."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that can be wrong, under a code that never changes its meaning.

    Each rule is declared once, in the module that checks it. `docs/diagnostics.md` is generated
    from all of them, and a test proves that `wrong` gives exactly this code and `right` gives none.

    Attributes:
        code: `CF` and four digits. CF0: reading a file. CF1: the shape of a flow, its node types.
            CF2: the graph. CF3: config. CF4: expressions. CF5: params, triggers and calls.
            CF6: the project file, credentials and secrets. CF9: not supported yet.
        title: The problem in a few words, in the present tense, no full stop.
        explanation: Why it is a problem and how to get out of it, in Markdown.
        wrong: The smallest file that has the problem (a whole flow as JSON text, or the text of
            `cloudflow.yaml` for CF6).
        right: The same file put right.
        severity: Whether it stops the flow from running.
        strict: It is only looked for by a strict check: nothing need be wrong.
    """

    code: str
    title: str
    explanation: str
    wrong: str
    right: str
    severity: Severity = Severity.ERROR
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Pointer:
    """An RFC 6901 JSON pointer."""

    parts: tuple[str | int, ...] = ()

    def __truediv__(self, part: str | int) -> Pointer:
        return Pointer((*self.parts, part))

    def __str__(self) -> str:
        return "".join(f"/{str(p).replace('~', '~0').replace('/', '~1')}" for p in self.parts)


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a file.

    Attributes:
        file: Path of the file as the user gave it.
        pointer: The value in the file.
        node: Id of the node that the value belongs to, if any.
        offset: Where in the value's text, counted in characters from its start, if the value is a
            string and the problem is in a part of it (an expression).
        on_key: The problem is the key of the value, not the value.
    """

    file: str
    pointer: Pointer = Pointer()
    node: str | None = None
    offset: int | None = None
    on_key: bool = False

    def at(self, *parts: str | int) -> Location:
        """Return the location of a child of this value."""
        return replace(
            self, pointer=Pointer((*self.pointer.parts, *parts)), offset=None, on_key=False
        )


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding: a stable code, one sentence, a place, and what to do about it.

    `line` and `column` count from 1; they are None until the file's document has placed them.
    """

    code: str
    message: str
    at: Location
    suggestion: str | None = None
    severity: Severity = Severity.ERROR
    line: int | None = None
    column: int | None = None


@dataclass(slots=True)
class Diagnostics:
    """The findings of one compilation, in the order in which they were found."""

    items: list[Diagnostic] = field(default_factory=list[Diagnostic])

    def add(self, rule: Rule, at: Location, message: str, suggestion: str | None = None) -> None:
        """Record a finding and carry on.

        Args:
            rule: What is wrong; gives code and severity.
            at: Where.
            message: One sentence with the names in question, ending in a full stop.
            suggestion: A way out, as a sentence ("Did you mean `VolumeId`?").
        """
        self.items.append(Diagnostic(rule.code, message, at, suggestion, rule.severity))

    def extend(self, others: Iterable[Diagnostic]) -> None:
        """Record findings that were made elsewhere."""
        self.items.extend(others)

    @property
    def failed(self) -> bool:
        """Whether anything recorded so far is an error."""
        return any(d.severity is Severity.ERROR for d in self.items)

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def raise_if_failed(self) -> None:
        """Raise one `FlowError` for all errors, if there are any."""
        if self.failed:
            raise FlowError(tuple(self.items))


class FlowError(Exception):
    """A file that cannot be used; `diagnostics` says why."""

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        self.diagnostics = diagnostics
        super().__init__(
            "\n".join(
                f"{d.at.file}:{d.line or 1}:{d.column or 1}: {d.code} {d.message}"
                for d in diagnostics
            )
        )


_LONGEST_NAME = 200
"""Comparing takes time that grows with the square of the length; no name is that long."""


def did_you_mean(given: str, known: Iterable[str]) -> str | None:
    """Return a suggestion sentence, or None when nothing is close."""
    if len(given) > _LONGEST_NAME:
        return None
    match get_close_matches(given, list(known), n=1):
        case [close]:
            return f"Did you mean `{close}`?"
        case _:
            return None
