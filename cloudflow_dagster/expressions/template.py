"""Config strings: text with `{{ … }}` in it, split into text and expressions."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from cloudflow_dagster.expressions.cost import Cost, cost_of
from cloudflow_dagster.expressions.errors import ExpressionError
from cloudflow_dagster.expressions.integers import large_literals
from cloudflow_dagster.expressions.lexer import read_tokens
from cloudflow_dagster.expressions.parser import parse_tokens
from cloudflow_dagster.expressions.places import check_regex, check_syntax
from cloudflow_dagster.expressions.references import (
    ROOTS,
    Read,
    direct_path,
    find_references,
    plain_path,
)
from cloudflow_dagster.expressions.scope import Needs, needs_of
from cloudflow_dagster.expressions.syntax import Call, Literal, Node

MAX_LENGTH = 100_000
"""Characters of a config string that holds expressions."""


@dataclass(frozen=True, eq=False)
class Expression:
    """One `{{ … }}`.

    Attributes:
        source: The JSONata between the braces.
        offset: Where it begins, in characters of the config string.
        reads: What it reads of the scope.
        unknown: Bare names and `$names` that are neither of the scope, nor JSONata's functions, nor
            bound by the expression, with their offsets.
        secrets: The secrets that it reads, with their offsets; None for a name that is no literal.
        path: Root and steps, if it is nothing but one plain path.
        variables: Names of the scope that it reads as `$variables`.
        tree: Its syntax tree.
    """

    source: str
    offset: int
    reads: tuple[Read, ...]
    unknown: tuple[tuple[str, int], ...]
    secrets: tuple[tuple[str | None, int], ...]
    path: tuple[str | int, ...] | None
    variables: tuple[str, ...]
    tree: Node = field(repr=False)

    # What only evaluating needs is found then: a check reads thousands and evaluates none.

    @cached_property
    def direct(self) -> tuple[str | int, ...] | None:
        """Root and steps, if they can be looked up without the engine."""
        return None if self.path is None else direct_path(self.tree)

    @cached_property
    def only_secret(self) -> str | None:
        """The name of the secret, if it is nothing but `$secret('name')`."""
        match self.tree:
            case Call(arguments=(Literal(value=str() as name),)) if self.tree.function == "secret":
                return name
            case _:
                return None

    @cached_property
    def needs(self) -> Needs:
        """The parts of the scope that have to be there."""
        return needs_of(self.reads)

    @cached_property
    def large_literals(self) -> tuple[int, ...]:
        """The integers it is written with that a float cannot hold."""
        return large_literals(self.tree)

    @cached_property
    def cost(self) -> Cost:
        """What its evaluation may cost."""
        return cost_of(self.tree)


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """A config string.

    Attributes:
        text: The whole string.
        parts: Its texts and expressions in order.
        whole: The expression, if the string is nothing but one: its value keeps its type.
    """

    text: str
    parts: tuple[str | Expression, ...]
    whole: Expression | None

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """The expressions among the parts."""
        return tuple(part for part in self.parts if isinstance(part, Expression))


def has_expression(text: str) -> bool:
    """Whether a config string holds an expression; a string that is none is plain text."""
    return "{{" in text


@lru_cache(maxsize=8192)
def parse_template(text: str) -> Template:
    """Split a config string into text and expressions.

    Raises:
        ExpressionError: An expression cannot be read; `offset` is where in the string.
    """
    parts: list[str | Expression] = []
    at = 0
    while (start := text.find("{{", at)) >= 0:
        if len(text) > MAX_LENGTH:
            message = f"A text with expressions may have {MAX_LENGTH:,} characters, not more."
            raise ExpressionError(message, start, "TooLarge")
        if start > at:
            parts.append(text[at:start])
        expression, at = _parse_expression(text, start + 2)
        parts.append(expression)
    if at < len(text):
        parts.append(text[at:])
    whole = parts[0] if len(parts) == 1 and isinstance(parts[0], Expression) else None
    return Template(text, tuple(parts), whole)


def _parse_expression(text: str, start: int) -> tuple[Expression, int]:
    """Return the expression that begins at `start`, and where the text goes on after its `}}`."""
    tokens = read_tokens(text, start)
    try:
        tree = parse_tokens(tokens)
        found = find_references(tree)
        path = plain_path(tree)
    except RecursionError:
        message = "This expression is nested too deep."
        raise ExpressionError(message, start, "TooDeep") from None
    source = text[start : tokens[-1].start]
    check_syntax(source, start)
    for token in tokens:
        if token.kind == "regex":
            check_regex(str(token.value), token.flags, token.start)
    variables = tuple(root for root in ROOTS if root in found.variables)
    expression = Expression(
        source=source,
        offset=start,
        reads=tuple(found.reads),
        unknown=tuple(found.unknown),
        secrets=tuple(found.secrets),
        path=path,
        variables=variables,
        tree=tree,
    )
    return expression, tokens[-1].end
