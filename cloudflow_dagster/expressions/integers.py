"""Keeps integers beyond 2⁵³ exact while the engine, which has only floats, passes them on.

Each such integer goes in as a float of its own, close to it, and what comes out equal to that float
is that integer again. Arithmetic on it rounds, as JSONata's does.
"""

from __future__ import annotations

import math
from typing import Final, cast

from cloudflow_dagster.expressions.syntax import (
    Array,
    Binary,
    Call,
    Literal,
    Node,
    Object,
    walk,
)
from cloudflow_dagster.expressions.values import EXACT, Json

TABLE_NAME: Final = "cloudflow_integers"
TABLE: Final = f"$$.{TABLE_NAME}"
_LARGEST: Final = 2**1023
_EXPONENT_FROM: Final = 1e21
_MAKE_TEXT: Final = (
    '$cloudflow_text := function($x) {{ $type($x) = "number"'
    " ? ($lookup({table}, $string($x)) ?? $x) : $x }}; "
)


class Integers:
    """The integers of one evaluation that a float cannot hold."""

    def __init__(self, literals: tuple[int, ...] = ()) -> None:
        self._floats: dict[int, float] = {}
        self._exact: dict[float, int] = {}
        for literal in literals:
            self._float(literal)

    def __bool__(self) -> bool:
        return bool(self._exact)

    def encode(self, value: Json) -> Json:
        """Return a copy of a value in which each large integer is its float."""
        match value:
            case dict():
                fields = cast("dict[str, Json]", value)
                return {key: self.encode(part) for key, part in fields.items()}
            case list():
                return [self.encode(part) for part in cast("list[Json]", value)]
            case int() if abs(value) > EXACT:
                return self._float(value)
            case _:
                return value

    def decode(self, value: Json) -> Json:
        """Return a copy of a result in which each such float is its integer again."""
        match value:
            case dict():
                fields = cast("dict[str, Json]", value)
                return {key: self.decode(part) for key, part in fields.items()}
            case list():
                return [self.decode(part) for part in cast("list[Json]", value)]
            case int() | float() if abs(value) >= EXACT:
                return self._exact.get(float(value), value) if abs(value) < _LARGEST else value
            case _:
                return value

    def texts(self) -> dict[str, str]:
        """Return what the engine writes for each of the floats → the exact digits."""
        return {_shortest(value): str(exact) for value, exact in self._exact.items()}

    def _float(self, value: int) -> float:
        if value not in self._floats:
            near = float(max(-_LARGEST, min(_LARGEST, value)))
            while near in self._exact:
                near = math.nextafter(near, math.inf)
            self._floats[value] = near
            self._exact[near] = value
        return self._floats[value]


def _shortest(value: float) -> str:
    """As JavaScript and the engine write a large whole number."""
    if abs(value) < _EXPONENT_FROM:
        from decimal import Decimal  # noqa: PLC0415 - rarely needed

        return format(Decimal(repr(value)), ".0f")
    return repr(value).replace(".0e", "e")


def large_literals(tree: Node) -> tuple[int, ...]:
    """Return the large integers that the expression itself is written with."""
    return tuple(
        node.value
        for node in walk(tree)
        if isinstance(node, Literal) and type(node.value) is int and abs(node.value) > EXACT
    )


def with_exact_text(source: str, offset: int, tree: Node) -> str:
    """Return the expression changed so that `&` and `$string` write large integers exactly.

    Args:
        source: The expression as written.
        offset: Where it begins in the config string that the tree's offsets count in.
        tree: Its syntax tree.
    """
    inserts: list[tuple[int, int, str]] = []
    for node in walk(tree):
        match node:
            case Binary(operator="&", left=left, right=right):
                operands: tuple[Node, ...] = (left, right)
            case Call(arguments=(first, *_)) if node.function == "string" and not node.partial:
                operands = (first,)
            case _:
                continue
        for operand in operands:
            if not isinstance(operand, Array | Object) and not _is_text(operand):
                width = operand.end - operand.start
                inserts.append((operand.start, -width, "$cloudflow_text("))
                inserts.append((operand.end, width - len(source), ")"))
    parts: list[str] = []
    at = 0
    for place, _, text in sorted(inserts, key=lambda insert: insert[:2]):
        parts.append(source[at : place - offset])
        parts.append(text)
        at = place - offset
    parts.append(source[at:])
    if not inserts:
        return source
    return f"({_MAKE_TEXT.format(table=TABLE)}{''.join(parts)}\n)"


def _is_text(node: Node) -> bool:
    match node:
        case Literal(value=str()):
            return True
        case Binary(operator="&"):
            return True
        case _:
            return False
