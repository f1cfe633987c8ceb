"""The one way in which a flow is written (`cloudflow fmt`).

Every key and every list item stands on a line of its own, indented by two spaces, so that two
people's edits merge in git line by line. Keys stand in the order of the models; what is free
(`config`, `params`, `pin`, `tags`) keeps its author's order, and so does what the format does not
know. Nodes stand in topological then alphabetical order, edges in the order of the nodes that
they join. Nothing is added, left out, or computed: numbers stay as they are written.
"""

from __future__ import annotations

import heapq
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Self, TypeGuard, cast

from pydantic import BaseModel

from cloudflow_dagster.flow.document import Document
from cloudflow_dagster.flow.model import (
    Compensate,
    Concurrency,
    Edge,
    Flow,
    Json,
    Node,
    Position,
    Retry,
    Until,
)

_PARTS: dict[type[BaseModel], dict[str, type[BaseModel]]] = {
    Flow: {"concurrency": Concurrency},
    Node: {"position": Position, "retry": Retry, "until": Until, "compensate": Compensate},
}
# Characters that an editor would not show, or that would show a text in another order than it
# has. They stay escapes; all others are written as they are.
_HIDDEN = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff]")


class _Written(float):
    """A number that remembers how it was written: `1e3`, `0.50`."""

    text: str

    def __new__(cls, text: str) -> Self:
        made = super().__new__(cls, text)
        made.text = text
        return made


def canonical_text(flow: Document | Mapping[str, Json]) -> str:
    """Return a flow in canonical form. Reading it again gives the same flow.

    Args:
        flow: A document that was read without errors, or the flow as JSON data.
    """
    data = json.loads(flow.text, parse_float=_Written) if isinstance(flow, Document) else flow
    return "".join(_write(_ordered(data), "")) + "\n"


def canonical_order(ids: Sequence[str], edges: Iterable[tuple[str, str]]) -> list[str]:
    """Return node ids in topological order; of those that could be next the alphabetically first.

    Args:
        ids: The ids of the nodes, each once.
        edges: Pairs of source and target. Give those that are not disabled. What names no node of
            `ids` is passed over. In a cycle the alphabetically first node comes first.
    """
    targets: dict[str, list[str]] = {id: [] for id in ids}
    waits_for = dict.fromkeys(ids, 0)
    for source, target in edges:
        if source in targets and target in targets and source != target:
            targets[source].append(target)
            waits_for[target] += 1
    ready = [id for id, count in waits_for.items() if count == 0]
    heapq.heapify(ready)
    ordered: list[str] = []
    in_cycles = iter(sorted(targets))
    while len(ordered) < len(waits_for):
        id = heapq.heappop(ready) if ready else next(i for i in in_cycles if waits_for[i] > 0)
        waits_for[id] = 0
        ordered.append(id)
        for target in targets[id]:
            # Zero: it is out already, because a cycle was broken there.
            if waits_for[target] > 0:
                waits_for[target] -= 1
                if waits_for[target] == 0:
                    heapq.heappush(ready, target)
    return ordered


def _ordered(data: Mapping[str, Json]) -> dict[str, Json]:
    flow = _in_order_of(Flow, data)
    nodes: Json = flow.get("nodes")
    edges: Json = flow.get("edges", [])
    if _are_objects(nodes) and _are_objects(edges):
        rank = _ranks(nodes, edges)
        flow["nodes"] = sorted(
            (_in_order_of(Node, node) for node in nodes), key=lambda n: rank(n.get("id"))
        )
        if edges:
            flow["edges"] = sorted(
                (_in_order_of(Edge, edge) for edge in edges),
                key=lambda e: (
                    rank(e.get("source")),
                    str(e.get("source_port") or ""),
                    rank(e.get("target")),
                    str(e.get("target_port") or ""),
                ),
            )
    return flow


def _are_objects(value: Json) -> TypeGuard[list[dict[str, Json]]]:
    return isinstance(value, list) and all(
        isinstance(item, dict) for item in cast("list[Json]", value)
    )


def _ranks(nodes: list[dict[str, Json]], edges: list[dict[str, Json]]) -> Callable[[Json], int]:
    ids = [node["id"] for node in nodes if isinstance(node.get("id"), str)]
    joined = [
        (edge.get("source", ""), edge.get("target", ""))
        for edge in edges
        if edge.get("disabled") is not True
    ]
    places = {id: place for place, id in enumerate(canonical_order(ids, joined))}
    return lambda id: places.get(id, len(places)) if isinstance(id, str) else len(places)


def _in_order_of(part: type[BaseModel], data: Mapping[str, Json]) -> dict[str, Json]:
    names = [info.alias or name for name, info in part.model_fields.items()]
    parts = _PARTS.get(part, {})
    ordered = {name: data[name] for name in names if name in data}
    ordered |= data
    for name, child in parts.items():
        if isinstance(ordered.get(name), dict):
            ordered[name] = _in_order_of(child, ordered[name])
    return ordered


def _write(value: Any, indent: str) -> Iterator[str]:
    inner = f"{indent}  "
    if isinstance(value, str):
        yield _text(value)
    elif isinstance(value, _Written):
        yield value.text
    elif isinstance(value, dict) and value:
        opening = "{"
        for key, child in cast("dict[str, Json]", value).items():
            yield f"{opening}\n{inner}{_text(key)}: "
            yield from _write(child, inner)
            opening = ","
        yield f"\n{indent}}}"
    elif isinstance(value, list | tuple) and value:
        opening = "["
        for child in cast("list[Json]", value):
            yield f"{opening}\n{inner}"
            yield from _write(child, inner)
            opening = ","
        yield f"\n{indent}]"
    else:
        yield json.dumps(value)


def _text(value: str) -> str:
    written = json.dumps(value, ensure_ascii=False)
    return _HIDDEN.sub(lambda hidden: f"\\u{ord(hidden.group()):04x}", written)
