"""The names that a step's expressions see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.runtime.frame import Frame
from cloudflow_dagster.runtime.incoming import Incoming

Wanted = Mapping[str, frozenset[str] | None]
"""The nodes that are read, each with the fields that are (None: all)."""


class NodeValues(Mapping[str, Json]):
    """`nodes`: what the nodes upstream gave, read when an expression asks for it.

    A node that was skipped, failed or has not run is not in it.
    """

    def __init__(self, frame: Frame, wanted: Wanted) -> None:
        self._frame = frame
        self._wanted = wanted
        self._seen: dict[str, Json] = {}

    def __getitem__(self, node: str) -> Json:
        """Return what a node gave."""
        if node not in self._seen:
            record = self._frame.record(node)
            if record is None or not record.has_output:
                raise KeyError(node)
            self._seen[node] = record.part(self._wanted.get(node))
        return self._seen[node]

    def __iter__(self) -> Iterator[str]:
        """Yield the ids of the nodes that gave something."""
        for node in self._frame.run.steps:
            record = self._frame.record(node)
            if record is not None and record.has_output:
                yield node

    def __len__(self) -> int:
        return sum(1 for _ in self)


def scope_of(
    frame: Frame, came_in: Incoming, wanted: Wanted, output: tuple[Json, ...] = ()
) -> dict[str, Json]:
    """Return the names with their values, or with functions that give them.

    Args:
        frame: Where the step is executed.
        came_in: What came into it.
        wanted: What the expressions read of which nodes.
        output: What the step gave, in `until`; in `compensate`, what the step gave that is undone.
    """
    run = frame.run
    scope: dict[str, Json] = {
        "nodes": NodeValues(frame, wanted),
        "params": run.params,
        "run": run.facts,
        "vars": run.variables,
    }
    if run.seen_event is not None:
        scope["trigger"] = run.seen_event
    if came_in.edges:
        scope["input"] = lambda: came_in.value
    if frame.items:
        *_, innermost = frame.items
        scope["item"] = innermost.item
        scope["index"] = innermost.index
        scope["loops"] = {i.loop: {"item": i.item, "index": i.index} for i in frame.items}
    if output:
        scope["output"] = output[0]
    return scope
