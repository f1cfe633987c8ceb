"""One iteration of a loop, and loops inside loops, which are executed as a whole."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.errors import Canceled
from cloudflow_dagster.nodes.spec import Behaviour
from cloudflow_dagster.plan import Step
from cloudflow_dagster.runtime.attempt import log_of
from cloudflow_dagster.runtime.body import run_steps
from cloudflow_dagster.runtime.frame import Frame
from cloudflow_dagster.runtime.loop_ends import close_here, open_here
from cloudflow_dagster.runtime.outcome import Again, Done, asks, is_final, unhandled
from cloudflow_dagster.runtime.record import Given, LoopFacts, Record, RecordKey, to_text
from cloudflow_dagster.runtime.run import LogFor
from cloudflow_dagster.runtime.work import execute

_LOOK_AHEAD = 1_000
"""Items of which it is looked up at once whether they are done."""
MOST_ERRORS = 1_000
"""Errors that are kept in memory; all of them are in the records."""


def is_loop(step: Step) -> bool:
    """Return whether a step has iterations. A disabled loop only passes on what came in."""
    return step.behaviour is Behaviour.LOOP and not step.disabled


def execute_to_end(frame: Frame, step: Step, log_for: LogFor) -> Record:
    """Execute a step with all its attempts, a loop with all its iterations.

    Raises:
        Canceled: The run was told to stop.
    """
    if is_loop(step):
        return run_loop(frame, step, log_for).record
    log = log_for(step, frame.indices)
    attempt = 1
    while True:
        outcome = execute(frame, step, attempt, log)
        if isinstance(outcome, Done):
            return outcome.record
        _wait(frame, outcome)
        attempt += 1


def _wait(frame: Frame, again: Again) -> None:
    frame.run.records.flush()
    with frame.run.clock.doing(waits=False):
        if frame.run.stop.wait(again.delay):
            raise Canceled


def run_loop(frame: Frame, step: Step, log_for: LogFor) -> Done:
    """Execute a loop as a whole, several iterations at the same time."""
    log = log_of(frame, step, log_for(step, frame.indices))
    opened = open_here(frame, step, log)
    if isinstance(opened, Done):
        return opened
    if opened.count:
        iterations = Iterations(frame, step, opened, 0, opened.count - 1)
        _at_once(iterations, min(opened.concurrency, opened.count), log_for)
    return close_here(frame, step, log)


def _at_once(iterations: Iterations, workers: int, log_for: LogFor) -> None:
    """Run iterations in several threads, this one among them."""
    problems: list[BaseException] = []

    def work() -> None:
        try:
            iterations.run(log_for)
        except BaseException as error:
            problems.append(error)
            iterations.end()

    threads: list[threading.Thread] = []
    for _ in range(workers - 1):
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(work,), daemon=True)
        thread.start()
        threads.append(thread)
    work()
    for thread in threads:
        thread.join()
    if problems:
        raise next((p for p in problems if not isinstance(p, Canceled)), problems[0])


@dataclass(eq=False)
class Iterations:
    """The iterations of a loop from one index to another, taken by one thread or several.

    Attributes:
        frame: Where the loop is executed.
        step: The loop.
        facts: What is known of it.
        first: The first item's index.
        last: The last item's index.
        errors: `{index, node, code, message, …}` of the first iterations that failed.
        stopped: Whether iterations were left out because one had failed.
        asking: The error of an iteration that asks a person; whatever the loop does with errors,
            it cannot succeed.
    """

    frame: Frame
    step: Step
    facts: LoopFacts
    first: int
    last: int
    errors: list[dict[str, Json]] = field(default_factory=list[dict[str, Json]])
    stopped: bool = False
    asking: dict[str, Json] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._key = self.frame.key(self.step.id)
        self._left = self._items()

    def _items(self) -> Iterator[tuple[int, Json]]:
        """Yield the items that are not done yet."""
        records, owner = self.frame.run.records, self.frame.run.owner(self.step)
        for start in range(self.first, self.last + 1, _LOOK_AHEAD):
            end = min(self.last, start + _LOOK_AHEAD - 1)
            done = records.finished(self._key, owner, start, end)
            for index, item in records.items(self._key, owner, start, end):
                if index not in done:
                    yield index, item

    def _next(self) -> tuple[int, Json] | None:
        with self._lock:
            return next(self._left, None)

    def end(self) -> None:
        """Let no thread take another item."""
        with self._lock:
            self._left = iter(())

    def run(self, log_for: LogFor) -> None:
        """Run iterations until none is left.

        Raises:
            Canceled: The run was told to stop.
        """
        run = self.frame.run
        fails = self.facts.on_item_error == "fail"
        while (taken := self._next()) is not None:
            if run.stop.is_set():
                raise Canceled
            if fails and run.records.loop_stopped(self._key):
                self.stopped = True
                return
            index, item = taken
            record = run_iteration(self.frame.inside(self.step.id, item, index), self.step, log_for)
            if record.status == "failure":
                if len(self.errors) < MOST_ERRORS:
                    self.errors.append({"index": index, **(record.error or {})})
                if asks(record.error):
                    self.asking = self.asking or {"index": index, **(record.error or {})}
                if fails:
                    run.records.stop_loop(self._key)


def run_iteration(frame: Frame, loop: Step, log_for: LogFor) -> Record:
    """Execute a loop's body for one item, and write the iteration's record.

    Args:
        frame: The iteration's own.
        loop: The loop.
        log_for: Gives the log of each step.
    """
    records = frame.run.records
    owner = frame.run.owner(loop)

    def execute_one(step: Step) -> Record:
        kept = records.earlier(frame.key(step.id), owner)
        if kept is not None and is_final(step, kept):
            frame.own[step.id] = kept
            return kept
        return execute_to_end(frame, step, log_for)

    def block(step: Step) -> Record:
        return frame.write(step, Record("not_run"), soon=True)

    run_steps(loop.body, execute_one, block)
    record = _result(frame, loop)
    return records.write(RecordKey(loop.id, frame.indices), record, soon=True)


def _result(frame: Frame, loop: Step) -> Record:
    """Return the record of an iteration whose steps have all ended."""
    for step in loop.body:
        record = frame.own[step.id]
        if record.status == "failure" and unhandled(step, record):
            return Record("failure", error=record.error, attempts=record.attempts)
    ran = {end: record for end in loop.ends if (record := frame.own[end]).has_output}
    if len(loop.ends) > 1:
        output = {end: record.output for end, record in ran.items()}
        return Record("success", source=Given(to_text(output)), attempts=1)
    for record in ran.values():
        if record.source is not None:
            return Record("success", source=record.source, attempts=1)
        return Record("success", record.output, has_output=True, attempts=1)
    return Record("success", attempts=1)
