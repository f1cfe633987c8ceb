"""What the names of expressions stand for in one flow, as far as it is known before a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from cloudflow_dagster.compiler.graph import Graph, Link, Vertex
from cloudflow_dagster.compiler.json_types import is_schema
from cloudflow_dagster.compiler.shapes import (
    Lacking,
    Shape,
    follow,
    follow_schema,
    lacking,
    shape_of,
)
from cloudflow_dagster.compiler.texts import Text
from cloudflow_dagster.diagnostics.wording import shortened
from cloudflow_dagster.expressions.errors import ExpressionError
from cloudflow_dagster.expressions.template import has_expression, parse_template
from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.spec import Carries

_Path = Sequence[str | int]
_Key = tuple[str | None, str, tuple[str | int, ...]]

RUN: Mapping[str, Json] = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "started_at": {"type": "string"},
        "attempt": {"type": "integer"},
        "flow": {"type": "string"},
    },
}
EVENT: Mapping[str, Json] = {
    "type": "object",
    "properties": {"type": {"type": "string"}, "time": {"type": "string"}, "payload": {}},
}
_LOOP: Mapping[str, Json] = {
    "type": "object",
    "properties": {"item": {}, "index": {"type": "integer"}},
}
_FIXED: Mapping[str, Mapping[str, Json]] = {
    "trigger": EVENT,
    "run": RUN,
    "index": {"type": "integer"},
}


@dataclass(slots=True)
class Knowledge:
    """The shapes of a flow's values.

    Attributes:
        graph: The flow.
        variables: The project's variables, or None if there is no project to ask.
    """

    graph: Graph
    variables: Mapping[str, Json] | None = None
    _known: dict[_Key, Shape | Lacking | None] = field(
        default_factory=dict["_Key", "Shape | Lacking | None"]
    )
    _items: dict[str, Shape | None] = field(default_factory=dict[str, "Shape | None"])

    def of_read(self, text: Text, root: str, path: _Path) -> Shape | Lacking | None:
        """Return what a name and the path after it stand for, in a text of the flow.

        Names that mean nothing there, such as `item` outside a loop, are not known: other checks
        report them.
        """
        key = (text.vertex.id if text.vertex else None, root, tuple(path))
        if key not in self._known:
            self._known[key] = self._find(text.vertex, root, path)
        return self._known[key]

    def _find(self, vertex: Vertex | None, root: str, path: _Path) -> Shape | Lacking | None:
        match root, list(path):
            case "nodes", [str(id), *rest] if id in self.graph.vertices:
                return _deeper(self.of_node(self.graph.vertices[id], rest), 1)
            case "loops", [str(id), *rest]:
                return _deeper(self._of_loop(id, rest), 1)
            case "vars", rest:
                return follow_value(self.variables, rest)
            case _:
                return follow(self._of_root(vertex, root), path)

    def _of_root(self, vertex: Vertex | None, root: str) -> Shape | None:
        match root:
            case "params":
                return shape_of(self.graph.flow.params)
            case "item" if vertex and self.graph.around[vertex.id]:
                return self.of_item(self.graph.around[vertex.id][-1])
            case "input" if vertex:
                return self.of_input(vertex)
            case "output" if vertex:
                return _certain(self.of_node(self.graph.vertices[vertex.id]))
            case _:
                return shape_of(_FIXED.get(root))

    def of_node(self, vertex: Vertex, path: _Path = ()) -> Shape | Lacking | None:
        """Return the shape of what a path leads to in `nodes.<id>`."""
        if vertex.type is None or vertex.node.disabled or vertex.type.output_schema is None:
            return None
        return follow_schema(vertex.type.output_schema, path)

    def of_input(self, vertex: Vertex) -> Shape | None:
        """Return the shape of `input`: known if only one edge leads to the node."""
        links = self.graph.into[vertex.id]
        return self.of_link(links[0]) if len(links) == 1 else None

    def of_link(self, link: Link) -> Shape | None:
        """Return the shape of what an edge carries."""
        source, port = link.source, link.port
        if source is None or port is None or source.node.disabled:
            return None
        if port.carries is Carries.ITEM:
            return self.of_item(source.id)
        if port.carries is Carries.BRANCH:
            return None
        if port.carries is Carries.OUTPUT and port.schema is None:
            return _certain(self.of_node(source))
        root = source.type.output_schema if source.type else None
        if port.carries is Carries.FIELD and root is not None:
            return shape_of(port.schema, root)
        return shape_of(port.schema)

    def of_item(self, loop: str) -> Shape | None:
        """Return the shape of a loop's `item`, if its `items` are nothing but a path."""
        if loop not in self._items:
            self._items[loop] = None
            self._items[loop] = self._find_item(self.graph.vertices[loop])
        return self._items[loop]

    def _find_item(self, loop: Vertex) -> Shape | None:
        config = loop.node.config
        items = config.get("items")
        if config.get("batch_size") is not None or not isinstance(items, str):
            return None
        found = self._of_path(loop, items)
        if found is None:
            return None
        if found.types == ("array",):
            return found.child(found.schema.get("items", {}), many=False)
        return replace(found, many=False) if found.types and "array" not in found.types else None

    def _of_path(self, vertex: Vertex, string: str) -> Shape | None:
        if not has_expression(string):
            return None
        try:
            template = parse_template(string)
        except ExpressionError:
            return None
        if template.whole is None or not template.whole.path:
            return None
        root, *rest = template.whole.path
        match root, rest:
            case "nodes", [str(id), *deeper] if id in self.graph.vertices:
                found = self.of_node(self.graph.vertices[id], deeper)
            case _:
                found = follow(self._of_root(vertex, str(root)), rest)
        return _certain(found)

    def _of_loop(self, id: str, path: _Path) -> Shape | Lacking | None:
        found = follow(shape_of(_LOOP), path[:1])
        if isinstance(found, Lacking) or path[:1] != ["item"] or id not in self.graph.vertices:
            return found
        return _deeper(follow(self.of_item(id), path[1:]), 1)


def follow_value(value: Json, path: _Path) -> Shape | Lacking | None:
    """Walk down a path in a value that is there already."""
    for step, part in enumerate(path):
        if not is_schema(value) or not isinstance(part, str):
            return None
        if part not in value:
            return lacking(step, part, list(value))
        value = value[part]
    return None


def _certain(found: Shape | Lacking | None) -> Shape | None:
    return None if isinstance(found, Lacking) else found


def _deeper(found: Shape | Lacking | None, steps: int) -> Shape | Lacking | None:
    if isinstance(found, Lacking):
        return Lacking(found.step + steps, found.message, found.suggestion)
    return found


def described(root: str, path: _Path) -> str:
    """Return a path as it is written, for messages."""
    written = root
    for part in path:
        written += f"[{part}]" if isinstance(part, int) else f".{part}"
    return shortened(written)
