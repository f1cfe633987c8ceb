"""Find every expression of a flow, once, for all checks that look at them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from cloudflow_dagster.compiler.graph import Graph, Vertex
from cloudflow_dagster.compiler.json_types import is_list, is_object, is_schema
from cloudflow_dagster.diagnostics.model import Location
from cloudflow_dagster.expressions.errors import ExpressionError
from cloudflow_dagster.expressions.template import (
    Expression,
    Template,
    has_expression,
    parse_template,
)

_Path = tuple[str | int, ...]


class Surroundings(Enum):
    """When an expression is evaluated, which says what it can read."""

    NODE = auto()
    """While the node runs."""
    UNTIL = auto()
    """After the node ran; `output` is there."""
    UNDO = auto()
    """After the run failed, in `compensate`; `output` is there."""
    START = auto()
    """When an event arrives: a trigger's `params`. There is no run yet."""
    WATCH = auto()
    """Before any event: how a trigger watches for them."""
    KEY = auto()
    """When a run is about to start: the key of `concurrency`."""


@dataclass(frozen=True, slots=True)
class Text:
    """A string with expressions in it.

    Attributes:
        vertex: The node it belongs to; None for the flow's own.
        at: Where it stands.
        path: Where it stands in the node's config; empty outside the config.
        text: As written.
        template: Its parts; None if it cannot be parsed.
        error: Why it cannot be parsed.
        surroundings: When it is evaluated.
        condition: Whether all that counts is whether it holds.
    """

    vertex: Vertex | None
    at: Location
    path: _Path
    text: str
    template: Template | None
    error: ExpressionError | None
    surroundings: Surroundings
    condition: bool = False

    @property
    def expressions(self) -> Iterator[Expression]:
        """The expressions in it."""
        if self.template is not None:
            for part in self.template.parts:
                if not isinstance(part, str):
                    yield part

    def place(self, offset: int) -> Location:
        """Return the place of a character in it."""
        return Location(self.at.file, self.at.pointer, self.at.node, offset)


def find_texts(graph: Graph) -> list[Text]:
    """Return the strings of a flow that hold expressions and may hold them.

    What is disabled is not there. Of a node whose type is unknown those that can be parsed are
    returned: the others may be fields in which `{{` means nothing.
    """
    found = [text for vertex in graph.configured() for text in _of_node(graph, vertex)]
    concurrency = graph.flow.concurrency
    if concurrency is not None and concurrency.key and has_expression(concurrency.key):
        at = graph.place("concurrency", "key")
        found.append(_text(None, at, (), concurrency.key, Surroundings.KEY))
    return found


def _of_node(graph: Graph, vertex: Vertex) -> Iterator[Text]:
    if vertex.node.disabled:
        return
    schema = vertex.type.config_schema if vertex.type is not None else None
    for path, string, marks in strings(vertex.node.config, schema):
        at = graph.at(vertex, "config", *path)
        text = _text(vertex, at, path, string, _surroundings(vertex, path), marks=marks)
        if vertex.type is not None or text.error is None:
            yield text
    region = None if vertex.undoes else vertex.node.region
    if region is not None and has_expression(region):
        yield _text(vertex, graph.at(vertex, "region"), (), region, _surroundings(vertex, ()))
    until = vertex.node.until
    if until is not None and has_expression(until.condition):
        at = graph.at(vertex, "until", "condition")
        yield _text(vertex, at, (), until.condition, Surroundings.UNTIL, marks={"x-lazy": ""})


def _surroundings(vertex: Vertex, path: _Path) -> Surroundings:
    if vertex.undoes:
        return Surroundings.UNDO
    if not vertex.trigger:
        return Surroundings.NODE
    return Surroundings.START if path[:1] == ("params",) else Surroundings.WATCH


def _text(
    vertex: Vertex | None,
    at: Location,
    path: _Path,
    string: str,
    surroundings: Surroundings,
    *,
    marks: Mapping[str, Any] | None = None,
) -> Text:
    template, error = None, None
    try:
        template = parse_template(string)
    except ExpressionError as wrong:
        error = wrong
    condition = bool(marks and "x-lazy" in marks)
    return Text(vertex, at, path, string, template, error, surroundings, condition)


def strings(
    config: Mapping[str, Any], schema: Mapping[str, Any] | None, *, plain: bool = False
) -> Iterator[tuple[_Path, str, Mapping[str, Any] | None]]:
    """Yield path, text and schema of each string with an expression, but for literal fields.

    Args:
        config: Of a node.
        schema: Of the config.
        plain: Yield the strings without an expression instead.
    """
    waiting: list[tuple[_Path, Any, Mapping[str, Any] | None]] = [((), config, schema)]
    while waiting:
        path, value, marks = waiting.pop()
        if marks is not None and marks.get("x-literal"):
            continue
        if isinstance(value, str):
            if has_expression(value) is not plain:
                yield path, value, marks
        elif is_object(value):
            waiting += [((*path, key), child, _of_key(marks, key)) for key, child in value.items()]
        elif is_list(value):
            items = _mapping(marks.get("items")) if marks else None
            waiting += [((*path, index), child, items) for index, child in enumerate(value)]


def _of_key(schema: Mapping[str, Any] | None, key: str) -> Mapping[str, Any] | None:
    if schema is None:
        return None
    properties: Mapping[str, Any] = schema.get("properties") or {}
    return _mapping(properties.get(key, schema.get("additionalProperties")))


def _mapping(schema: Any) -> Mapping[str, Any] | None:
    return schema if is_schema(schema) else None
