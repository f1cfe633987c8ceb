"""Compare each node's config with the schema of its node type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from cloudflow_dagster.compiler.fitting import Misfit, Problem, find_misfits
from cloudflow_dagster.compiler.graph import Graph, Vertex
from cloudflow_dagster.compiler.json_types import type_of, types_of, worded
from cloudflow_dagster.compiler.knowledge import Knowledge, described
from cloudflow_dagster.compiler.shapes import Lacking, Shape, can_fit
from cloudflow_dagster.compiler.texts import Text
from cloudflow_dagster.diagnostics.model import Location
from cloudflow_dagster.expressions.syntax import Literal

_Path = tuple[str | int, ...]
_TEXT = Shape({"type": "string"}, {})


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One thing that does not fit in a node's config."""

    vertex: Vertex
    at: Location
    problem: Problem


@dataclass(frozen=True, slots=True)
class Holes:
    """Judges the texts of a config whose value is only known when the node runs."""

    texts: Mapping[tuple[str, bool, _Path], Text]
    knowledge: Knowledge
    vertex: Vertex
    prefix: _Path = ()

    def __call__(
        self, string: str, schema: Mapping[str, Any], root: Mapping[str, Any], path: _Path
    ) -> Problem | None:
        """Return why no value of a text can fit, if that is certain."""
        text = self.texts.get((self.vertex.id, self.vertex.undoes, (*self.prefix, *path)))
        if text is None or text.template is None:
            return None
        whole = text.template.whole
        if whole is None:
            shape, what = _TEXT, "text with values put in is text"
        elif whole.path:
            name, *steps = whole.path
            found = self.knowledge.of_read(text, str(name), steps)
            if found is None or isinstance(found, Lacking):
                return None
            shape, what = found, f"`{described(str(name), steps)}` is {worded(found.types)}"
        elif isinstance(whole.tree, Literal) and whole.tree.value is not None:
            type_ = type_of(whole.tree.value)
            shape, what = (
                Shape({"type": type_}, {}),
                f"`{whole.source.strip()}` is {worded((type_,))}",
            )
        else:
            return None
        if can_fit(shape, schema, root):
            return None
        return _misfit(path, schema, what, offset=whole.offset if whole else 0)


def _misfit(path: _Path, schema: Mapping[str, Any], what: str, offset: int | None) -> Problem:
    wanted = worded(types_of(schema)) or "something else"
    field = ".".join(str(part) for part in path) or "this"
    message = f"`{field}` must be {wanted}, but {what}."
    return Problem(Misfit.VALUE, path, message, offset=offset, expression=True)


def by_place(texts: Sequence[Text]) -> dict[tuple[str, bool, _Path], Text]:
    """Return the texts of configs by node, whether they are of what undoes it, and path."""
    return {
        (text.vertex.id, text.vertex.undoes, text.path): text
        for text in texts
        if text.vertex and text.path
    }


def find_config_problems(
    graph: Graph, texts: Sequence[Text], knowledge: Knowledge
) -> Iterator[ConfigProblem]:
    """Yield what does not fit. A field that an edge feeds counts as given."""
    placed = by_place(texts)
    for vertex in graph.configured():
        if vertex.type is None or vertex.node.disabled or not vertex.type.config_schema:
            continue
        fed = set[str]() if vertex.undoes else set(_fed(graph, vertex))
        holes = Holes(placed, knowledge, vertex)
        for problem in find_misfits(vertex.node.config, vertex.type.config_schema, holes):
            if problem.misfit is Misfit.MISSING and not problem.path and problem.name in fed:
                continue
            yield ConfigProblem(vertex, located(graph, vertex, problem), problem)


def _fed(graph: Graph, vertex: Vertex) -> Iterator[str]:
    """Yield the fields that edges feed, and those that misspelt edges were meant to feed."""
    for link in graph.into[vertex.id]:
        if link.field is not None:
            yield link.field
        elif link.into is None and link.edge.target_port and vertex.type is not None:
            fields = list(vertex.type.config_schema.get("properties", ()))
            yield from get_close_matches(link.edge.target_port, fields, n=1)


def located(graph: Graph, vertex: Vertex, problem: Problem, *before: str) -> Location:
    """Return where in the file a problem of a node's config is."""
    given = "config" in vertex.node.model_fields_set
    at = graph.at(vertex, *(("config", *before, *problem.path) if given else ()))
    return Location(
        at.file,
        at.pointer,
        at.node,
        offset=problem.offset,
        on_key=problem.misfit is Misfit.UNKNOWN,
    )
