"""Executes steps that hang on each other in this process: the body of a loop, or a whole plan.

The rules are those of "When a node runs": a step runs once every edge into it is decided, if one
delivers; after an unhandled failure anywhere upstream it is not run; independent branches run at
the same time.
"""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cloudflow_dagster.nodes.errors import Canceled
from cloudflow_dagster.plan import Step
from cloudflow_dagster.runtime.outcome import unhandled
from cloudflow_dagster.runtime.record import Record

Execute = Callable[[Step], Record]
"""Executes a step to its end, retries included, and returns its record."""
Block = Callable[[Step], Record]
"""Ends a step that cannot run, because something upstream failed."""


@dataclass(slots=True)
class _Graph:
    """Which steps still wait for which."""

    steps: Sequence[Step]
    waiting: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    after: dict[str, list[Step]] = field(default_factory=dict[str, list[Step]])

    def __post_init__(self) -> None:
        inside = {step.id for step in self.steps}
        for step in self.steps:
            sources = {edge.source for edge in step.inputs} & inside
            self.waiting[step.id] = sources
            for source in sources:
                self.after.setdefault(source, []).append(step)

    def ready(self) -> list[Step]:
        return [step for step in self.steps if not self.waiting[step.id]]

    def decided(self, step: Step) -> list[Step]:
        """Return the steps that waited for this one alone."""
        free: list[Step] = []
        for later in self.after.get(step.id, ()):
            self.waiting[later.id].discard(step.id)
            if not self.waiting[later.id]:
                free.append(later)
        return free


def run_steps(steps: Sequence[Step], execute: Execute, block: Block) -> dict[str, Record]:
    """Execute steps in their order, branches at the same time, and return their records.

    Args:
        steps: With all the steps that their edges come from, except those that ended before.
        execute: Called once for each step that can run, from several threads.
        block: Called for each that cannot.

    Raises:
        Canceled: A step was told to stop; those that ran at the same time have ended.
        Exception: Whatever `execute` raised; those that ran at the same time have ended.
    """
    return _Scheduler(steps, execute, block).run()


class _Scheduler:
    def __init__(self, steps: Sequence[Step], execute: Execute, block: Block) -> None:
        self._graph = _Graph(steps)
        self._steps = {step.id: step for step in steps}
        self._execute = execute
        self._block = block
        self._records: dict[str, Record] = {}
        self._ended: queue.SimpleQueue[tuple[Step, Record | BaseException]] = queue.SimpleQueue()

    def run(self) -> dict[str, Record]:
        ready = self._graph.ready()
        running = 0
        problem: BaseException | None = None
        while ready or running:
            if problem is None:
                ready = self._settle(ready)
                # A step that is alone needs no thread of its own.
                if len(ready) == 1 and not running:
                    self._do(ready[0])
                else:
                    for step in ready:
                        self._start(step)
                running += len(ready)
            ready = []
            if running:
                step, outcome = self._ended.get()
                running -= 1
                if isinstance(outcome, Record):
                    self._records[step.id] = outcome
                    ready = self._graph.decided(step)
                elif problem is None or isinstance(problem, Canceled):
                    problem = outcome
        if problem is not None:
            raise problem
        return self._records

    def _settle(self, ready: list[Step]) -> list[Step]:
        """Decide the steps that cannot run and what hangs on them; return the others."""
        runnable: list[Step] = []
        waiting = list(ready)
        while waiting:
            step = waiting.pop(0)
            if self._blocked(step):
                self._records[step.id] = self._block(step)
                waiting += self._graph.decided(step)
            else:
                runnable.append(step)
        return runnable

    def _blocked(self, step: Step) -> bool:
        return any(
            unhandled(self._steps[edge.source], self._records[edge.source])
            for edge in step.inputs
            if edge.source in self._records
        )

    def _start(self, step: Step) -> None:
        context = contextvars.copy_context()
        threading.Thread(
            target=lambda: context.run(self._do, step), name=step.id, daemon=True
        ).start()

    def _do(self, step: Step) -> None:
        try:
            self._ended.put((step, self._execute(step)))
        except BaseException as error:
            self._ended.put((step, error))
