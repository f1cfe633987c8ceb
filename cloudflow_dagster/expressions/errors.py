"""What an expression gives besides JSON: an error, or nothing at all."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, final

Code: TypeAlias = Literal[
    "Syntax", "UnknownName", "Timeout", "TooDeep", "TooLarge", "Evaluation", "Secret"
]


class ExpressionError(Exception):
    """An expression that cannot be read, or whose evaluation failed.

    Args:
        message: One sentence for people, ending in a full stop. It may quote a value that an
            operation refused, never a secret.
        offset: Where, in characters from the start of the config string.
        code: `Syntax` (cannot be read), `UnknownName` (a function that does not exist), `Timeout`,
            `TooDeep`, `TooLarge` (a limit was reached), `Secret` (a secret that may not be read
            this way), `Evaluation` (all else).
    """

    def __init__(self, message: str, offset: int = 0, code: Code = "Evaluation") -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.code: Code = code

    def hide(self, secret: str) -> None:
        """Take a secret's value out of the message."""
        if secret:
            self.message = self.message.replace(secret, "***")
            self.args = (self.message,)


@final
class Absent:
    """The type of `ABSENT`, JSONata's undefined: there is no value, which is not `null`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "ABSENT"

    def __bool__(self) -> bool:
        return False

    def __reduce__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent()
"""The one value of class `Absent`; compare with `is`."""
