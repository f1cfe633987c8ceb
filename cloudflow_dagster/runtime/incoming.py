"""What came into a step: which edges delivered, and what they carried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.spec import Carries
from cloudflow_dagster.plan import Input, Step
from cloudflow_dagster.runtime.frame import Frame
from cloudflow_dagster.runtime.record import Record, Source


@dataclass(frozen=True, slots=True)
class Delivered:
    """An edge that delivered. `record` is None for a loop's `item`."""

    edge: Input
    record: Record | None
    item: Json = None
    passed_through: bool = False
    """The source is disabled: its port carries its input, whatever it carries else."""

    def value(self) -> Json:
        """Return what the edge carried."""
        if self.record is None:
            return self.item
        if self.passed_through:
            return self.record.output
        match self.edge.carries:
            case Carries.ERROR:
                return self.record.error
            case Carries.FIELD:
                port = self.edge.source_port
                return self.record.part(frozenset({port})).get(port)
            case _:
                return self.record.output

    def source(self) -> Source | None:
        """Return where the value lies, if it is a record's whole output."""
        if self.record is None:
            return None
        whole = self.passed_through or self.edge.carries in {Carries.OUTPUT, Carries.BRANCH}
        return self.record.source if whole else None


class Incoming:
    """What came into a step.

    Attributes:
        edges: The edges that delivered, in the file's canonical order.
    """

    def __init__(self, edges: Sequence[Delivered] = ()) -> None:
        self.edges = tuple(edges)

    @cached_property
    def _distinct(self) -> dict[tuple[str, str], Delivered]:
        """The edges by source and port: a second one from the same port carries nothing new."""
        return {(d.edge.source, d.edge.source_port): d for d in self.edges}

    @cached_property
    def value(self) -> Json:
        """What came in: nothing is null, one value itself, several an object by source."""
        delivered = self._distinct
        if len(delivered) < 2:  # noqa: PLR2004 - one or none
            return next((d.value() for d in delivered.values()), None)
        by_source: dict[str, dict[str, Delivered]] = {}
        for (source, port), one in delivered.items():
            by_source.setdefault(source, {})[port] = one
        return {
            source: next(iter(ports.values())).value()
            if len(ports) == 1
            else {port: one.value() for port, one in ports.items()}
            for source, ports in by_source.items()
        }

    @property
    def source(self) -> Source | None:
        """Where what came in lies, if it is one record's whole output."""
        match list(self._distinct.values()):
            case [one]:
                return one.source()
            case _:
                return None

    def fed(self) -> dict[str, Json]:
        """Return the config fields that edges feed."""
        return {d.edge.field: d.value() for d in self.edges if d.edge.field is not None}


def incoming(frame: Frame, step: Step) -> Incoming | None:
    """Return what came into a step whose edges are all decided; None if none delivered.

    A step without edges into it starts with the run.
    """
    if not step.inputs:
        return Incoming()
    edges = [d for edge in step.inputs if (d := _delivered(frame, edge)) is not None]
    return Incoming(edges) if edges else None


def _delivered(frame: Frame, edge: Input) -> Delivered | None:
    if edge.carries is Carries.ITEM and frame.items and frame.items[-1].loop == edge.source:
        return Delivered(edge, None, frame.items[-1].item)
    record = frame.record(edge.source)
    if record is None or edge.source_port not in record.ports:
        return None
    disabled = frame.run.steps[edge.source].disabled
    return Delivered(edge, record, passed_through=disabled)
