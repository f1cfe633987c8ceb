"""Executes a step in a process of its own, for steps that are heavy or not to be trusted.

A step that crashes, leaks or holds the interpreter's lock harms no other then. It costs what a step
of Dagster's multiprocess executor costs, whose parts this uses: an interpreter is started and loads
the job, so resources are opened there anew, and values go through IO managers that write them
somewhere. Those parts are not public. Checked on Dagster 1.13.27.
"""

from __future__ import annotations

import multiprocessing
import sys
import threading
from collections.abc import Iterator
from typing import Any, cast

import dagster as dg
from dagster._core.definitions.reconstruct import ReconstructableJob
from dagster._core.events import EngineEventData
from dagster._core.execution.context.system import PlanOrchestrationContext, StepExecutionContext
from dagster._core.execution.plan.state import KnownExecutionState
from dagster._core.executor.base import Executor
from dagster._core.executor.child_process_executor import ChildProcessCrashException
from dagster._core.executor.multiprocess import execute_step_out_of_process
from dagster._utils.error import serializable_error_info_from_exc_info
from dagster_shared.error import SerializableErrorInfo

from cloudflow_dagster.engine import tags
from cloudflow_dagster.engine.step_timeouts import fail_late, has_ended
from cloudflow_dagster.engine.told import Told

_START = "spawn"
"""A process that has threads cannot be forked."""


def wants_a_process(context: StepExecutionContext) -> bool:
    """Return whether a step is marked for a process of its own."""
    return (context.step.tags or {}).get(tags.PROCESS) == "own"


class OwnProcesses:
    """Starts the processes of a run's steps, and ends them.

    Args:
        executor: Decides whether a step whose process died is retried.
        plan_context: Of the run.
        stop: Set when the run is told to stop.
        grace: Seconds that a process has to end when it is told to.
    """

    def __init__(
        self,
        executor: Executor,
        plan_context: PlanOrchestrationContext,
        stop: threading.Event,
        grace: float,
    ) -> None:
        self.executor = executor
        self._plan_context = plan_context
        self._stop = stop
        self._grace = grace
        self._alive: dict[str, Any] = {}
        """The processes by the step's key, as Dagster's function puts them there."""

    def execute(
        self, context: StepExecutionContext, known: KnownExecutionState, timeout: float | None
    ) -> Iterator[dg.DagsterEvent]:
        """Execute one step with its hooks, and yield its events.

        A process that dies, or in which the job or a resource of the step cannot be had, fails the
        step, or it is retried as its policy says.

        Args:
            context: Of the step.
            known: What has become of the steps so far.
            timeout: Seconds that it may take, with the start of its process; or None.

        Raises:
            Told: The run's job exists in this process alone.
        """
        job = self._plan_context.job
        if not isinstance(job, ReconstructableJob):
            raise Told(
                f"The step `{context.step.key}` is marked for a process of its own "
                f"(`{tags.PROCESS}`), and the job exists in this process alone. Launch the run, or "
                "execute `dg.reconstructable(job)`."
            )
        late, over = threading.Event(), threading.Event()
        if timeout is not None:
            threading.Thread(
                target=self._end_late,
                args=(context.step.key, timeout, late, over),
                name=f"timeout of {context.step.key}",
                daemon=True,
            ).start()
        try:
            yield from self._follow(job, context, known, timeout, late)
        finally:
            over.set()
            self._alive.pop(context.step.key, None)

    def close(self) -> None:
        """End the processes that are still there when the run has ended."""
        for process in list(self._alive.values()):
            process.kill()

    def _end_late(
        self, key: str, timeout: float, late: threading.Event, over: threading.Event
    ) -> None:
        """End the process of a step when its time is over: first with a word, then without."""
        if over.wait(timeout) or self._stop.is_set():
            return
        late.set()
        for way in ("terminate", "kill"):
            process = self._alive.get(key)
            if process is not None:
                getattr(process, way)()
            if over.wait(self._grace):
                return

    def _follow(
        self,
        job: ReconstructableJob,
        context: StepExecutionContext,
        known: KnownExecutionState,
        timeout: float | None,
        late: threading.Event,
    ) -> Iterator[dg.DagsterEvent]:
        errors: dict[int, SerializableErrorInfo] = {}
        start = multiprocessing.get_context(_START)
        told = start.Event()
        ended = False
        try:
            for event in execute_step_out_of_process(
                start,
                job,
                context,
                context.step,
                errors,
                self._alive,
                {context.step.key: told},
                self.executor.retries,
                known,
                self._plan_context.execution_plan.repository_load_data,
            ):
                if self._stop.is_set() and not told.is_set():
                    told.set()
                # Nothing has happened for a moment: the time to look whether to stop.
                if event is None:
                    continue
                yield event
                ended |= has_ended(event)
                error = _of_resources(event)
                if error is not None:
                    ended = True
                    yield self._failed(context, known, error)
        except ChildProcessCrashException as crash:
            # One that was ended, or died, on its way out has done its work.
            if ended:
                return
            if late.is_set() and timeout is not None:
                yield from fail_late(self.executor, context, known, timeout)
            else:
                yield from self._crashed(context, known, crash)
        # What interrupted the step is in its own failure already.
        for error in () if ended else errors.values():
            yield self._failed(context, known, error)

    def _failed(
        self,
        context: StepExecutionContext,
        known: KnownExecutionState,
        error: SerializableErrorInfo,
    ) -> dg.DagsterEvent:
        return self.executor.log_failure_or_retry_event_after_error(context, error, known)

    def _crashed(
        self,
        context: StepExecutionContext,
        known: KnownExecutionState,
        crash: ChildProcessCrashException,
    ) -> Iterator[dg.DagsterEvent]:
        info = serializable_error_info_from_exc_info(sys.exc_info())
        yield dg.DagsterEvent.engine_event(
            context,
            f"The process of the step died ({_how(cast('Any', crash).exit_code)}).",
            EngineEventData.engine_error(info),
        )
        yield self._failed(context, known, info)


def _of_resources(event: dg.DagsterEvent) -> SerializableErrorInfo | None:
    """Return why the resources of a step could not be made in its process, if that is the news."""
    if event.event_type is not dg.DagsterEventType.RESOURCE_INIT_FAILURE:
        return None
    return event.engine_event_data.error


def _how(status: int | None) -> str:
    if status is not None and status < 0:
        return f"signal {-status}"
    return f"exit status {status}"
