"""Splits a JSONata expression into tokens and finds its end inside a config string.

The rules are those of the reference implementation's tokenizer
(https://github.com/jsonata-js/jsonata, `src/parser.js`). A slash begins a regular expression where
an operand may stand, and divides elsewhere; so the lexer follows whether an operand is expected.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal as Choice
from typing import TypeAlias

from cloudflow_dagster.expressions.errors import ExpressionError

Kind: TypeAlias = Choice[
    "string", "number", "value", "name", "variable", "regex", "operator", "end"
]

SPACE = " \t\n\r\v"
OPERATORS = frozenset(".[]{}(),@#;:?+-*/%|=<>^&!~")
DOUBLE = frozenset(["..", ":=", "!=", ">=", "<=", "**", "~>", "?:", "??"])
OPENING = {"(": ")", "[": "]", "{": "}"}
CLOSING = frozenset(OPENING.values())
WORD_OPERATORS = frozenset(["and", "or", "in"])
VALUES = {"true": True, "false": False, "null": None}
ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}

_NUMBER = re.compile(r"(?:0|[1-9][0-9]*)(\.[0-9]+)?([Ee][-+]?[0-9]+)?")
_NO_WORD = re.escape(SPACE + "".join(sorted(OPERATORS)))
_STEP = re.compile(
    f"[{SPACE}]*(?:"
    f"(?P<word>[^{_NO_WORD}0-9`'\"][^{_NO_WORD}]*)"
    r"|(?P<end>}})"
    f"|(?P<operator>{'|'.join(map(re.escape, sorted(DOUBLE)))}"
    f"|[{re.escape(''.join(sorted(OPERATORS - {'/'})))}])"
    ")"
)
"""A word or an operator, but for a slash, with the space before it."""
_HEX = re.compile(r"[0-9a-fA-F]{4}")
_PLAIN = {'"': re.compile(r'[^"\\]+'), "'": re.compile(r"[^'\\]+")}


@dataclass(slots=True, eq=False)
class Token:
    """One token. `value` is a string's text without escapes, a variable's name without `$`."""

    kind: Kind
    value: str | int | float | bool | None
    start: int
    end: int
    flags: str = ""
    operator: str = ""
    """The operator that it is, or an empty string."""


def read_tokens(text: str, start: int) -> list[Token]:
    """Return the tokens of the expression that begins at `start`, up to its `}}`.

    The last token is of kind `end`; its `start` and `end` are those of the `}}`.

    Args:
        text: A config string.
        start: The offset after the `{{`.

    Raises:
        ExpressionError: There is no `}}`, or something is not a token.
    """
    return _Lexer(text, start).tokens()


def _operator(text: str, start: int) -> Token:
    return Token("operator", text, start, start + len(text), operator=text)


def _word(word: str, start: int) -> Token:
    end = start + len(word)
    if word.startswith("$"):
        return Token("variable", word[1:], start, end)
    if word in WORD_OPERATORS:
        return _operator(word, start)
    if word in VALUES:
        return Token("value", VALUES[word], start, end)
    return Token("name", word, start, end)


def _join_surrogates(text: str) -> str:
    """Two escapes that stand for the halves of one character make that character."""
    if not any("\ud800" <= char <= "\udfff" for char in text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class _Lexer:
    def __init__(self, text: str, start: int) -> None:
        self.text = text
        self.begin = start
        self.at = start
        self.open: list[tuple[str, int]] = []
        self.operand = True
        """Whether an operand may stand here, rather than an operator between two."""

    def tokens(self) -> list[Token]:
        found: list[Token] = []
        while True:
            # Nearly all of an expression is words and operators: those are read in one go.
            step = _STEP.match(self.text, self.at)
            if step is None:
                before = self.at
                self._skip_space()
                if self.at >= len(self.text):
                    raise self._unclosed()
                if self.at > before:
                    continue
                token = self._next()
            elif step.lastgroup == "word":
                token = _word(step[1], step.start(1))
            elif step.lastgroup == "end" and not self.open:
                found.append(Token("end", None, step.start(2), step.end(2)))
                return found
            else:
                at = step.start(step.lastindex or 0)
                token = _operator(step[3] or "}", at)
            self.at = token.end
            self._follow(token)
            found.append(token)

    def _unclosed(self) -> ExpressionError:
        if self.open:
            bracket, offset = self.open[-1]
            return ExpressionError(f"This `{bracket}` is never closed.", offset, "Syntax")
        return ExpressionError(
            "This `{{` has no `}}`. A literal `{{` is written `{{ '{{' }}`.",
            self.begin - 2,
            "Syntax",
        )

    def _skip_space(self) -> None:
        text = self.text
        while self.at < len(text):
            if text[self.at] in SPACE:
                self.at += 1
            elif text.startswith("/*", self.at):
                end = text.find("*/", self.at + 2)
                if end < 0:
                    raise ExpressionError("This comment has no `*/`.", self.at, "Syntax")
                self.at = end + 2
            else:
                return

    def _next(self) -> Token:
        text, at = self.text, self.at
        char = text[at]
        if char == "/" and self.operand:
            return self._regex()
        if char == "/":
            return _operator(char, at)
        if char in _PLAIN:
            return self._string(char)
        if "0" <= char <= "9":
            return self._number()
        if char == "`":
            end = text.find("`", at + 1)
            if end < 0:
                raise ExpressionError("This backquote has no partner.", at, "Syntax")
            return Token("name", text[at + 1 : end], at, end + 1)
        raise ExpressionError("This cannot be read.", at, "Syntax")

    def _number(self) -> Token:
        found = _NUMBER.match(self.text, self.at)
        if found is None:
            raise ExpressionError("This number cannot be read.", self.at, "Syntax")
        value = float(found[0])
        if value in {float("inf"), float("-inf")}:
            raise ExpressionError("This number is too large.", self.at, "Syntax")
        whole = found[1] is None and found[2] is None
        return Token("number", int(found[0]) if whole else value, self.at, found.end())

    def _string(self, quote: str) -> Token:
        text, at = self.text, self.at + 1
        parts: list[str] = []
        while at < len(text):
            if text[at] == quote:
                return Token("string", _join_surrogates("".join(parts)), self.at, at + 1)
            if text[at] == "\\":
                part, at = self._escape(at)
                parts.append(part)
            elif plain := _PLAIN[quote].match(text, at):
                parts.append(plain[0])
                at = plain.end()
        raise ExpressionError(f"This string has no closing {quote}", self.at, "Syntax")

    def _escape(self, at: int) -> tuple[str, int]:
        char = self.text[at + 1 : at + 2]
        if char in ESCAPES:
            return ESCAPES[char], at + 2
        if char == "u":
            digits = _HEX.match(self.text, at + 2)
            if digits is None:
                raise ExpressionError("`\\u` needs four hexadecimal digits.", at, "Syntax")
            return chr(int(digits[0], 16)), at + 6
        if not char:
            raise ExpressionError("This string is never closed.", self.at, "Syntax")
        raise ExpressionError(
            f"`\\{char}` is no escape sequence. A backslash is written `\\\\`.", at, "Syntax"
        )

    def _regex(self) -> Token:
        text, at, depth = self.text, self.at + 1, 0
        while at < len(text):
            char = text[at]
            if char == "\\":
                at += 2
                continue
            if char == "/" and depth <= 0:
                return self._end_of_regex(at)
            depth += (char in OPENING) - (char in CLOSING)
            at += 1
        raise ExpressionError("This regular expression has no closing `/`.", self.at, "Syntax")

    def _end_of_regex(self, at: int) -> Token:
        pattern = self.text[self.at + 1 : at]
        if not pattern:
            raise ExpressionError("A regular expression cannot be empty.", self.at, "Syntax")
        end = at + 1
        while self.text[end : end + 1] in {"i", "m"}:
            end += 1
        return Token("regex", pattern, self.at, end, self.text[at + 1 : end])

    def _follow(self, token: Token) -> None:
        operator = token.operator
        if operator in OPENING:
            self.open.append((operator, token.start))
        elif operator in CLOSING:
            self._close(operator, token.start)
        if not operator or operator in CLOSING:
            self.operand = False
        elif self.operand and operator in {"*", "**", "%", "?", *WORD_OPERATORS}:
            self.operand = False  # a wildcard, the parent, a missing argument, a field's name
        else:
            self.operand = True

    def _close(self, bracket: str, offset: int) -> None:
        if not self.open:
            raise ExpressionError(f"This `{bracket}` closes nothing.", offset, "Syntax")
        opened, _ = self.open.pop()
        if OPENING[opened] != bracket:
            raise ExpressionError(
                f"Expected `{OPENING[opened]}` for the `{opened}` before, found `{bracket}`.",
                offset,
                "Syntax",
            )
