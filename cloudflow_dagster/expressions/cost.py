"""Bounds what an expression may cost, so that only cheap ones are evaluated in this process.

The engine's own limits leave gaps: `$pad` to 2·10⁹ characters never looks at the clock, and strings
that double or sequences of sequences fill gigabytes within the second. So each expression gets a
bound from its syntax tree: the largest value on the way is at most
`factor · n ** degree · r ** repeated`, where `n` is the size of all that it reads and `r` the size
of what it reads again for each element (`$params.x` inside a map). What has no such bound
(recursion, ranges, `$pad` to a computed width …), or one too large for the values at hand, is
evaluated in a separate process with a memory limit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from cloudflow_dagster.expressions.functions import HIGHER_ORDER, SIGNATURES
from cloudflow_dagster.expressions.references import ROOTS, plain_path
from cloudflow_dagster.expressions.syntax import (
    Array,
    Binary,
    Bind,
    Block,
    Call,
    Condition,
    Filter,
    Group,
    Label,
    Lambda,
    Literal,
    Name,
    Negate,
    Node,
    Object,
    Path,
    Regex,
    Sort,
    Symbol,
    Transform,
    Variable,
    children,
    walk,
)

UNIT: Final = 16
"""Characters of a string that count as much as one number."""
_DESCENDANTS: Final = 100
_MAX_RANGE: Final = 10_000
_SECRET: Final = 64
_WITH_ARRAY: Final = 3
_MAX_FACTOR: Final = 1e9
_MAX_DEGREE: Final = 3

_SCALAR = frozenset([
    "abs", "assert", "average", "boolean", "ceil", "contains", "count", "error", "exists", "floor",
    "formatBase", "length", "max", "millis", "min", "not",
    "number", "parseInteger", "power", "random", "round", "sqrt", "sum", "toMillis", "type",
])  # fmt: skip
"""Functions that give one small value."""
_LINEAR = {
    "append": 1, "base64decode": 1, "base64encode": 2, "clone": 1, "decodeUrl": 1,
    "decodeUrlComponent": 1, "distinct": 1, "encodeUrl": 3, "encodeUrlComponent": 3, "filter": 1,
    "formatNumber": 1, "keys": 1, "lookup": 1, "lowercase": 1, "match": 96, "merge": 1,
    "reverse": 1, "secret": _SECRET, "shuffle": 1, "sift": 1, "single": 1,
    "sort": 1, "split": 16, "spread": 8, "string": 2, "substring": 1,
    "substringAfter": 1, "substringBefore": 1, "trim": 1, "uppercase": 1, "zip": 2,
}  # fmt: skip
"""Functions whose result is at most so many times as large as their arguments."""
_KEEP_OR_DROP = frozenset(["filter", "single", "sort", "sift"])
_ARITHMETIC = frozenset("+-*/%")
_YES_OR_NO = frozenset(["=", "!=", "<", ">", "<=", ">=", "and", "or", "in"])


@dataclass(slots=True, eq=False, repr=False)
class Size:
    """`factor · n ** degree · r ** repeated`."""

    factor: float
    degree: int = 0
    repeated: int = 0

    def __add__(self, other: Size) -> Size:
        return Size(
            self.factor + other.factor,
            max(self.degree, other.degree),
            max(self.repeated, other.repeated),
        )

    def __mul__(self, other: Size) -> Size:
        return Size(
            self.factor * other.factor,
            self.degree + other.degree,
            self.repeated + other.repeated,
        )


@dataclass(slots=True, eq=False, repr=False)
class Cost:
    """What an expression may cost.

    Attributes:
        bound: Of the largest value on the way; None: there is no bound.
        repeated: Paths of the scope that are read again for each element.
        comparisons: How often it compares elements with each other, at most; one bound for each
            `$distinct`.
        calculates: A number may come out that JSON does not have (infinity).
        makes_functions: A function might come out.
        concatenates: It makes text of numbers.
    """

    bound: Size | None
    repeated: tuple[tuple[str | int, ...], ...] = ()
    comparisons: tuple[Size, ...] = ()
    calculates: bool = False
    makes_functions: bool = False
    concatenates: bool = False


class _UnboundedError(Exception):
    """There is no bound."""


def cost_of(tree: Node) -> Cost:
    """Return what evaluating the expression may cost."""
    nodes = walk(tree)
    analysis = _Analysis()
    bound: Size | None
    try:
        analysis.visit(tree)
        bound = analysis.peak
    except _UnboundedError:
        bound = None
    return Cost(
        bound=bound,
        repeated=tuple(analysis.repeated),
        comparisons=tuple(analysis.comparisons),
        calculates=any(_calculates(node) for node in nodes),
        makes_functions=_makes_functions(tree),
        concatenates=any(
            (isinstance(node, Binary) and node.operator == "&")
            or (isinstance(node, Variable) and node.name in {"string", "join"})
            for node in nodes
        ),
    )


def _calculates(node: Node) -> bool:
    match node:
        case Binary(operator=operator):
            return operator in _ARITHMETIC
        case Variable(name=name):
            return name in {"sum", "average", "power", "number", "round"}
        case _:
            return False


def _makes_functions(tree: Node) -> bool:
    """Whether a function stands anywhere but where a function is called or handed to one."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        match node:
            case Call(procedure=procedure, arguments=arguments):
                if node.partial:
                    return True
                handed = node.function in HIGHER_ORDER
                for part in arguments:
                    if handed and _is_function(part):
                        waiting.extend(_inside(part))
                    else:
                        waiting.append(part)
                waiting.extend(_inside(procedure))
            case Binary(operator="~>", left=left, right=right):
                waiting.append(left)
                waiting.extend(_inside(right) if _is_function(right) else [right])
            case _ if _is_function(node):
                return True
            case _:
                waiting.extend(children(node))
    return False


