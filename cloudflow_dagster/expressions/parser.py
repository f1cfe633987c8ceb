"""Reads the tokens of a JSONata expression into a syntax tree.

A Pratt parser with the binding powers of the reference implementation
(https://github.com/jsonata-js/jsonata, `src/parser.js`). The engine has a parser of its own that it
does not show; this one is for what is checked before anything runs: which names an expression
reads, where exactly it is wrong, and how much it may cost.
"""

from __future__ import annotations

from typing import NoReturn

from cloudflow_dagster.expressions.errors import ExpressionError
from cloudflow_dagster.expressions.lexer import Token
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
)

MAX_DEPTH = 100
"""How deep an expression may be nested; a chain of operators counts each operand."""

_POWER = {
    ".": 75, "[": 80, "{": 70, "(": 80, "@": 80, "#": 80, "?": 20, "+": 50, "-": 50, "*": 60,
    "/": 60, "%": 60, "=": 40, "<": 40, ">": 40, "^": 40, ":=": 10, "!=": 40, "<=": 40,
    ">=": 40, "~>": 40, "?:": 40, "??": 40, "and": 30, "or": 25, "in": 40, "&": 50,
}  # fmt: skip
_SHOWN = 20
_LOOSE = frozenset(["??", "?:"])
"""Operators whose right side takes all that follows."""


