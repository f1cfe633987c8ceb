"""The syntax tree of a JSONata expression. Offsets count characters of the config string.

Nodes are compared by identity and never changed. They are not declared frozen, because making the
methods for that would double what importing this module, and parsing, costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(slots=True, eq=False, repr=False)
class Span:
    """Where a part of an expression stands: `start` up to, not including, `end`."""

    start: int
    end: int


@dataclass(slots=True, eq=False, repr=False)
class Literal(Span):
    """A string, number, `true`, `false` or `null`."""

    value: str | int | float | bool | None


@dataclass(slots=True, eq=False, repr=False)
class Regex(Span):
    """`/pattern/flags`."""

    pattern: str
    flags: str


@dataclass(slots=True, eq=False, repr=False)
class Name(Span):
    """A field of the context, bare, in backquotes, or as a string in a path."""

    value: str


@dataclass(slots=True, eq=False, repr=False)
class Variable(Span):
    """`$name`; `name` is empty for `$`, the context, and `$` for `$$`, the root."""

    name: str


@dataclass(slots=True, eq=False, repr=False)
class Symbol(Span):
    """`*`, `**`, `%` as an operand, or `?` as a missing argument."""

    value: str


@dataclass(slots=True, eq=False, repr=False)
class Path(Span):
    """`a.b.c`: each step is evaluated for each item that the step before gave."""

    steps: tuple[Node, ...]


@dataclass(slots=True, eq=False, repr=False)
class Filter(Span):
    """`operand[predicate]`; without a predicate: `operand[]`, which keeps the array."""

    operand: Node
    predicate: Node | None


@dataclass(slots=True, eq=False, repr=False)
class Group(Span):
    """`operand{key: value, …}`."""

    operand: Node
    pairs: tuple[tuple[Node, Node], ...]


@dataclass(slots=True, eq=False, repr=False)
class Sort(Span):
    """`operand^(term, …)`."""

    operand: Node
    terms: tuple[Node, ...]


@dataclass(slots=True, eq=False, repr=False)
class Label(Span):
    """`operand@$name` (the item) or `operand#$name` (its position)."""

    operand: Node
    operator: str
    name: str


@dataclass(slots=True, eq=False, repr=False)
class Bind(Span):
    """`$name := value`."""

    name: str
    value: Node


@dataclass(slots=True, eq=False, repr=False)
class Binary(Span):
    """`left operator right`; `..` inside an array, and `??`, `?:`, `~>` too."""

    operator: str
    left: Node
    right: Node


@dataclass(slots=True, eq=False, repr=False)
class Negate(Span):
    """`-operand`."""

    operand: Node


@dataclass(slots=True, eq=False, repr=False)
class Array(Span):
    """`[item, …]`."""

    items: tuple[Node, ...]


@dataclass(slots=True, eq=False, repr=False)
class Object(Span):
    """`{key: value, …}`."""

    pairs: tuple[tuple[Node, Node], ...]


@dataclass(slots=True, eq=False, repr=False)
class Block(Span):
    """`(a; b; …)`: gives its last expression, and is a scope for variables."""

    expressions: tuple[Node, ...]


@dataclass(slots=True, eq=False, repr=False)
class Condition(Span):
    """`condition ? then : otherwise`."""

    condition: Node
    then: Node
    otherwise: Node | None


@dataclass(slots=True, eq=False, repr=False)
class Lambda(Span):
    """`function($a, $b){ body }`."""

    params: tuple[str, ...]
    body: Node


@dataclass(slots=True, eq=False, repr=False)
class Call(Span):
    """`procedure(argument, …)`; with a `?` among the arguments it makes a function."""

    procedure: Node
    arguments: tuple[Node, ...]

    @property
    def function(self) -> str | None:
        """The name of the function, if it is called by name."""
        return self.procedure.name if isinstance(self.procedure, Variable) else None

    @property
    def partial(self) -> bool:
        """Whether an argument is missing, so that the call makes a function."""
        return any(isinstance(a, Symbol) and a.value == "?" for a in self.arguments)


@dataclass(slots=True, eq=False, repr=False)
class Transform(Span):
    """`|pattern|update, delete|`, a function that changes a copy of its argument."""

    pattern: Node
    update: Node
    delete: Node | None


Node: TypeAlias = (
    Literal
    | Regex
    | Name
    | Variable
    | Symbol
    | Path
    | Filter
    | Group
    | Sort
    | Label
    | Bind
    | Binary
    | Negate
    | Array
    | Object
    | Block
    | Condition
    | Lambda
    | Call
    | Transform
)


def children(  # noqa: C901, PLR0911 - one case for each kind of node
    node: Node,
) -> tuple[Node, ...]:
    """Return the parts of a node in the order in which they are written."""
    match node:
        case Path(steps=parts) | Array(items=parts) | Block(expressions=parts):
            return parts
        case Filter(operand=operand, predicate=predicate):
            return (operand,) if predicate is None else (operand, predicate)
        case Group(operand=operand, pairs=pairs):
            return (operand, *(part for pair in pairs for part in pair))
        case Object(pairs=pairs):
            return tuple(part for pair in pairs for part in pair)
        case Sort(operand=operand, terms=terms):
            return (operand, *terms)
        case Label(operand=part) | Negate(operand=part) | Bind(value=part) | Lambda(body=part):
            return (part,)
        case Binary(left=left, right=right):
            return (left, right)
        case Condition(condition=condition, then=then, otherwise=otherwise):
            return (condition, then) if otherwise is None else (condition, then, otherwise)
        case Call(procedure=procedure, arguments=arguments):
            return (procedure, *arguments)
        case Transform(pattern=pattern, update=update, delete=delete):
            return (pattern, update) if delete is None else (pattern, update, delete)
        case Literal() | Regex() | Name() | Variable() | Symbol():
            return ()


def walk(node: Node) -> list[Node]:
    """Return the node and everything in it, in the order in which it is written."""
    found: list[Node] = []
    waiting = [node]
    while waiting:
        current = waiting.pop()
        found.append(current)
        waiting.extend(reversed(children(current)))
    return found
