"""The single values of a text that is not quite JSON, and what stands between them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from cloudflow_dagster.diagnostics.model import Rule
from cloudflow_dagster.diagnostics.wording import shortened
from cloudflow_dagster.flow import syntax

MOST_PROBLEMS = 100
SPACE = " \t\r\n"
WORD = re.compile(r"[^\W\d][\w$-]*")
_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]+")
_COMMENT = re.compile(r"//[^\n]*|#[^\n]*|/\*.*?\*/", re.DOTALL)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_LIKE_A_NUMBER = re.compile(r"[+-]?(?:[0-9.][0-9a-zA-Z_.]*(?:[eE][+-][0-9]+)?|Infinity\b)")
_SINGLE_QUOTED = re.compile(r"'([^'\"\\\x00-\x1f]*)'")
_PLAIN = re.compile(r'(?:[^"\\\x00-\x1f]++|\\["\\/bfnrt])*+')
_PAIR = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_ESCAPE = re.compile(r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})')
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_WORDS = {"true", "false", "null"}
_WORDS_OF_PYTHON = {"True": "true", "False": "false", "None": "null"}


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that the file may not hold, and where."""

    rule: Rule
    offset: int
    message: str
    suggestion: str | None
    pointer: tuple[str | int, ...]


@dataclass(slots=True)
class Tokens:
    """A scan over a text, value by value.

    Attributes:
        text: The whole file.
        at: Where the scan is.
        problems: What was found so far.
        edits: How it is put right: start, end, replacement.
        broken: Something was found that cannot be put right.
        stopped: Going on would be guessing.
    """

    text: str
    at: int = 0
    problems: list[Problem] = field(default_factory=list[Problem])
    edits: list[tuple[int, int, str]] = field(default_factory=list[tuple[int, int, str]])
    broken: bool = False
    stopped: bool = False

    def space(self) -> None:
        """Go over white space and comments."""
        if space := _SPACE.match(self.text, self.at):
            self.at = space.end()
        while self.text[self.at : self.at + 1] in {"/", "#"} and not self.stopped:
            comment = _COMMENT.match(self.text, self.at)
            if comment is None:
                return
            self.report(
                syntax.COMMENT,
                "JSON has no comments.",
                "Put it into the `notes` of a node or the `description` of the flow.",
            )
            self.edit(self.at, comment.end(), re.sub(r"[^\n]", " ", comment.group()))
            self.at = comment.end()
            if space := _SPACE.match(self.text, self.at):
                self.at = space.end()

    def string(self) -> str:
        """Go over a string in double quotes and return what it says."""
        start = self.at
        try:
            said, self.at = _DECODER.raw_decode(self.text, start)
        except ValueError:
            said = self._bad_string()
        else:
            if _SURROGATE.search(self.text, start, self.at):
                self._surrogates(start, self.at)
        return said

    def _bad_string(self) -> str:
        """Go over a string that the JSON parser refused, and say why."""
        start = self.at
        place = start + 1
        while True:
            plain = _PLAIN.match(self.text, place)
            place = plain.end() if plain else place
            character = self.text[place : place + 1]
            if character == '"':
                self.at = place + 1
                return self.text[start + 1 : place]
            if character in {"\n", "\r", ""}:
                self.stop(
                    syntax.SYNTAX,
                    "The text that starts here has no closing quote on its line.",
                    "Write the quote, or `\\n` for a line break in a text.",
                    start,
                )
                return ""
            if character == "\\":
                place = self._escape(place)
            else:
                written = {"\t": "\\t"}.get(character, f"\\u{ord(character):04x}")
                self.report(
                    syntax.SYNTAX,
                    "A text may not hold a control character as it is.",
                    f"Write it as `{written}`.",
                    place,
                )
                self.edit(place, place + 1, " ")
                place += 1
            if self.stopped:
                return ""

    def _escape(self, place: int) -> int:
        """Look at one backslash in a string; return where the text goes on."""
        if escape := _ESCAPE.match(self.text, place):
            if not _SURROGATE.match(escape.group()):
                return escape.end()
            pair = _PAIR.match(self.text, place)
            if pair is None:
                self._surrogate(place)
            return (pair or escape).end()
        following = self.text[place + 1 : place + 2]
        if following in {"", "\n", "\r"}:
            return place + 1  # The quote is missing; that is said where the text starts.
        if following == "u":
            self.report(
                syntax.SYNTAX,
                "After `\\u` four hexadecimal digits must follow.",
                "Write `\\\\` for a backslash.",
                place,
            )
        else:
            self.report(
                syntax.SYNTAX,
                f"A text may not hold `\\{shortened(following)}`.",
                "Write `\\\\` for a backslash.",
                place,
            )
        self.edit(place, place + 1, ".")
        return place + 1

    def _surrogates(self, start: int, end: int) -> None:
        place = self.text.find("\\", start, end)
        while place != -1 and not self.stopped:
            place = self.text.find("\\", self._escape(place), end)

    def _surrogate(self, place: int) -> None:
        half = self.text[place : place + 6]
        self.report(
            syntax.NOT_UNICODE,
            f"`{half}` is one half of a character.",
            "Write both halves, or the character itself.",
            place,
        )
        self.edit(place, place + 6, "\\ufffd")

    def single_quoted(self) -> str:
        """Go over a string in single quotes and return what it says."""
        quoted = _SINGLE_QUOTED.match(self.text, self.at)
        if quoted is None:
            self.stop(syntax.SYNTAX, "A text stands in double quotes.", None)
            return ""
        said = quoted.group(1)
        self.report(
            syntax.SYNTAX, "A text stands in double quotes.", f'Write `"{shortened(said)}"`.'
        )
        self.edit(self.at, quoted.end(), f'"{said}"')
        self.at = quoted.end()
        return said

    def number(self) -> None:
        """Go over a number, or what was meant to be one."""
        start = self.at
        number = _NUMBER.match(self.text, start)
        like = _LIKE_A_NUMBER.match(self.text, start)
        end = max(number.end() if number else 0, like.end() if like else 0, start + 1)
        written = self.text[start:end]
        if number and number.end() == end:
            if syntax.out_of_range(written):
                self.report(
                    syntax.NO_NUMBER,
                    f"{shortened(written, 24)} is larger than any "
                    "number that programs can pass on.",
                    "Write it as a text, in quotes.",
                )
                self.edit(start, end, "0")
        else:
            infinite = written.endswith("Infinity")
            self.report(
                syntax.NO_NUMBER if infinite else syntax.SYNTAX,
                f"`{shortened(written)}` is not a number of JSON.",
                "Write it as digits, such as `0.5`, `-3` or `1e6`; otherwise as a text, in quotes.",
            )
            self.edit(start, end, "0")
        self.at = end

    def word(self, word: re.Match[str]) -> None:
        """Go over a word without quotes."""
        said = word.group()
        if said in _WORDS_OF_PYTHON:
            right = _WORDS_OF_PYTHON[said]
            self.report(syntax.SYNTAX, f"`{said}` is not JSON.", f"Write `{right}`.")
            self.edit(self.at, word.end(), right)
        elif said in {"NaN", "Infinity"}:
            self.report(
                syntax.NO_NUMBER,
                f"`{said}` is not a number of JSON.",
                "Write a number, or `null` for none.",
            )
            self.edit(self.at, word.end(), "0")
        elif said not in _WORDS:
            self.report(
                syntax.SYNTAX,
                f"`{shortened(said)}` stands without quotes.",
                f'Write `"{shortened(said)}"` if it is a text.',
            )
            self.broken = True
        self.at = word.end()

    def unquoted_key(self, word: re.Match[str]) -> str:
        """Go over a key without quotes; nothing of the same length would be right."""
        key = word.group()
        self.report(
            syntax.SYNTAX,
            f"The key `{shortened(key)}` stands without quotes.",
            f'Write `"{shortened(key)}"`.',
        )
        self.broken = True
        self.at = word.end()
        return key

    def pointer(self) -> tuple[str | int, ...]:
        """Return where in the document the scan is; known to who knows the containers."""
        return ()

    def report(
        self, rule: Rule, message: str, suggestion: str | None, offset: int | None = None
    ) -> None:
        """Record a problem and go on; after too many of them give up."""
        place = self.at if offset is None else offset
        if len(self.problems) == MOST_PROBLEMS - 1:
            message += " (The file was not read any further.)"
            self.stopped = self.broken = True
        self.problems.append(Problem(rule, place, message, suggestion, self.pointer()))

    def stop(
        self, rule: Rule, message: str, suggestion: str | None, offset: int | None = None
    ) -> None:
        """Record a problem behind which one could only guess."""
        self.report(rule, message, suggestion, offset)
        self.stopped = self.broken = True

    def edit(self, start: int, end: int, replacement: str) -> None:
        """Put a piece of the text right. The replacement is not longer than the piece."""
        self.edits.append((start, end, replacement))
