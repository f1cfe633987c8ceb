"""Say everything that is wrong with a text that is not quite JSON, and put right what can be.

The reader comes here only when the JSON parser refused a file or saw something odd in it. The
scan goes once over the text, holds its own stack, and stops at the first place behind which it
could only guess. What people and models write most often is put right in a text of the same
length (trailing commas, comments, single quotes, `NaN`, …), so that the rest of the file can be
checked too, and every place in it stays the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Literal

from cloudflow_dagster.diagnostics.wording import shortened
from cloudflow_dagster.flow import syntax
from cloudflow_dagster.flow.tokens import SPACE, WORD, Problem, Tokens

_CLOSING = {"{": "}", "[": "]"}
_LONG_KEY = 1_000
_CURLY_QUOTES = "\u201c\u201d\u201e\u201f\u00ab\u00bb\u2018\u2019\u201a\u201b"


@dataclass(slots=True)
class Repaired:
    """What the scan found.

    Attributes:
        problems: In the order of the text.
        text: JSON in which every value stands where it stood, or None if that could not be made.
        complete: Whether the whole text was looked at.
    """

    problems: list[Problem]
    text: str | None
    complete: bool


def repair(text: str, deepest: int) -> Repaired:
    """Scan a text for all that JSON, or a flow, does not allow.

    Args:
        text: The whole file.
        deepest: How many lists and objects may stand inside each other.
    """
    scan = _Scan(text, deepest=deepest)
    scan.run()
    return Repaired(scan.problems, scan.repaired(), scan.complete)


@dataclass(slots=True)
class _Container:
    """A list or object that is open, and the field or item that the scan is at."""

    bracket: Literal["{", "["]
    at: int
    key: str | int = -1
    keys: set[str] = field(default_factory=set[str])
    comma: int | None = None


_Step = Literal["value", "key", "colon", "comma", "end"]


@dataclass(slots=True)
class _Scan(Tokens):
    deepest: int = 0
    last: int = 0
    """Where the last token ended."""
    want: _Step = "value"
    open: list[_Container] = field(default_factory=list[_Container])
    complete: bool = False

    def run(self) -> None:
        """Go from token to token."""
        steps: dict[_Step, Callable[[str], None]] = {
            "value": self._value,
            "key": self._key,
            "colon": self._colon,
            "comma": self._comma,
            "end": self._end,
        }
        self.space()
        while not self.stopped and self.at < len(self.text):
            steps[self.want](self.text[self.at])
            self.space()
        if not self.stopped:
            self.complete = True
            self._end_of_text()

    def repaired(self) -> str | None:
        """Return the text put right, if it could be."""
        if self.broken:
            return None
        pieces: list[str] = []
        place = 0
        for start, end, replacement in sorted(self.edits):
            pieces += [self.text[place:start], replacement.ljust(end - start)]
            place = end
        return "".join([*pieces, self.text[place:]])

    def pointer(self) -> tuple[str | int, ...]:
        """Return where in the document the scan is, as far as the keys are of a sane length."""
        keys = (c.key for c in self.open if c.key != -1)
        return tuple(takewhile(lambda key: isinstance(key, int) or len(key) <= _LONG_KEY, keys))

    # What can stand at each place

    def _value(self, character: str) -> None:
        container = self.open[-1] if self.open else None
        if container and container.bracket == "[":
            if character in "]}":
                self._close()
                return
            if character == ",":
                self._needless_comma("There is no value before this comma.")
                return
            container.key = int(container.key) + 1
        if character in "{[":
            self._open_container(character)
        elif self._single_value(character):
            self._then("comma" if self.open else "end")
        elif character in "}]," and container:
            self.stop(
                syntax.SYNTAX,
                f"`{shortened(str(container.key))}` has no value.",
                "Write a value after the colon, or take the key out.",
            )
        else:
            self._unexpected(character, "a value")

    def _single_value(self, character: str) -> bool:
        if character == '"':
            self.string()
        elif character == "'":
            self.single_quoted()
        elif character in "-+.0123456789":
            self.number()
        elif word := WORD.match(self.text, self.at):
            self.word(word)
        else:
            return False
        return True

    def _key(self, character: str) -> None:
        start = self.at
        if character in "}]":
            self._close()
            return
        if character == ",":
            self._needless_comma("There is no field before this comma.")
            return
        if character == '"':
            key = self.string()
        elif character == "'":
            key = self.single_quoted()
        elif word := WORD.match(self.text, self.at):
            key = self.unquoted_key(word)
        else:
            self._unexpected(character, "a key in double quotes")
            return
        if not self.stopped:
            self._found_key(key, start)

    def _found_key(self, key: str, start: int) -> None:
        container = self.open[-1]
        container.key = key
        if key in container.keys:
            self.report(
                syntax.DUPLICATE_KEY,
                f"The key `{shortened(key)}` stands twice in the same object.",
                "Take one of the two out.",
                start,
            )
        container.keys.add(key)
        self._then("colon")

    def _needless_comma(self, message: str) -> None:
        self.report(syntax.TRAILING_COMMA, message, "Take the comma out.")
        self.edit(self.at, self.at + 1, "")
        self.at += 1

    def _colon(self, character: str) -> None:
        if character == ":":
            self.at += 1
            self._then("value")
        elif character == "=":
            self.report(syntax.SYNTAX, "Between a key and its value stands `:`, not `=`.", None)
            self.edit(self.at, self.at + 1, ":")
            self.at += 1
            self._then("value")
        else:
            self.stop(
                syntax.SYNTAX,
                "A colon is missing between the key "
                f"`{shortened(str(self.open[-1].key))}` and its value.",
                None,
                self.last,
            )

    def _comma(self, character: str) -> None:
        container = self.open[-1]
        following: _Step = "key" if container.bracket == "{" else "value"
        if character == ",":
            container.comma = self.at
            self.at += 1
            self._then(following)
        elif character in "}]":
            self._close()
        elif self.last < self.at and (character in '"{[' or "\n" in self.text[self.last : self.at]):
            self.report(syntax.SYNTAX, "A comma is missing here.", None, self.last)
            if self.text[self.last] in SPACE:
                self.edit(self.last, self.last + 1, ",")
            else:  # A comment stands there, and its place is taken.
                self.broken = True
            self._then(following)
        elif self.text[self.last - 1] == '"' and self.last == self.at:
            self.stop(
                syntax.SYNTAX,
                "The text ends at this quote, but more follows.",
                'Write a quote that belongs to the text as `\\"`.',
                self.last - 1,
            )
        else:
            self._unexpected(character, f"`,` or `{_CLOSING[container.bracket]}`")

    def _end(self, character: str) -> None:
        if character in "}]":
            self.stop(syntax.SYNTAX, f"There is one `{character}` too many.", "Take it out.")
        else:
            self.stop(
                syntax.SYNTAX,
                "More follows after the end of the flow.",
                "A file holds one flow; take out what follows, or put it into its own file.",
            )

    def _end_of_text(self) -> None:
        self.complete = True
        if self.want == "end":
            return
        if not self.open:
            self.broken = True
            self.report(syntax.SYNTAX, "There is no flow in this file.", syntax.SMALLEST_FLOW)
            return
        innermost = self.open[-1]
        line = self.text.count("\n", 0, innermost.at) + 1
        self.report(
            syntax.SYNTAX,
            f"The `{innermost.bracket}` of line {line} is never closed.",
            f"Write the `{_CLOSING[innermost.bracket]}` that belongs to it.",
            innermost.at,
        )
        if self.want == "comma":
            closing = "".join(_CLOSING[c.bracket] for c in reversed(self.open))
            self.edits.append((len(self.text), len(self.text), closing))
        else:
            self.broken = True

    # Containers

    def _open_container(self, bracket: str) -> None:
        if len(self.open) >= self.deepest:
            self.stop(
                syntax.TOO_LARGE,
                f"Lists and objects stand more than {self.deepest} deep inside each other.",
                "Split the flow and call its parts with `flow.call`.",
            )
            return
        self.open.append(_Container("{" if bracket == "{" else "[", self.at))
        self.at += 1
        self._then("key" if bracket == "{" else "value")

    def _close(self) -> None:
        container = self.open[-1]
        if self.text[self.at] != _CLOSING[container.bracket]:
            line = self.text.count("\n", 0, container.at) + 1
            self.stop(
                syntax.SYNTAX,
                f"The `{container.bracket}` of line {line} is closed by `{self.text[self.at]}`.",
                f"Write the `{_CLOSING[container.bracket]}` that belongs to it.",
            )
            return
        if self.want != "comma" and container.comma is not None:
            self.report(
                syntax.TRAILING_COMMA,
                f"A comma stands before the closing `{self.text[self.at]}`.",
                "Take the comma out.",
                container.comma,
            )
            self.edit(container.comma, container.comma + 1, "")
        self.open.pop()
        self.at += 1
        self._then("comma" if self.open else "end")

    def _then(self, want: _Step) -> None:
        self.last = self.at
        self.want = want

    def _unexpected(self, character: str, expected: str) -> None:
        self.stop(
            syntax.SYNTAX,
            f"Here stands `{shortened(character)}` instead of {expected}.",
            'Write straight quotes: `"`.' if character in _CURLY_QUOTES else None,
        )