def _is_function(node: Node) -> bool:
    match node:
        case Lambda() | Regex() | Transform():
            return True
        case Variable(name=name):
            return name in SIGNATURES or name == "secret"
        case _:
            return False


def _inside(node: Node) -> tuple[Node, ...]:
    match node:
        case Lambda(body=body):
            return (body,)
        case Transform():
            return children(node)
        case Variable() | Regex():
            return ()
        case _:
            return (node,)


@dataclass(slots=True, eq=False, repr=False)
class _Frame:
    """One level of "for each element". Sizes in it count from one element."""

    total: Size
    """The absolute size of all elements together."""
    context: Size
    bound: dict[str, Size] = field(default_factory=dict[str, Size])


class _Analysis:
    def __init__(self) -> None:
        self.frames = [_Frame(Size(1), Size(1, 1))]
        self.peak = Size(1)
        self.repeated: list[tuple[str | int, ...]] = []
        self.comparisons: list[Size] = []

    @property
    def frame(self) -> _Frame:
        return self.frames[-1]

    def visit(self, node: Node) -> Size:
        """Return the size of the node's value, for one element of the innermost frame."""
        size = self.size(node)
        total = self.frame.total * size
        if total.factor > _MAX_FACTOR or total.degree + total.repeated > _MAX_DEGREE:
            raise _UnboundedError
        self.peak = Size(
            max(self.peak.factor, total.factor),
            max(self.peak.degree, total.degree),
            max(self.peak.repeated, total.repeated),
        )
        return size

    def sum(self, nodes: tuple[Node, ...]) -> Size:
        total = Size(1)
        for node in nodes:
            total += self.visit(node)
        return total

    def size(  # noqa: C901, PLR0911, PLR0912 - one case for each kind of node
        self, node: Node
    ) -> Size:
        match node:
            case Literal(value=value):
                return Size(1 + len(value) / UNIT) if isinstance(value, str) else Size(1)
            case Name():
                return self.frame.context
            case Variable(name=name):
                return self.variable(name)
            case Symbol(value=symbol):
                return self.symbol(symbol)
            case Path(steps=steps):
                return self.path(node, steps)
            case Filter() | Sort() | Group() | Label():
                return self.around(node, self.visit(node.operand))
            case Block(expressions=expressions):
                return self.block(expressions)
            case Bind(name=name, value=value):
                self.frame.bound[name] = self.visit(value)
                return self.frame.bound[name]
            case Binary(operator=operator, left=left, right=right):
                return self.binary(operator, left, right)
            case Array(items=parts):
                return self.sum(parts)
            case Object(pairs=pairs):
                return self.sum(tuple(part for pair in pairs for part in pair))
            case Negate(operand=operand):
                self.visit(operand)
                return Size(1)
            case Condition(condition=condition, then=then, otherwise=otherwise):
                self.visit(condition)
                return self.sum((then,) if otherwise is None else (then, otherwise))
            case Call():
                return self.call(node, [])
            case Lambda() | Regex() | Transform():
                raise _UnboundedError

    def variable(self, name: str) -> Size:
        if name == "":
            return self.frame.context
        for frame in reversed(self.frames):
            if name in frame.bound:
                size = frame.bound[name]
                return size if frame is self.frame else frame.total * size
        if name == "$":
            return Size(1, 1)
        if name in ROOTS:
            return self.again((name,))
        raise _UnboundedError

    def again(self, path: tuple[str | int, ...]) -> Size:
        if len(self.frames) == 1:
            return Size(1, 1)
        self.repeated.append(path)
        return Size(1, 0, 1)

    def symbol(self, symbol: str) -> Size:
        if symbol == "*":
            return self.frame.context
        if symbol == "**":
            return self.frame.context * Size(_DESCENDANTS)
        raise _UnboundedError

    def path(self, node: Path, steps: tuple[Node, ...]) -> Size:
        first = steps[0]
        plain = plain_path(node) if isinstance(first, Variable) else None
        if plain is not None and isinstance(first, Variable) and not self.is_bound(first.name):
            return self.again(plain)
        size = self.visit(first)
        for step in steps[1:]:
            size = self.step(step, size)
        return size

    def is_bound(self, name: str) -> bool:
        return any(name in frame.bound for frame in self.frames)

    def step(self, node: Node, before: Size) -> Size:
        match node:
            case Name():
                return before
            case Filter() | Sort() | Group() | Label():
                return self.around(node, self.step(node.operand, before))
            case _:
                return before * self.for_each(before, (node,))

    def for_each(
        self, elements: Size, nodes: tuple[Node, ...], params: tuple[str, ...] = ()
    ) -> Size:
        """Return the size of what `nodes` give together for one of the elements."""
        outer = self.frame
        one = Size(1)
        inner = _Frame(outer.total * elements, one, dict.fromkeys(params, one))
        if params:  # a function's body: its context is that of the place where it is written
            inner.context = outer.total * outer.context
        self.frames.append(inner)
        try:
            return self.sum(nodes)
        finally:
            self.frames.pop()

    def look_at(self, elements: Size, nodes: tuple[Node, ...]) -> None:
        """Terms that are evaluated for each element, of which nothing is kept."""
        context = self.frame.context
        self.frame.context = elements
        try:
            self.sum(nodes)
        finally:
            self.frame.context = context

    def around(self, node: Filter | Sort | Group | Label, size: Size) -> Size:
        match node:
            case Filter(predicate=None) | Label(operator="#"):
                if isinstance(node, Label):
                    self.frame.bound[node.name] = Size(1)
                return size
            case Filter(predicate=predicate) if predicate is not None:
                self.look_at(size, (predicate,))
                return size
            case Sort(terms=terms):
                self.look_at(size, terms)
                return size
            case Group(pairs=pairs):
                return size * self.for_each(size, tuple(part for pair in pairs for part in pair))
            case _:
                raise _UnboundedError

    def block(self, expressions: tuple[Node, ...]) -> Size:
        size = Size(1)
        for node in expressions:
            size = self.visit(node)
        return size

    def binary(self, operator: str, left: Node, right: Node) -> Size:
        if operator == "~>":
            return self.chain(left, right)
        if operator == "..":
            return _range_size(left, right)
        size = self.sum((left, right))
        return Size(1) if operator in _ARITHMETIC or operator in _YES_OR_NO else size

    def chain(self, left: Node, right: Node) -> Size:
        match right:
            case Call() if not right.partial:
                return self.call(right, [left])
            case Variable():
                return self.call(Call(right.start, right.end, right, ()), [left])
            case Transform(pattern=pattern, update=update, delete=delete):
                size = self.visit(left)
                self.look_at(size, (pattern,))
                parts = (update,) if delete is None else (update, delete)
                return size + size * self.for_each(size, parts)
            case _:
                raise _UnboundedError

    def call(self, node: Call, before: list[Node]) -> Size:
        name = node.function
        arguments = (*before, *node.arguments)
        if node.partial or name is None or self.is_bound(name):
            raise _UnboundedError
        match name:
            case "map" | "each":
                size = self.mapped(arguments)
            case "replace" | "join":
                size = self.multiplied(name, arguments)
            case "pad":
                size = self.padded(arguments)
            case "reduce":
                size = self.reduced(arguments)
            case "distinct":
                size = self.compared(arguments)
            case "formatInteger" | "fromMillis" | "now":
                size = self.formatted(name, arguments)
            case "string" if len(arguments) > 1:  # indented by how deep it is nested
                size = self.sum(arguments) * Size(1, 1)
            case _:
                size = self.plain_call(name, arguments)
        return size

    def plain_call(self, name: str, arguments: tuple[Node, ...]) -> Size:
        if name not in _SCALAR and name not in _LINEAR:
            raise _UnboundedError
        values = tuple(a for a in arguments if not (name in HIGHER_ORDER and _is_function(a)))
        size = self.sum(values) if values else self.frame.context
        for function in arguments:
            if name not in HIGHER_ORDER or not _is_function(function):
                continue
            if isinstance(function, Lambda) and name in _KEEP_OR_DROP:
                self.handed(function, size)
            elif not isinstance(function, Regex):
                raise _UnboundedError
        return Size(1) if name in _SCALAR else size * Size(_LINEAR[name])

    def handed(self, function: Lambda, size: Size) -> None:
        """A function that says yes or no to each element."""
        hidden = {p: self.frame.bound.get(p) for p in function.params}
        self.frame.bound.update(dict.fromkeys(function.params, size))
        self.visit(function.body)
        for param, former in hidden.items():
            if former is None:
                del self.frame.bound[param]
            else:
                self.frame.bound[param] = former

    def compared(self, arguments: tuple[Node, ...]) -> Size:
        """`$distinct` compares each element with all others, and never looks at the clock."""
        size = self.plain_call("distinct", arguments)
        self.comparisons.append(self.frame.total * size * size)
        return size

    def mapped(self, arguments: tuple[Node, ...]) -> Size:
        match arguments:
            case (Lambda() as function,):
                size = self.frame.context
            case (values, Lambda() as function):
                size = self.visit(values)
            case (values, Variable(name=name)) if name in {"string", *_SCALAR}:
                return self.visit(values) * Size(2)
            case _:
                raise _UnboundedError
        if len(function.params) >= _WITH_ARRAY:  # the third is the whole array, for each element
            raise _UnboundedError
        return size * self.for_each(size, (function.body,), function.params or ("",))

    def multiplied(self, name: str, arguments: tuple[Node, ...]) -> Size:
        """`$replace(text, pattern, by)` and `$join(texts, between)`."""
        last = 2 if name == "replace" else 1
        size = Size(1)
        for index, node in enumerate(arguments):
            if isinstance(node, Regex):
                continue
            size = size * self.visit(node) if index == last else size + self.visit(node)
        return size

    def formatted(self, name: str, arguments: tuple[Node, ...]) -> Size:
        """Pictures can ask for any width, and Roman numerals grow with the number."""
        pictures = arguments if name == "now" else arguments[1:]
        for picture in pictures:
            if not isinstance(picture, Literal) or not isinstance(picture.value, str):
                raise _UnboundedError
            if any(char in "Ii," for char in picture.value):
                raise _UnboundedError
        return self.sum(arguments)

    def padded(self, arguments: tuple[Node, ...]) -> Size:
        match arguments:
            case (values, Literal(value=int() as width), *rest) if abs(width) <= _MAX_RANGE:
                fill = self.sum(tuple(rest))
                return self.visit(values) + Size(abs(width)) * fill
            case _:
                raise _UnboundedError

    def reduced(self, arguments: tuple[Node, ...]) -> Size:
        """Only a sum, a comparison … is sure not to grow with each element."""
        match arguments:
            case (values, Lambda(body=Binary(operator=operator)) as function, *start) if (
                operator in _ARITHMETIC or operator in _YES_OR_NO
            ):
                size = self.visit(values)
                self.sum(tuple(start))
                self.handed(function, size)
                return Size(1)
            case _:
                raise _UnboundedError


def _range_size(first: Node, last: Node) -> Size:
    match (first, last):
        case (Literal(value=int() as low), Literal(value=int() as high)):
            if high - low < _MAX_RANGE:
                return Size(max(1, high - low + 1))
        case _:
            pass
    raise _UnboundedError