def parse_tokens(tokens: list[Token]) -> Node:
    """Return the syntax tree of one expression.

    Args:
        tokens: As `read_tokens` gives them, the last one of kind `end`.

    Raises:
        ExpressionError: They make no expression.
    """
    return _Parser(tokens).whole()


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.index = 0
        self.depth = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.index]

    @property
    def end(self) -> int:
        """Where the token before this one ends."""
        return self.tokens[self.index - 1].end

    def advance(self) -> Token:
        token = self.token
        self.index = min(self.index + 1, len(self.tokens) - 1)
        return token

    def expect(self, operator: str) -> None:
        if self.token.operator != operator:
            self.fail(f"Expected `{operator}`")
        self.advance()

    def accept(self, operator: str) -> bool:
        if self.token.operator != operator:
            return False
        self.advance()
        return True

    def fail(self, message: str) -> NoReturn:
        token = self.token
        found = "the end of the expression" if token.kind == "end" else f"`{_shown(token)}`"
        raise ExpressionError(f"{message}, found {found}.", token.start, "Syntax")

    def whole(self) -> Node:
        if len(self.tokens) == 1:
            raise ExpressionError("There is no expression here.", self.token.start, "Syntax")
        node = self.expression(0)
        if self.index != len(self.tokens) - 1:
            self.fail("Expected an operator or the end of the expression")
        return node

    def expression(self, power: int) -> Node:
        self.deeper()
        entered = self.depth
        node = self.operand()
        while self.token.operator and power < _POWER.get(self.token.operator, 0):
            self.deeper()
            node = self.infix(node)
        self.depth = entered - 1
        return node

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ExpressionError(
                f"This expression is nested deeper than {MAX_DEPTH} levels.",
                self.token.start,
                "TooDeep",
            )

    # ── operands ──

    def operand(self) -> Node:
        token = self.token
        if token.kind == "operator":
            return self.prefix(token)
        if token.kind == "end":
            self.fail("Expected a value")
        self.advance()
        match token.kind:
            case "name":
                return Name(token.start, token.end, str(token.value))
            case "variable":
                return Variable(token.start, token.end, str(token.value))
            case "regex":
                return Regex(token.start, token.end, str(token.value), token.flags)
            case _:
                return Literal(token.start, token.end, token.value)

    def prefix(self, token: Token) -> Node:  # noqa: PLR0911 - one line for each operator
        operator = token.operator
        if operator not in {"*", "**", "%", "and", "or", "in", "-", "(", "[", "{", "|"}:
            self.fail("Expected a value")
        self.advance()
        match operator:
            case "*" | "**" | "%":
                return Symbol(token.start, token.end, operator)
            case "and" | "or" | "in":
                return Name(token.start, token.end, operator)
            case "-":
                return self.negate(token.start)
            case "(":
                return self.block(token.start)
            case "[":
                return self.array(token.start)
            case "{":
                pairs = self.pairs()
                return Object(token.start, self.end, pairs)
            case _:
                return self.transform(token.start)

    def negate(self, start: int) -> Node:
        match self.expression(70):
            case Literal(value=int() | float() as number) if not isinstance(number, bool):
                return Literal(start, self.end, -number)
            case operand:
                return Negate(start, self.end, operand)

    def block(self, start: int) -> Node:
        expressions: list[Node] = []
        while self.token.operator != ")":
            expressions.append(self.expression(0))
            if not self.accept(";"):
                break
        self.expect(")")
        return Block(start, self.end, tuple(expressions))

    def array(self, start: int) -> Node:
        items: list[Node] = []
        if self.token.operator != "]":
            while True:
                item = self.expression(0)
                if self.accept(".."):
                    last = self.expression(0)
                    item = Binary(item.start, last.end, "..", item, last)
                items.append(item)
                if not self.accept(","):
                    break
        self.expect("]")
        return Array(start, self.end, tuple(items))

    def pairs(self) -> tuple[tuple[Node, Node], ...]:
        pairs: list[tuple[Node, Node]] = []
        if self.token.operator != "}":
            while True:
                key = self.expression(0)
                self.expect(":")
                pairs.append((key, self.expression(0)))
                if not self.accept(","):
                    break
        self.expect("}")
        return tuple(pairs)

    def transform(self, start: int) -> Node:
        pattern = self.expression(0)
        self.expect("|")
        update = self.expression(0)
        delete = self.expression(0) if self.accept(",") else None
        self.expect("|")
        return Transform(start, self.end, pattern, update, delete)

    # ── what may follow an operand ──

    def infix(self, left: Node) -> Node:  # noqa: C901, PLR0911 - one case for each operator
        token = self.advance()
        operator = token.operator
        match operator:
            case ".":
                return self.step(left)
            case "[":
                return self.filter(left)
            case "{":
                pairs = self.pairs()
                return Group(left.start, self.end, left, pairs)
            case "(":
                return self.call(left)
            case "^":
                return self.sort(left)
            case "@" | "#":
                name = self.expression(_POWER[operator])
                if not isinstance(name, Variable):
                    self.wrong(name, f"After `{operator}` comes a variable such as `$i`.")
                return Label(left.start, self.end, left, operator, name.name)
            case ":=":
                if not isinstance(left, Variable) or left.name in {"", "$"}:
                    self.wrong(left, "To the left of `:=` stands a variable such as `$total`.")
                value = self.expression(_POWER[operator] - 1)
                return Bind(left.start, self.end, left.name, value)
            case "?":
                return self.condition(left)
            case _:
                right = self.expression(0 if operator in _LOOSE else _POWER[operator])
                return Binary(left.start, self.end, operator, left, right)

    def wrong(self, node: Node, message: str) -> NoReturn:
        raise ExpressionError(message, node.start, "Syntax")

    def step(self, left: Node) -> Node:
        right = _as_step(self.expression(_POWER["."]))
        before = left.steps if isinstance(left, Path) else (_as_step(left),)
        return Path(left.start, self.end, (*before, right))

    def filter(self, left: Node) -> Node:
        if self.accept("]"):
            return Filter(left.start, self.end, left, None)
        predicate = self.expression(0)
        self.expect("]")
        return Filter(left.start, self.end, left, predicate)

    def sort(self, left: Node) -> Node:
        self.expect("(")
        terms: list[Node] = []
        while True:
            if not self.accept("<"):
                self.accept(">")
            terms.append(self.expression(0))
            if not self.accept(","):
                break
        self.expect(")")
        return Sort(left.start, self.end, left, tuple(terms))

    def condition(self, left: Node) -> Node:
        then = self.expression(0)
        otherwise = self.expression(0) if self.accept(":") else None
        return Condition(left.start, self.end, left, then, otherwise)

    def call(self, procedure: Node) -> Node:
        arguments: list[Node] = []
        if self.token.operator != ")":
            while True:
                if self.token.operator == "?":
                    token = self.advance()
                    arguments.append(Symbol(token.start, token.end, "?"))
                else:
                    arguments.append(self.expression(0))
                if not self.accept(","):
                    break
        self.expect(")")
        if isinstance(procedure, Name) and procedure.value in {"function", "λ"}:
            return self.function(procedure, arguments)
        return Call(procedure.start, self.end, procedure, tuple(arguments))

    def function(self, keyword: Node, arguments: list[Node]) -> Node:
        params: list[str] = []
        for argument in arguments:
            if not isinstance(argument, Variable):
                self.wrong(argument, "A function's parameter is a variable such as `$x`.")
            params.append(argument.name)
        if self.accept("<"):
            self.signature()
        self.expect("{")
        body = self.expression(0)
        self.expect("}")
        return Lambda(keyword.start, self.end, tuple(params), body)

    def signature(self) -> None:
        depth = 1
        while depth and self.token.kind != "end" and self.token.operator != "{":
            operator = self.advance().operator
            depth += (operator == "<") - (operator == ">")
        if depth:
            self.fail("Expected `>`")


def _as_step(node: Node) -> Node:
    """A string that is a step of a path is the name of a field."""
    match node:
        case Literal(value=str() as name):
            return Name(node.start, node.end, name)
        case Filter(operand=operand, predicate=predicate):
            return Filter(node.start, node.end, _as_step(operand), predicate)
        case Label(operand=operand, operator=operator, name=name):
            return Label(node.start, node.end, _as_step(operand), operator, name)
        case _:
            return node


def _shown(token: Token) -> str:
    text = str(token.value)
    text = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    if token.kind == "string":
        return f'"{text}"'
    return f"${text}" if token.kind == "variable" else text
