"""From a flow as written to a graph: find node types, ports, order and loops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cloudflow_dagster.compiler.cycles import find_cycles
from cloudflow_dagster.compiler.graph import Graph, Link, Vertex
from cloudflow_dagster.compiler.loops import find_loops
from cloudflow_dagster.flow.canonical import canonical_order
from cloudflow_dagster.flow.model import Edge, Flow, Json, Node
from cloudflow_dagster.nodes.registry import Registry
from cloudflow_dagster.nodes.spec import NodeType, Port


def resolve_flow(flow: Flow, *, id: str | None, file: str, registry: Registry) -> Graph:
    """Resolve a flow against the catalogue. What cannot be found is left out, never raised."""
    vertices: dict[str, Vertex] = {}
    for index, node in enumerate(flow.nodes):
        vertices.setdefault(node.id, _vertex(index, node, registry.get(node.type)))
    links = tuple(_link(index, edge, vertices) for index, edge in enumerate(flow.edges))
    undoing = {id: vertex for id in vertices if (vertex := _undoing(vertices[id], registry))}
    graph = Graph(
        flow=flow,
        id=id,
        file=file,
        vertices=vertices,
        links=links,
        into=_by_end(vertices, links, at_source=False),
        out_of=_by_end(vertices, links, at_source=True),
        undoing=undoing,
    )
    graph.cycles = find_cycles(
        {id: [e.target.id for e in out if e.target] for id, out in graph.out_of.items()}
    )
    if not graph.cycles:
        pairs = [(e.source.id, e.target.id) for e in graph.live() if e.source and e.target]
        graph.order = tuple(canonical_order(list(vertices), pairs))
    graph.around, graph.trespasses = find_loops(graph)
    graph.doubtful = _doubtful(graph)
    return graph


def _vertex(index: int, node: Node, node_type: NodeType | None) -> Vertex:
    if node_type is None:
        return Vertex(index, node, None, ports_known=False)
    if node_type.ports_of is None:
        return Vertex(index, node, node_type, node_type.outputs)
    try:
        return Vertex(index, node, node_type, node_type.outputs_for(node.config))
    except Exception:
        return Vertex(index, node, node_type, node_type.outputs, ports_known=False)


def _undoing(vertex: Vertex, registry: Registry) -> Vertex | None:
    """Return what undoes a node, if it says so, does anything, and that is known."""
    node, undo = vertex.node, vertex.node.compensate
    if undo is None or node.disabled:
        return None
    inverse = vertex.type.undone_by() if vertex.type else None
    type_, given, derived = undo.type or (inverse.type if inverse else None), undo.config, False
    if inverse and type_ == inverse.type and "config" not in undo.model_fields_set:
        made = inverse.config_for(node.config)
        given, derived = made or {}, made is not None
    if type_ is None or (undo.type is None and not given):
        return None
    node_type = registry.get(type_)
    # It works on the account that the node works on, unless it is of another provider.
    same = node_type and vertex.type and node_type.provider == vertex.type.provider
    config: dict[str, Json] = {"config": given} if given else {}
    shadow = Node(
        id=node.id,
        type=type_,
        credential=node.credential if same else None,
        region=node.region if same else None,
        **config,
    )
    return Vertex(vertex.index, shadow, node_type, undoes=True, derived=derived)


def _link(index: int, edge: Edge, vertices: Mapping[str, Vertex]) -> Link:
    source, target = vertices.get(edge.source), vertices.get(edge.target)
    into, fed = _input(edge.target_port, target)
    return Link(index, edge, source, _port(edge.source_port, source), target, into, fed)


def _port(name: str | None, source: Vertex | None) -> Port | None:
    if source is None or not source.outputs:
        return None
    return source.outputs[0] if name is None else source.output(name)


def _input(name: str | None, target: Vertex | None) -> tuple[Port | None, str | None]:
    """Return the input port or the field of the config that an edge leads to; ports go first."""
    if target is None or target.type is None:
        return None, None
    inputs = target.type.inputs
    if name is None:
        return (inputs[0] if inputs else None), None
    port = next((port for port in inputs if port.name == name), None)
    if port is not None or not inputs:
        return port, None
    return None, (name if _has_field(target.type, name) else None)


def _has_field(node_type: NodeType, name: str) -> bool:
    schema = node_type.config_schema
    return name in schema.get("properties", ()) or bool(schema.get("additionalProperties"))


def _by_end(
    vertices: Mapping[str, Vertex], links: Sequence[Link], *, at_source: bool
) -> dict[str, tuple[Link, ...]]:
    """Group the edges that count by the node at one of their ends."""
    found: dict[str, list[Link]] = {id: [] for id in vertices}
    for link in links:
        if link.source and link.target and not link.edge.disabled:
            found[(link.source if at_source else link.target).id].append(link)
    return {id: tuple(ends) for id, ends in found.items()}


_NO_LOOPS = ("aws.", "azure.", "flow.", "gcp.", "generic.", "trigger.")
"""What the id of a node type begins with that is no loop, even if there is no such type."""


def _doubtful(graph: Graph) -> frozenset[str]:
    """Return the nodes of which it is not certain what lies upstream of them or around them.

    An edge to a node that does not exist may have been meant for any other; then all are in
    doubt. An edge from a node that does not exist, or from a port that may have been meant to be a
    loop's `item`, puts its target in doubt, and all that follows.
    """
    enabled = [link for link in graph.links if not link.edge.disabled]
    lost = any(link.target is None for link in enabled)
    if lost or graph.cycles or graph.trespasses:
        return frozenset(graph.vertices)
    waiting = [link.target.id for link in enabled if link.target and _maybe_item(link)]
    doubtful: set[str] = set()
    while waiting:
        id = waiting.pop()
        if id not in doubtful:
            doubtful.add(id)
            waiting += [link.target.id for link in graph.out_of[id] if link.target]
    return frozenset(doubtful)


def _maybe_item(link: Link) -> bool:
    """Return whether an edge comes from nowhere, or from what may be a loop."""
    source = link.source
    if source is None:
        return True
    if source.type is None:
        return not source.node.type.startswith(_NO_LOOPS)
    return link.port is None and source.loop
