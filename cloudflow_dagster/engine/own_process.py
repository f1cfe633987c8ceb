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
from dataclasses import dataclass
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
from cloudflow_dagster.engine.told import Told

_START = "spawn"
"""A process that has threads cannot be forked."""


def wants_a_process(context: StepExecutionContext) -> bool:
    """Return whether a step is marked for a process of its own."""
    return (context.step.tags or {}).get(tags.PROCESS) == "own"


@dataclass(frozen=True, slots=True)
class OwnProcesses:
    """Starts the processes of a run's steps.

    Attributes:
        executor: Decides whether a step whose process died is retried.
        plan_context: Of the run.
        stop: Set when the run is told to stop.
    """

    executor: Executor
    plan_context: PlanOrchestrationContext
    stop: threading.Event

    def execute(
        self, context: StepExecutionContext, known: KnownExecutionState
    ) -> Iterator[dg.DagsterEvent]:
        """Execute one step with its hooks, and yield its events.

        A process that dies, or in which the job or a resource of the step cannot be had, fails the
        step, or it is retried as its policy says.

        Args:
            context: Of the step.
            known: What has become of the steps so far.

        Raises:
            Told: The run's job exists in this process alone.
        """
        job = self.plan_context.job
        if not isinstance(job, ReconstructableJob):
            raise Told(
                f"The step `{context.step.key}` is marked for a process of its own "
                f"(`{tags.PROCESS}`), and the job exists in this process alone. Launch the run, or "
                "execute `dg.reconstructable(job)`."
            )
        errors: dict[int, SerializableErrorInfo] = {}
        processes: dict[str, Any] = {}
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
                processes,
                {context.step.key: told},
                self.executor.retries,
                known,
                self.plan_context.execution_plan.repository_load_data,
            ):
                if self.stop.is_set() and not told.is_set():
                    told.set()
                # Nothing has happened for a moment: the time to look whether to stop.
                if event is None:
                    continue
                yield event
                ended |= (
                    event.is_step_failure or event.is_step_success or event.is_step_up_for_retry
                )
                error = _of_resources(event)
                if error is not None:
                    ended = True
                    yield self._failed(context, known, error)
        except ChildProcessCrashException as crash:
            yield from self._crashed(context, known, crash)
        else:
            for error in errors.values():
                # What interrupted the step is in its own failure already.
                if not ended:
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
