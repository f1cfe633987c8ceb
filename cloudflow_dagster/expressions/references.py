"""Finds what an expression reads: which nodes, params, fields and secrets, and unknown names.

JSONata resolves a bare name against the context. At the start of an expression the context is the
scope (`nodes`, `params` …); inside a predicate, a step in brackets, a sort or a group it is the
element at hand. So the analysis follows, beside each part of the expression, *where* the value it
works on comes from, as far as that is certain: a `Place`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from cloudflow_dagster.expressions.functions import ITEM_PARAMS, SIGNATURES, takes_context
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

ROOTS: Final = (
    "nodes",
    "params",
    "trigger",
    "run",
    "vars",
    "input",
    "item",
    "index",
    "loops",
    "output",
)
"""The names of a scope, both bare and as `$variables`."""

_FIELDS_OF_ROOT: Final = {
    "run": frozenset(["id", "started_at", "attempt", "flow"]),
    "trigger": frozenset(["type", "time", "payload"]),
}
_OWN_CHILDREN: Final = frozenset(["nodes", "params", "vars", "loops"])


@dataclass(frozen=True, slots=True)
class Read:
    """One value of the scope that an expression reads.

    Attributes:
        root: The name of the scope that it begins with.
        path: The literal steps after the root, as far as they are certain: names, and integers for
            `[0]`. Where a value on the way is an array, a name stands for the field of its
            elements. Empty: all of the root, or a part of it that is not known beforehand.
        offset: Where it begins, in characters of the config string.
        offsets: Where each step of the path stands.
        shadowed: It was written as a bare name where JSONata resolves it against an element, so
            that it finds nothing (unless the elements have a field of that name); `$name` is the
            way out.
        certain: For a shadowed read: nobody would mean a field of the element, because the steps
            that follow are those of the scope's name (`params.x`, `run.id`).
        element: For a shadowed read: where the elements come from, if that is known: their fields
            are what the name could mean instead.
        relative: It was written relative to an element (`Size` in `nodes.v.Volumes[Size > 3]`).
    """

    root: str
    path: tuple[str | int, ...]
    offset: int
    offsets: tuple[int, ...] = ()
    shadowed: bool = False
    certain: bool = True
    element: tuple[str | int, ...] | None = None
    relative: bool = False


@dataclass(slots=True, eq=False, repr=False)
class At:
    """A place in the scope. `root` is None for the scope itself, of which all roots are fields."""

    root: str | None
    path: tuple[str | int, ...] = ()
    offset: int = 0
    offsets: tuple[int, ...] = ()
    relative: bool = False
    shadowed_in: Place = None
    shadowed: bool = False

    def step(self, name: str | int, offset: int) -> At:
        """Return the place of a field of this value."""
        return At(
            self.root,
            (*self.path, name),
            self.offset,
            (*self.offsets, offset),
            self.relative,
            self.shadowed_in,
            self.shadowed,
        )


Place: TypeAlias = At | None
"""Where a value comes from; None: not known, or it was made by the expression."""


@dataclass(slots=True, eq=False, repr=False)
class References:
    """All that an expression refers to."""

    reads: list[Read] = field(default_factory=list[Read])
    unknown: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    secrets: list[tuple[str | None, int]] = field(default_factory=list[tuple[str | None, int]])
    variables: set[str] = field(default_factory=set[str])
    """Names of the scope that are read as `$variables`."""


def find_references(tree: Node) -> References:
    """Return what the expression reads, sorted by where it is written, without repetitions."""
    analysis = _Analysis()
    analysis.use(analysis.visit(tree, At(None), {}))
    found = analysis.found
    found.reads = sorted(
        set(found.reads), key=lambda r: (r.offset, len(r.path), ROOTS.index(r.root))
    )
    found.unknown = sorted(set(found.unknown), key=lambda u: u[1])
    found.secrets = sorted(set(found.secrets), key=lambda s: s[1])
    return found


def plain_path(tree: Node) -> tuple[str | int, ...] | None:
    """Return root and steps if the expression is nothing but one plain path, else None."""
    match tree:
        case Name(value=name) | Variable(name=name) if name in ROOTS:
            return (name,)
        case Path(steps=(first, *rest)):
            steps = plain_path(first)
            if steps is None and isinstance(first, Variable) and first.name in {"", "$"}:
                steps = ()
            for node in rest:
                step = _plain_step(node)
                if steps is None or step is None:
                    return None
                steps = (*steps, *step)
            return steps if steps and steps[0] in ROOTS else None
        case Filter(operand=operand, predicate=Literal(value=int() as index)) if _is_index(index):
            before = plain_path(operand)
            return None if before is None else (*before, index)
        case Block(expressions=(only,)):
            return plain_path(only)
        case _:
            return None


def direct_path(tree: Node) -> tuple[str | int, ...] | None:
    """Return root and steps if the expression is written as one path without any brackets."""
    match tree:
        case Path(steps=steps):
            direct = all(isinstance(_innermost(step), Name) for step in steps[1:])
            return plain_path(tree) if direct and direct_path(steps[0]) else None
        case _:
            return plain_path(tree) if isinstance(_innermost(tree), Name | Variable) else None


def _plain_step(node: Node) -> tuple[str | int, ...] | None:
    match node:
        case Name(value=name):
            return (name,)
        case Filter(operand=operand, predicate=Literal(value=int() as index)) if _is_index(index):
            before = _plain_step(operand)
            return None if before is None else (*before, index)
        case _:
            return None


def _is_index(value: int) -> bool:
    return not isinstance(value, bool)


class _Analysis:
    def __init__(self) -> None:
        self.found = References()

    def use(self, place: Place) -> None:
        """Record that the value at this place is read."""
        if place is None:
            return
        if place.root is None:
            self.found.reads.extend(Read(root, (), place.offset) for root in ROOTS)
            return
        read = Read(place.root, place.path, place.offset, place.offsets, relative=place.relative)
        if place.shadowed:
            around = place.shadowed_in
            read = replace(
                read,
                shadowed=True,
                certain=_is_own(place.root, place.path),
                element=None if around is None or not around.root else (around.root, *around.path),
            )
        self.found.reads.append(read)

    def use_all(self, nodes: Iterable[Node], context: Place, bound: dict[str, Place]) -> None:
        for node in nodes:
            self.use(self.visit(node, context, bound))

    def visit(  # noqa: C901, PLR0911, PLR0912 - one case for each kind of node
        self, node: Node, context: Place, bound: dict[str, Place], *, step: bool = False
    ) -> Place:
        """Record what the node reads on the way and return where its value comes from.

        Args:
            node: A part of the expression.
            context: What bare names are resolved against.
            bound: The local variables.
            step: The node follows a dot, so that a name in it is a field.
        """
        match node:
            case Name():
                return self.name(node, context, step=step)
            case Variable():
                return self.variable(node, context, bound)
            case Path(steps=steps):
                return self.path(steps, context, bound)
            case Filter() | Sort() | Group() | Label():
                return self.around(node, context, bound, step=step)
            case Block(expressions=expressions):
                return self.block(expressions, context, dict(bound))
            case Bind(name=name, value=value):
                if isinstance(value, Lambda):
                    bound[name] = None
                bound[name] = self.visit(value, context, bound)
                self.use(bound[name])
                return bound[name]
            case Call():
                return self.call(node, context, bound, None)
            case Binary(operator="~>", left=left, right=right):
                return self.chain(left, right, context, bound)
            case Lambda():
                self.function(node, context, bound, {})
            case Transform():
                self.transform(node, None, bound)
            case Symbol(start=start):
                self.use(_seen_from(context, start))
            case Array(items=parts):
                self.use_all(parts, context, bound)
            case Object(pairs=pairs):
                self.use_all((part for pair in pairs for part in pair), context, bound)
            case Binary(left=left, right=right):
                self.use_all((left, right), context, bound)
            case Negate(operand=operand):
                self.use(self.visit(operand, context, bound))
            case Condition(condition=condition, then=then, otherwise=otherwise):
                parts = (condition, then) if otherwise is None else (condition, then, otherwise)
                self.use_all(parts, context, bound)
            case Literal() | Regex():
                pass
        return None

    def name(self, node: Name, context: Place, *, step: bool) -> Place:
        name, offset = node.value, node.start
        if context is not None and context.root is None:
            if name in ROOTS:
                return At(name, offset=context.offset if step else offset)
            self.found.unknown.append((name, offset))
            return None
        if not step and name in ROOTS:
            return At(name, offset=offset, shadowed_in=context, shadowed=True)
        if context is None or context.shadowed:
            return context.step(name, offset) if step and context is not None else None
        if step:
            return context.step(name, offset)
        return replace(context.step(name, offset), offset=offset, relative=True)

    def variable(self, node: Variable, context: Place, bound: dict[str, Place]) -> Place:
        match node.name:
            case "":
                return _seen_from(context, node.start)
            case "$":
                return At(None, offset=node.start)
            case name if name in bound:
                place = bound[name]
                return None if place is None else replace(place, offset=node.start)
            case name if name in ROOTS:
                self.found.variables.add(name)
                return At(name, offset=node.start)
            case "secret":
                self.found.secrets.append((None, node.start))
            case name if name not in SIGNATURES:
                self.found.unknown.append((f"${name}", node.start))
            case _:
                pass
        return None

    def path(self, steps: tuple[Node, ...], context: Place, bound: dict[str, Place]) -> Place:
        bound = dict(bound)
        place = self.visit(steps[0], context, bound)
        for node in steps[1:]:
            if not isinstance(_innermost(node), Name):
                self.use(place)
            place = self.visit(node, place, bound, step=True)
        return place

    def around(  # noqa: PLR0911 - one case for each kind of node
        self,
        node: Filter | Sort | Group | Label,
        context: Place,
        bound: dict[str, Place],
        *,
        step: bool,
    ) -> Place:
        """Predicates, sorts and groups: their parts see the elements of their operand."""
        place = self.visit(node.operand, context, bound, step=step)
        match node:
            case Filter(predicate=None):
                return place
            case Filter(predicate=Literal(value=int() as index) as at) if _is_index(index):
                return None if place is None else place.step(index, at.start)
            case Filter(predicate=predicate) if predicate is not None:
                self.use(place)
                self.use(self.visit(predicate, place, bound))
                return place
            case Sort(terms=terms):
                self.use(place)
                self.use_all(terms, place, bound)
                return place
            case Group(pairs=pairs):
                self.use(place)
                self.use_all((part for pair in pairs for part in pair), place, bound)
                return None
            case Label(operator="#", name=name):
                bound[name] = None
                return place
            case Label(name=name):
                self.use(place)
                bound[name] = place
                return None
            case _:
                return place

    def block(
        self, expressions: tuple[Node, ...], context: Place, bound: dict[str, Place]
    ) -> Place:
        place: Place = None
        for index, node in enumerate(expressions):
            place = self.visit(node, context, bound)
            if index < len(expressions) - 1:
                self.use(place)
        return place

    def chain(self, left: Node, right: Node, context: Place, bound: dict[str, Place]) -> Place:
        place = self.visit(left, context, bound)
        match right:
            case Call() if not right.partial:
                self.use(place)
                return self.call(right, context, bound, (place,))
            case Transform():
                self.use(place)
                self.transform(right, place, bound)
                return None
            case _:
                self.use(place)
                self.use(self.visit(right, context, bound))
                return None

    def call(
        self, node: Call, context: Place, bound: dict[str, Place], before: tuple[Place] | None
    ) -> Place:
        """A call; `before` holds what `~>` puts in front of its arguments."""
        name = node.function
        if name == "secret" and name not in bound:
            self.secret(node, context, bound, chained=before is not None)
            return None
        self.use(self.visit(node.procedure, context, bound))
        builtin = name if name is not None and name not in bound and name in SIGNATURES else None
        places: list[Place] = [] if before is None else list(before)
        for argument in node.arguments:
            if isinstance(argument, Symbol) and argument.value == "?":
                places.append(None)
            elif isinstance(argument, Lambda) and builtin in ITEM_PARAMS:
                item = places[0] if places else None
                params = [p for i, p in enumerate(argument.params) if i in ITEM_PARAMS[builtin]]
                self.function(argument, context, bound, dict.fromkeys(params, item))
                places.append(None)
            else:
                places.append(self.visit(argument, context, bound))
        if builtin == "lookup" and len(node.arguments) and places[0] is not None:
            match node.arguments[-1]:
                case Literal(value=str() as key) as at:
                    return self.name(Name(at.start, at.end, key), places[0], step=True)
                case _:
                    pass
        for place in places:
            self.use(place)
        if builtin is not None and not node.partial and takes_context(builtin, len(places)):
            self.use(_seen_from(context, node.start))
        return None

    def secret(self, node: Call, context: Place, bound: dict[str, Place], *, chained: bool) -> None:
        match node.arguments:
            case (Literal(value=str() as name),) if not chained:
                self.found.secrets.append((name, node.start))
            case arguments:
                self.found.secrets.append((None, node.start))
                self.use_all([a for a in arguments if not isinstance(a, Symbol)], context, bound)

    def function(
        self,
        node: Lambda,
        context: Place,
        bound: dict[str, Place],
        known: dict[str, Place],
    ) -> None:
        """A function's body sees the context of the place where the function is written."""
        inside = {**bound, **dict.fromkeys(node.params, None), **known}
        self.use(self.visit(node.body, context, inside))

    def transform(self, node: Transform, context: Place, bound: dict[str, Place]) -> None:
        place = self.visit(node.pattern, context, bound)
        self.use(place)
        parts = (node.update,) if node.delete is None else (node.update, node.delete)
        self.use_all(parts, place, bound)


def _seen_from(place: Place, offset: int) -> Place:
    """The scope itself is read where something stands for it."""
    return place if place is None or place.root is not None else replace(place, offset=offset)


def _innermost(node: Node) -> Node:
    while isinstance(node, (Filter, Sort, Group, Label)):
        node = node.operand
    return node


def _is_own(root: str, path: tuple[str | int, ...]) -> bool:
    """Whether the steps after a name are those of the scope's name, not of some field."""
    if not path:
        return False
    return root in _OWN_CHILDREN or path[0] in _FIELDS_OF_ROOT.get(root, frozenset())
