"""A flow resolved against the catalogue: nodes with their types, edges with their ports.

A graph is made of any flow, however wrong: what could not be found is None, and the checks say so.
Nothing here recurses over nodes, so ten thousand of them in a row are no problem.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from cloudflow_dagster.diagnostics.model import Location, Pointer
from cloudflow_dagster.flow.model import Edge, Flow, Node
from cloudflow_dagster.nodes.spec import Behaviour, Carries, Kind, NodeType, Port

DEEPEST = 32
"""How many loops may be inside each other; a plan nests as deep, and JSON readers have limits."""


@dataclass(frozen=True, slots=True)
class Vertex:
    """A node and its type.

    Attributes:
        index: Its place in the file's `nodes`.
        node: As written.
        type: None if the catalogue does not have it.
        outputs: Its output ports, the default one first; none if the type is unknown.
        ports_known: Whether `outputs` can be relied on; not if the config that gives them is wrong.
        undoes: Whether it is what undoes the node with its id (`compensate`), which stands where
            that stands: it has its id, its edges and its loops, and no ports.
        derived: Whether its config is not written in the flow, but follows from node types.
    """

    index: int
    node: Node
    type: NodeType | None
    outputs: tuple[Port, ...] = ()
    ports_known: bool = True
    undoes: bool = False
    derived: bool = False

    @property
    def id(self) -> str:
        """The node's id."""
        return self.node.id

    @property
    def active(self) -> bool:
        """Whether the node does anything: it is not disabled, and its type is known."""
        return self.type is not None and not self.node.disabled

    @property
    def loop(self) -> bool:
        """Whether it is a loop that loops."""
        return self.behaves(Behaviour.LOOP)

    @property
    def trigger(self) -> bool:
        """Whether it is a trigger, even a disabled one."""
        return self.type is not None and self.type.kind is Kind.TRIGGER

    def behaves(self, behaviour: Behaviour) -> bool:
        """Return whether the node is active and of such a type."""
        return self.type is not None and self.active and self.type.behaviour is behaviour

    def output(self, name: str) -> Port | None:
        """Return the output port with a name."""
        return next((port for port in self.outputs if port.name == name), None)


@dataclass(frozen=True, slots=True)
class Link:
    """An edge with its ends looked up.

    Attributes:
        index: Its place in the file's `edges`.
        edge: As written.
        source: None if there is no such node.
        port: The source's output port; None if there is none of this name, or nothing is known.
        target: None if there is no such node.
        into: The target's input port, if it leads to one.
        field: The field of the target's config that it feeds, if it feeds one.
    """

    index: int
    edge: Edge
    source: Vertex | None
    port: Port | None
    target: Vertex | None
    into: Port | None = None
    field: str | None = None

    @property
    def whole(self) -> bool:
        """Whether both ends are known, down to the ports."""
        return self.port is not None and (self.into is not None or self.field is not None)

    @property
    def enters_loop(self) -> bool:
        """Whether it is the way into the body of a loop (a disabled loop is none)."""
        return (
            self.source is not None
            and self.source.loop
            and self.port is not None
            and self.port.carries is Carries.ITEM
        )


@dataclass(frozen=True, slots=True)
class Trespass:
    """A live edge that crosses the border of a loop's body where there is no gate.

    Attributes:
        link: The edge.
        loop: Id of the loop whose body it enters or leaves.
        leaves: Whether it leads out of the body; else it leads in.
    """

    link: Link
    loop: str
    leaves: bool


@dataclass(slots=True)
class Graph:
    """A flow as nodes, ports and the order between them.

    Attributes:
        flow: As written.
        id: The flow's id, or None if it has no valid one.
        file: Path of the file as the user gave it.
        vertices: By id, in the order of the file. Of several with one id, the first.
        links: All edges in the order of the file, the disabled and the broken ones too.
        into: For each node the edges that count: enabled, and between nodes that exist.
        out_of: The same, by source.
        order: Ids in canonical order; empty if the edges go round in circles.
        cycles: Ids of the nodes of each circle, in the order of its edges.
        around: Ids of the loops around each node, the outermost first.
        trespasses: Edges that break into or out of a loop's body.
        doubtful: Nodes above which something is broken, so that what lies upstream of them and
            which loops are around them is not known.
        undoing: What undoes nodes, by their ids.
    """

    flow: Flow
    id: str | None
    file: str
    vertices: Mapping[str, Vertex]
    links: tuple[Link, ...]
    into: Mapping[str, tuple[Link, ...]]
    out_of: Mapping[str, tuple[Link, ...]]
    order: tuple[str, ...] = ()
    cycles: tuple[tuple[str, ...], ...] = ()
    around: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    trespasses: tuple[Trespass, ...] = ()
    doubtful: frozenset[str] = frozenset()
    undoing: Mapping[str, Vertex] = field(default_factory=dict[str, Vertex])
    _positions: dict[str, int] = field(default_factory=dict[str, int])
    _ancestors: dict[str, int] = field(default_factory=dict[str, int])

    def place(self, *parts: str | int) -> Location:
        """Return a place in the flow's file."""
        return Location(self.file, Pointer(parts))

    def at(self, vertex: Vertex, *parts: str | int) -> Location:
        """Return a place in a node."""
        inside = ("compensate",) if vertex.undoes else ()
        pointer = Pointer(("nodes", vertex.index, *inside, *parts))
        return Location(self.file, pointer, node=vertex.id)

    def configured(self) -> Iterator[Vertex]:
        """Yield all whose config is written in the flow: the nodes, and what undoes them."""
        yield from self.vertices.values()
        yield from (vertex for vertex in self.undoing.values() if not vertex.derived)

    def at_edge(self, link: Link, *parts: str) -> Location:
        """Return a place in an edge; it belongs to the node that the edge comes from."""
        source = link.source.id if link.source else None
        return Location(self.file, Pointer(("edges", link.index, *parts)), node=source)

    def live(self) -> Iterator[Link]:
        """Yield the edges that count, by source."""
        for links in self.out_of.values():
            yield from links

    def upstream(self, node: str, of: str) -> bool:
        """Return whether a way of edges leads from a node to another.

        Ancestors are kept as one integer per node, a bit for each node: ten thousand nodes in a
        row take some ten megabytes, where sets would take gigabytes.
        """
        if not self._ancestors:
            self._find_ancestors()
        return bool(self._ancestors.get(of, 0) >> self._positions[node] & 1)

    def all_upstream(self, of: str) -> list[str]:
        """Return the ids of all nodes from which a way leads to this one, in canonical order."""
        return [id for id in self.order if self.upstream(id, of)]

    def _find_ancestors(self) -> None:
        self._positions.update({id: place for place, id in enumerate(self.order or self.vertices)})
        for id in self.order:
            mask = 0
            for link in self.into[id]:
                if link.source is not None:
                    above = link.source.id
                    mask |= self._ancestors[above] | 1 << self._positions[above]
            self._ancestors[id] = mask

    def bodies(self) -> dict[str, list[str]]:
        """Return the nodes by the loop that is directly around them, in canonical order."""
        found: dict[str, list[str]] = {}
        for id in self.order:
            if self.around[id]:
                found.setdefault(self.around[id][-1], []).append(id)
        return found

    def ends(self, body: Iterable[str]) -> list[str]:
        """Return the nodes of a loop's body from which nothing in the same body goes on."""
        inside = set(body)
        return [
            id
            for id in body
            if not any(link.target and link.target.id in inside for link in self.out_of[id])
        ]
