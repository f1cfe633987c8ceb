"""From a graph without errors to a plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cloudflow_dagster.compiler.graph import Graph, Link, Vertex
from cloudflow_dagster.compiler.texts import Text
from cloudflow_dagster.flow.model import Json, Retry
from cloudflow_dagster.nodes.spec import Behaviour, Carries, NodeType
from cloudflow_dagster.plan import UNDO_PREFIX, Input, Plan, Step


def plan_flow(graph: Graph, texts: Iterable[Text]) -> Plan:
    """Return the plan of a flow in which nothing is wrong.

    Args:
        graph: The flow.
        texts: Its strings with expressions.
    """
    flow = graph.flow
    steps = _Steps(graph, texts)
    return Plan(
        flow=graph.id or "",
        file=graph.file,
        name=flow.name,
        description=flow.description,
        tags=dict(flow.tags) if isinstance(flow.tags, dict) else dict.fromkeys(flow.tags, ""),
        params=flow.params or {"type": "object", "properties": {}},
        concurrency=flow.concurrency,
        timeout=flow.timeout,
        resumes=flow.resumes,
        on_failure=flow.on_failure,
        on_failure_compensate=flow.on_failure_compensate,
        steps=steps.outside_loops(),
        calls=tuple(sorted(set(_calls(graph)))),
    )


def _calls(graph: Graph) -> Iterator[str]:
    for vertex in graph.vertices.values():
        flow = vertex.node.config.get("flow")
        if vertex.behaves(Behaviour.CALL) and isinstance(flow, str) and "{{" not in flow:
            yield flow


class _Steps:
    """Makes the steps of a graph, those of the innermost loops first."""

    def __init__(self, graph: Graph, texts: Iterable[Text]) -> None:
        self.graph = graph
        self.places = {id: place for place, id in enumerate(graph.order)}
        self.texts: dict[tuple[str, bool], list[Text]] = {}
        for text in texts:
            if text.vertex is not None:
                place = (text.vertex.id, text.vertex.undoes)
                self.texts.setdefault(place, []).append(text)
        self.bodies = graph.bodies()
        self.made: dict[str, Step] = {}

    def outside_loops(self) -> tuple[Step, ...]:
        """Return the steps that are in no loop; the others are inside them."""
        deepest_first = sorted(self.graph.order, key=lambda id: -len(self.graph.around[id]))
        for id in deepest_first:
            self.made[id] = self.step(self.graph.vertices[id])
        return tuple(self.made[id] for id in self.graph.order if not self.graph.around[id])

    def step(self, vertex: Vertex) -> Step:
        node, node_type = vertex.node, vertex.type
        assert node_type is not None  # noqa: S101 - a graph without errors
        body = self.bodies.get(node.id, []) if vertex.loop else []
        used = {link.port.name for link in self.graph.out_of[node.id] if link.port}
        return Step(
            id=node.id,
            type=node.type,
            kind=node_type.kind,
            behaviour=_behaviour(vertex, node_type),
            provider=node_type.provider,
            label=node.label,
            notes=node.notes,
            config=node.config,
            credential=node.credential,
            region=node.region,
            retry=node.retry,
            timeout=node.timeout,
            until=node.until,
            on_error=node.on_error,
            disabled=node.disabled,
            pinned=node.pinned,
            pin=node.pin,
            inputs=tuple(_input(link) for link in sorted(self.graph.into[node.id], key=self.rank)),
            ports=tuple(port.name for port in vertex.outputs if port.name in used),
            first_port=vertex.outputs[0].name,
            reads=self.reads(vertex),
            secrets=self.secrets(vertex),
            permissions=() if node.disabled else _permissions(vertex),
            loops=self.graph.around[node.id],
            body=tuple(self.made[id] for id in body),
            ends=tuple(self.graph.ends(body)),
            compensate=self.undoing(vertex),
        )

    def undoing(self, undone: Vertex) -> Step | None:
        """Return the step that undoes a node."""
        vertex = self.graph.undoing.get(undone.id)
        if vertex is None:
            return None
        node, node_type = vertex.node, vertex.type
        assert node_type is not None  # noqa: S101 - a graph without errors
        into = sorted(self.graph.into[node.id], key=self.rank)
        return Step(
            id=f"{UNDO_PREFIX}{node.id}",
            type=node.type,
            kind=node_type.kind,
            behaviour=node_type.behaviour,
            provider=node_type.provider,
            config=node.config,
            credential=node.credential,
            region=node.region,
            retry=undone.node.retry or Retry(),
            timeout=undone.node.timeout,
            # What came in is there to be read; no edge feeds the config of what undoes.
            inputs=tuple(_input(link).model_copy(update={"field": None}) for link in into),
            # It has the node's region, and may have parts of its config.
            reads=tuple(sorted({*self.reads(vertex), *self.reads(undone)})),
            secrets=tuple(sorted({*self.secrets(vertex), *self.secrets(undone)})),
            permissions=_permissions(vertex),
            loops=self.graph.around[node.id],
        )

    def rank(self, link: Link) -> tuple[int, str, str]:
        """Return what edges into a step are sorted by: their order in the canonical form."""
        edge = link.edge
        return self.places[edge.source], edge.source_port or "", edge.target_port or ""

    def reads(self, vertex: Vertex) -> tuple[str, ...]:
        """Return the nodes that a node's expressions read; all before it, if one reads `nodes`."""
        found: set[str] = set()
        for text in self.texts.get((vertex.id, vertex.undoes), ()):
            for expression in text.expressions:
                for read in expression.reads:
                    if read.root != "nodes" or read.shadowed:
                        continue
                    if read.path and isinstance(read.path[0], str):
                        found.add(read.path[0])
                    else:
                        found.update(self.graph.all_upstream(vertex.id))
        return tuple(sorted(found))

    def secrets(self, vertex: Vertex) -> tuple[str, ...]:
        """Return the names of the secrets that a node's expressions read."""
        found = {
            name
            for text in self.texts.get((vertex.id, vertex.undoes), ())
            for expression in text.expressions
            for name, _ in expression.secrets
            if name is not None
        }
        return tuple(sorted(found))


def _behaviour(vertex: Vertex, node_type: NodeType) -> Behaviour:
    """Return how the engine treats a step; what is disabled is only passed through."""
    return Behaviour.PLAIN if vertex.node.disabled else node_type.behaviour


def _permissions(vertex: Vertex) -> tuple[str, ...]:
    assert vertex.type is not None  # noqa: S101 - a graph without errors
    return tuple(p.action for p in vertex.type.permissions_for(vertex.node.config))


def _input(link: Link) -> Input:
    assert link.source is not None  # noqa: S101 - a graph without errors
    assert link.port is not None  # noqa: S101 - a graph without errors
    carries = link.port.carries
    if carries is Carries.ITEM and not link.enters_loop:
        carries = Carries.OUTPUT  # A disabled loop hands on what came in, once.
    return Input(
        source=link.source.id,
        source_port=link.port.name,
        carries=carries,
        field=link.field,
    )


def as_data(plan: Plan) -> Mapping[str, Json]:
    """Return a plan as JSON, without what has its default value: short enough to review."""
    data: dict[str, Any] = plan.model_dump(mode="json", exclude_defaults=True)
    return data
