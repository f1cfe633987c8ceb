"""Where a step is executed: outside loops, or in one iteration of the loops around it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.spec import Kind
from cloudflow_dagster.plan import Step
from cloudflow_dagster.runtime.intents import Settled
from cloudflow_dagster.runtime.outcome import delivering, given
from cloudflow_dagster.runtime.record import Record, RecordKey
from cloudflow_dagster.runtime.run import Run


@dataclass(frozen=True, slots=True)
class LoopItem:
    """One item of a loop."""

    loop: str
    item: Json
    index: int


@dataclass(eq=False)
class Frame:
    """The surroundings of steps that are executed together.

    Attributes:
        run: The run.
        items: The items of the loops around, the outermost first.
        outer: The frame around this iteration; None outside loops.
        own: The records made in this iteration. Outside loops: records that were looked up and
            cannot change any more.
        settled: Outside loops: whether all that can be looked up has ended, so that it is kept.
    """

    run: Run
    items: tuple[LoopItem, ...] = ()
    outer: Frame | None = None
    own: dict[str, Record] = field(default_factory=dict[str, Record])
    settled: bool = False

    @property
    def indices(self) -> tuple[int, ...]:
        """The indices of the items, the outermost loop's first."""
        return tuple(item.index for item in self.items)

    def key(self, node: str) -> RecordKey:
        """Return the key of a step that is executed here."""
        return RecordKey(node, self.indices)

    def inside(self, loop: str, item: Json, index: int) -> Frame:
        """Return the frame of one iteration of a loop that is executed here."""
        return Frame(self.run, (*self.items, LoopItem(loop, item, index)), self)

    def around(self) -> Iterator[Frame]:
        """Yield this frame and those around it, the innermost first."""
        frame: Frame | None = self
        while frame is not None:
            yield frame
            frame = frame.outer

    def record(self, node: str) -> Record | None:
        """Return the record of a step that is executed here or in a frame around this one."""
        step = self.run.steps.get(node)
        if step is None:
            return None
        depth = len(step.loops)
        for frame in self.around():
            if len(frame.items) == depth:
                return frame.own.get(node) if depth else frame.look_up(step)
        return None

    def look_up(self, step: Step) -> Record | None:
        """Return the record of a step outside loops."""
        found = self.own.get(step.id)
        if found is None:
            found = self._single(step) or self.run.records.read(RecordKey(step.id))
            if found is not None and self.settled:
                self.own[step.id] = found
        return found

    def _single(self, step: Step) -> Record | None:
        """Return what stands for a step's record when only one other step is executed."""
        run = self.run
        if run.only is None or run.only == step.id:
            return None
        if step.pinned:
            pin = run.redactor.value(step.pin)
            return given(pin, ports=delivering(run, step, pin, chosen=None, pinned=True))
        if step.kind is Kind.TRIGGER:
            event = run.redactor.value(run.seen_event)
            return given(event, ports=delivering(run, step, event, chosen=None))
        return None

    def write(
        self, step: Step, record: Record, *, soon: bool = False, settled: Settled | None = None
    ) -> Record:
        """Store the record of a step that was executed here, and return it as it is stored.

        Args:
            step: The step.
            record: What came of it.
            soon: It may wait a moment for others to be written with it.
            settled: What came of its call.
        """
        key = self.key(step.id)
        stored = self.run.records.write(key, record, soon=soon, settled=settled)
        if self.items or self.settled:
            self.own[step.id] = stored
        return stored
