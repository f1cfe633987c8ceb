"""From a step's config as written to the config that its handler gets.

What can be known of a config without running anything is found once for each step of a run; then
binding one item of a million costs what its expressions cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from cloudflow_dagster.expressions import (
    ABSENT,
    Absent,
    Expression,
    ExpressionError,
    Template,
    evaluate,
    evaluate_condition,
    has_expression,
    parse_template,
    render_text,
    truthy,
)
from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.spec import NodeType
from cloudflow_dagster.plan import Step
from cloudflow_dagster.runtime.fit import Path, find_misfits, named
from cloudflow_dagster.runtime.schemas import Schema, wrapped

Scope = Mapping[str, Any]
Secret = Callable[[str], str]
Hide = Callable[[str], None]
_LONG_ENOUGH = 8
"""Characters from which what was made of a secret is hidden; shorter ones are common words."""
_NO_FIELDS: frozenset[str] = frozenset()


@dataclass(slots=True)
class Surroundings:
    """What one binding works with.

    Attributes:
        scope: The names that expressions see.
        secret: Fetches a secret.
        hide: Is told what was made of secrets: a part of one, or one in upper case, say.
        absent: The texts of the fields that turned out to be absent.
    """

    scope: Scope
    secret: Secret
    hide: Hide
    absent: dict[Path, str] = field(default_factory=dict[Path, str])


@dataclass(frozen=True, slots=True)
class _Constant:
    value: Json

    def bind(self, around: Surroundings) -> Json:
        del around
        return fresh(self.value)

    def templates(self) -> Iterator[Template]:
        yield from ()


@dataclass(frozen=True, slots=True)
class _Text:
    template: Template
    schema: Schema
    path: Path

    def bind(self, around: Surroundings) -> Json | Absent:
        with_place = _Placed(self.path, self.template.text)
        whole = self.template.whole
        for expression in self.template.expressions:
            if expression.secrets and expression.only_secret is None:
                self._hide_result(expression, around, with_place)
        if whole is None:
            return with_place(lambda: render_text(self.template, around.scope, around.secret))
        value = with_place(lambda: evaluate(whole, around.scope, around.secret))
        if value is ABSENT:
            around.absent[self.path] = self.template.text
            return ABSENT
        return wrapped(fresh(value), self.schema)

    @staticmethod
    def _hide_result(expression: Expression, around: Surroundings, with_place: _Placed) -> None:
        """Hide what an expression makes of secrets, except for words that stand in it anyway."""
        made = with_place(lambda: evaluate(expression, around.scope, around.secret))
        for text in _texts(made):
            if len(text) >= _LONG_ENOUGH and text not in expression.source:
                around.hide(text)

    def templates(self) -> Iterator[Template]:
        yield self.template


@dataclass(frozen=True, slots=True)
class _Condition:
    """A condition: whether it holds is found out when the handler asks."""

    value: Json
    path: Path

    def bind(self, around: Surroundings) -> Callable[[], bool]:
        text = self.value if isinstance(self.value, str) else None
        with_place = _Placed(self.path, text or "")
        return lambda: with_place(
            lambda: evaluate_condition(self.value, around.scope, around.secret)
        )

    def templates(self) -> Iterator[Template]:
        if isinstance(self.value, str) and has_expression(self.value):
            yield parse_template(self.value)


@dataclass(frozen=True, slots=True)
class _Object:
    fields: tuple[tuple[str, _Part], ...]

    def bind(self, around: Surroundings) -> Json:
        bound = ((name, part.bind(around)) for name, part in self.fields)
        return {name: value for name, value in bound if value is not ABSENT}

    def templates(self) -> Iterator[Template]:
        for _, part in self.fields:
            yield from part.templates()


@dataclass(frozen=True, slots=True)
class _Array:
    items: tuple[_Part, ...]

    def bind(self, around: Surroundings) -> Json:
        bound = (part.bind(around) for part in self.items)
        return [value for value in bound if value is not ABSENT]

    def templates(self) -> Iterator[Template]:
        for part in self.items:
            yield from part.templates()


_Part = _Constant | _Text | _Condition | _Object | _Array


@dataclass(frozen=True, slots=True)
class _Placed:
    """Says of an expression's error which field and which text it is in."""

    path: Path
    text: str

    def __call__(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except ExpressionError as error:
            # Not chained: the engine's own error could show values.
            raise NodeError(
                "ExpressionError",
                f"{named(self.path)}: {error.message} The text is `{_shortened(self.text)}`.",
                transient=False,
            ) from None


def _part(value: Json, schema: Schema, path: Path) -> _Part:
    """Return what a value of the config as written has to become."""
    if schema.marked("x-lazy") == "condition":
        return _Condition(value, path)
    match value:
        case str() if has_expression(value) and not schema.marked("x-literal"):
            return _Text(parse_template(value), schema, path)
        case dict():
            return _object(cast("dict[str, Json]", value), schema, path)
        case list():
            return _array(cast("list[Json]", value), schema, path)
        case _:
            return _Constant(value)


def _object(value: dict[str, Json], schema: Schema, path: Path) -> _Part:
    fields = {
        name: _part(field, schema.field(name), (*path, name)) for name, field in value.items()
    }
    constant = all(isinstance(part, _Constant) for part in fields.values())
    return _Constant(value) if constant else _Object(tuple(fields.items()))


def _array(value: list[Json], schema: Schema, path: Path) -> _Part:
    items = [_part(item, schema.item(), (*path, n)) for n, item in enumerate(value)]
    constant = all(isinstance(part, _Constant) for part in items)
    return _Constant(value) if constant else _Array(tuple(items))


class Binding:
    """A step's config, made ready to be evaluated again and again.

    Attributes:
        wanted: What its expressions read of which nodes: fields, or None for all.
    """

    def __init__(self, step: Step, node_type: NodeType) -> None:
        """Read the config.

        Args:
            step: The step.
            node_type: Its type.

        Raises:
            NodeError: An expression cannot be read.
        """
        self._schema = node_type.config_schema
        self._root = Schema.of(self._schema, self._schema)
        self._secrets = node_type.secrets
        self._values = node_type.provider is None
        try:
            self._config = _object(step.config, self._root, ())
            self._region = _part(step.region, Schema.of(None, {}), ("region",))
            until = _part(step.until.condition if step.until else "", Schema.of(None, {}), ())
            templates = [*self._config.templates(), *self._region.templates(), *until.templates()]
        except ExpressionError as error:
            raise NodeError("ExpressionError", error.message, transient=False) from None
        self.wanted = _wanted(e for template in templates for e in template.expressions)
        self._dynamic = not isinstance(self._config, _Constant)
        self._conditions = node_type.provider is None and _mentions_conditions(self._schema)

    def bind(
        self, scope: Scope, secret: Secret, fed: Mapping[str, Json], hide: Hide
    ) -> dict[str, Any]:
        """Return the config for one attempt.

        Args:
            scope: The names that expressions see.
            secret: Fetches a secret.
            fed: The fields that edges feed.
            hide: Is told what the expressions made of secrets.

        Raises:
            NodeError: An expression fails, or what it gives does not fit.
        """
        around = Surroundings(scope, secret if self._secrets else _no_secret, hide)
        config = cast("dict[str, Any]", self._config.bind(around))
        for name, value in fed.items():
            config[name] = wrapped(fresh(value), self._root.field(name))
        if self._conditions:
            config = cast("dict[str, Any]", _decided(config, self._root))
        if self._dynamic or fed:
            for name in self._schema.get("required") or ():
                if name not in config and self._root.field(name).accepts(None):
                    config[name] = None
            self._check(config, around.absent)
        return config

    def region(self, scope: Scope, secret: Secret, hide: Hide) -> str | None:
        """Return the node's region.

        Raises:
            NodeError: An expression fails, or does not give the name of a region.
        """
        region = self._region.bind(Surroundings(scope, secret, hide))
        if region is None or (isinstance(region, str) and region):
            return region
        # The credential's own region would be another place than the one that was meant.
        raise NodeError("InvalidConfig", "`region` must be the name of a region.", transient=False)

    def _check(self, config: dict[str, Any], absent: Mapping[Path, str]) -> None:
        problems: list[str] = []
        for path, sentence in find_misfits(config, self._schema, values=self._values):
            if path in absent:
                text = _shortened(absent[path])
                sentence = f"{named(path)} is required, but `{text}` gave nothing."  # noqa: PLW2901
            problems.append(sentence)
        if problems:
            raise NodeError("InvalidConfig", " ".join(problems), transient=False)


def _mentions_conditions(schema: object) -> bool:
    match schema:
        case Mapping():
            found = cast("Mapping[str, object]", schema)
            return "x-lazy" in found or any(map(_mentions_conditions, found.values()))
        case list():
            return any(map(_mentions_conditions, cast("list[object]", schema)))
        case _:
            return False


def _decided(value: Any, schema: Schema) -> Any:
    """Make a condition of what an edge or an expression gave where one is asked for.

    Such a value is data: it goes through `$boolean`, and is never an expression.
    """
    if callable(value):
        return value
    if schema.marked("x-lazy") == "condition":
        holds = truthy(value)
        return lambda: holds
    match value:
        case dict():
            fields = cast("dict[str, Any]", value)
            return {name: _decided(field, schema.field(name)) for name, field in fields.items()}
        case list():
            item = schema.item()
            return [_decided(entry, item) for entry in cast("list[Any]", value)]
        case _:
            return value


def _wanted(expressions: Iterator[Expression]) -> dict[str, frozenset[str] | None]:
    """Return which fields of which nodes are read; None for a node of which anything may be."""
    wanted: dict[str, frozenset[str] | None] = {}
    for read in (read for expression in expressions for read in expression.reads):
        match read.root, read.path:
            case "nodes", ():
                return {}
            case "nodes", (str() as node, str() as field, *_) if (
                wanted.get(node, _NO_FIELDS) is not None
            ):
                wanted[node] = (wanted.get(node) or _NO_FIELDS) | {field}
            case "nodes", (str() as node, *_):
                wanted[node] = None
            case _:
                pass
    return wanted


def _texts(value: Json | Absent) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for each in cast("dict[str, Json]", value).values():
                yield from _texts(each)
        case list():
            for each in cast("list[Json]", value):
                yield from _texts(each)
        case _:
            pass


def fresh(value: Json) -> Json:
    """Return a copy, so that nobody changes what others read."""
    match value:
        case dict():
            return {name: fresh(field) for name, field in cast("dict[str, Json]", value).items()}
        case list():
            return [fresh(item) for item in cast("list[Json]", value)]
        case _:
            return value


def _no_secret(name: str) -> str:
    raise NodeError(
        "SecretNotAllowed",
        f"`$secret('{name}')` is not allowed in a node of this type, whose output would carry it.",
        transient=False,
    )


def _shortened(text: str, longest: int = 200) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
