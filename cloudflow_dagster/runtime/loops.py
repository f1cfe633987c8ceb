"""The parts in which the engine executes the loops that are in no other: open, run, close.

Items and what the iterations gave lie in the records, so that the parts may be executed in
different processes, and a million items never are in memory together.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.call import CallLog
from cloudflow_dagster.plan import Step
from cloudflow_dagster.runtime.attempt import log_of
from cloudflow_dagster.runtime.frame import Frame
from cloudflow_dagster.runtime.iteration import Iterations
from cloudflow_dagster.runtime.loop_ends import close_here, loop_error, open_here
from cloudflow_dagster.runtime.outcome import Done, Ending, StepFailed, after_failure, asks
from cloudflow_dagster.runtime.record import LoopFacts, RecordKey
from cloudflow_dagster.runtime.run import LogFor, Run
from cloudflow_dagster.runtime.work import failed

MOST_RANGES = 500

__all__ = [
    "ItemRange",
    "RangeResult",
    "close_loop",
    "concurrency_of",
    "left_to_run",
    "open_loop",
    "run_range",
]


@dataclass(frozen=True, slots=True)
class ItemRange:
    """Items of a loop that one step of the engine runs, one after the other.

    Attributes:
        first: The first item's index.
        last: The last item's index.
    """

    first: int
    last: int

    @property
    def key(self) -> str:
        """Its name among the loop's ranges: `3` for one item, `0_1999` for several."""
        return str(self.first) if self.first == self.last else f"{self.first}_{self.last}"

    @classmethod
    def of(cls, key: str) -> ItemRange:
        """Return the range with a key."""
        first, _, last = key.partition("_")
        return cls(int(first), int(last or first))


@dataclass(frozen=True, slots=True)
class RangeResult:
    """How the iterations of a range ended.

    Attributes:
        failed: Whether the engine must fail its step, so that it is done again when the run is
            resumed. False if the loop goes on after errors, or something catches its failure: then
            the loop must be closed.
        errors: `{index, node, code, message}` of the first iterations that failed.
        stopped: Whether iterations were left out because one had failed, here or elsewhere.
    """

    failed: bool
    errors: list[dict[str, Json]] = field(default_factory=list[dict[str, Json]])
    stopped: bool = False


def open_loop(run: Run, step: Step, log: CallLog) -> list[ItemRange]:
    """Find out a loop's items, store them, and share them out to at most 500 ranges.

    Returns:
        The ranges, in order. None if there are no items, or the loop ends here: `close_loop` says
        then how.

    Raises:
        StepFailed: The items cannot be evaluated, and nothing catches that.
        Canceled: The run was told to stop.
    """
    frame = Frame(run)
    opened = open_here(frame, step, log_of(frame, step, log))
    if isinstance(opened, Done):
        if opened.ending is Ending.FAILED:
            raise StepFailed(opened)
        return []
    return ranges_of(opened.count)


def ranges_of(count: int) -> list[ItemRange]:
    """Share out so many items to at most 500 contiguous ranges of nearly the same size."""
    number = min(count, MOST_RANGES)
    return [ItemRange(count * n // number, count * (n + 1) // number - 1) for n in range(number)]


def concurrency_of(run: Run, step: Step) -> int:
    """Return how many iterations of an opened loop may go on at the same time."""
    facts = run.records.loop(RecordKey(step.id), step.id)
    return facts.concurrency if facts else 1


def run_range(run: Run, step: Step, item_range: ItemRange, log_for: LogFor) -> RangeResult:
    """Run the iterations of a range, one after the other; those that are done are left out.

    Raises:
        Canceled: The run was told to stop.
    """
    # What the loop's surroundings gave cannot change any more, and is read once for all items.
    frame = Frame(run, settled=True)
    facts = run.records.loop(RecordKey(step.id), step.id)
    if facts is None:
        raise RuntimeError(f"The loop `{step.id}` was not opened.")
    iterations = Iterations(frame, step, facts, item_range.first, item_range.last)
    try:
        iterations.run(log_for)
    finally:
        run.records.flush()
    errors = iterations.errors
    asking = iterations.asking
    ends_badly = facts.on_item_error == "fail" and (bool(errors) or iterations.stopped)
    must_fail = bool(asking) or (ends_badly and after_failure(run, step)[0] is Ending.FAILED)
    if must_fail and errors:
        # The engine will not come to close the loop: its record is written here.
        log = log_of(frame, step, log_for(step, ()))
        failed(frame, step, loop_error(step, asking or errors[0]), log)
    shown = [{name: e.get(name) for name in ("index", "node", "code", "message")} for e in errors]
    return RangeResult(must_fail, shown, iterations.stopped)


def left_to_run(run: Run, step: Step) -> LoopFacts | None:
    """Return what is known of an opened loop of which items are to be run before it is closed.

    They were never started; or they failed in the run that this one goes on with, and no range of
    this one ran them: the engine had none for them.
    """
    key = RecordKey(step.id)
    facts = run.records.loop(key, step.id)
    if facts is None:
        return None
    output = run.records.loop_output(key, step.id)
    fails = facts.on_item_error == "fail"
    more = output.missing() > 0 or any(fails or asks(e) for e in output.errors_before())
    return facts if more else None


def close_loop(run: Run, step: Step, log: CallLog) -> Done:
    """End a loop whose ranges have all ended."""
    frame = Frame(run)
    return close_here(frame, step, log_of(frame, step, log))
