"""An executor that runs the steps of a run side by side, in threads of one process.

Dagster has executors for one step after the other, and for a process a step, which costs seconds.
Writing one needs the plan's state machine (`ActiveExecution`) and the function that executes one
step; neither is public. Checked on Dagster 1.13.27.

It has Dagster's semantics: retries while others run, hooks, dynamic steps, fan-in with skipped
inputs, pools, step tags as limits, interruption. In two things it differs from Dagster's in-process
executor: skipped and abandoned steps are looked for in every round and not only after a step has
run (which is why that one hangs on a failure beside a skipped branch, dagster issue 33661); and an
interrupted run waits a moment for its steps, because threads cannot be interrupted from outside.
Steps that want to end early look at `stops.stop_event(run_id)`. A run of which nothing is left but
steps that wait for long is suspended, where that can be (`execution.py`).
"""

from __future__ import annotations

import contextvars
import os
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import cast

import dagster as dg
from dagster._core.events import EngineEventData
from dagster._core.execution.api import ExecuteRunWithPlanIterable
from dagster._core.execution.context.system import (
    PlanExecutionContext,
    PlanOrchestrationContext,
    StepExecutionContext,
)
from dagster._core.execution.context_creation_job import PlanExecutionContextManager
from dagster._core.execution.plan.active import ActiveExecution
from dagster._core.execution.plan.execute_plan import (
    _trigger_hook,  # pyright: ignore[reportPrivateUsage] - the only way to run hooks
    dagster_event_sequence_for_step,
)
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.plan.step import ExecutionStep
from dagster._core.execution.retries import RetryMode

from cloudflow_dagster.engine import stops, tags
from cloudflow_dagster.engine.captured_output import CapturedOutput
from cloudflow_dagster.engine.concurrency import wait_for_place
from cloudflow_dagster.engine.execution import RunSuspended, can_suspend
from cloudflow_dagster.engine.light import make_light
from cloudflow_dagster.engine.limits import CONFIG, Limits
from cloudflow_dagster.engine.own_process import OwnProcesses, wants_a_process
from cloudflow_dagster.engine.step_timeouts import (
    Attempt,
    check_timeouts,
    fail_late,
    timeout_of,
)
from cloudflow_dagster.engine.threads import Threads, own_log
from cloudflow_dagster.engine.undoing import Undoing

_ROUND = 0.2
"""Seconds after which a round begins at the latest: to see interrupts, retries and pools."""
_STILL = 1.0
"""Seconds for which a run must have done nothing but wait before it is suspended."""
_IDLE = 0.02
"""The same while nothing runs and something waits."""


class RunTimeout(Exception):  # noqa: N818 - what people read in the run's page is its name
    """The run took longer than it may."""


@dg.executor(name="threads", config_schema=CONFIG)
def thread_executor(init: dg.InitExecutorContext) -> dg.Executor:
    """Run steps side by side in threads of one process."""
    config = init.executor_config
    retries = RetryMode.ENABLED if config["retries"] else RetryMode.DISABLED
    return ThreadExecutor(Limits.from_config(config), retries)


class ThreadExecutor(dg.Executor):
    """See the module."""

    def __init__(self, limits: Limits, retries: RetryMode = RetryMode.ENABLED) -> None:
        self._limits = limits
        self._retries = retries
        self._undoing = Undoing()

    @property
    def last_words(self) -> str:
        """What was done about the failure of the run, if anything was."""
        return self._undoing.said

    @property
    def retries(self) -> RetryMode:
        """Whether steps are retried."""
        return self._retries

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[dg.DagsterEvent]:
        """Run the plan's steps and yield their events."""
        check_timeouts(execution_plan)
        yield from self._wait_for_place(plan_context)
        keys = execution_plan.step_keys_to_execute
        place = EngineEventData.in_process(os.getpid(), keys)
        yield dg.DagsterEvent.engine_event(
            plan_context, f"Executing steps in threads (pid: {os.getpid()})", place
        )
        started = time.monotonic()
        try:
            yield from ExecuteRunWithPlanIterable(
                execution_plan=plan_context.execution_plan,
                iterator=partial(self._run_steps, self._own_processes(plan_context)),
                execution_context_manager=PlanExecutionContextManager(
                    job=plan_context.job,
                    retry_mode=plan_context.retry_mode,
                    execution_plan=plan_context.execution_plan,
                    run_config=plan_context.run_config,
                    dagster_run=plan_context.dagster_run,
                    instance=plan_context.instance,
                    raise_on_error=plan_context.raise_on_error,
                    output_capture=plan_context.output_capture,
                    step_dependency_config=self.step_dependency_config,
                ),
            )
        finally:
            stops.forget(plan_context.run_id)
        yield dg.DagsterEvent.engine_event(
            plan_context, f"Finished steps in {time.monotonic() - started:.2f} s", place
        )

    def _wait_for_place(self, plan_context: PlanOrchestrationContext) -> Iterator[dg.DagsterEvent]:
        """Wait until no more runs of the flow go on than may; other jobs know no such limit."""
        stop = stops.stop_event(plan_context.run_id)
        for message in wait_for_place(
            plan_context.instance,
            plan_context.dagster_run,
            lambda: _is_to_stop(plan_context.instance, plan_context.dagster_run, stop),
        ):
            yield dg.DagsterEvent.engine_event(plan_context, message, EngineEventData())

    def _own_processes(self, plan_context: PlanOrchestrationContext) -> OwnProcesses:
        stop = stops.stop_event(plan_context.run_id)
        return OwnProcesses(self, plan_context, stop, self._limits.grace)

    def _run_steps(
        self,
        processes: OwnProcesses,
        job_context: PlanExecutionContext,
        execution_plan: ExecutionPlan,
    ) -> Iterator[dg.DagsterEvent]:
        with (
            InstanceConcurrencyContext(job_context.instance, job_context.dagster_run) as pools,
            execution_plan.start(
                retry_mode=job_context.retry_mode,
                max_concurrent=self._limits.max_concurrent,
                tag_concurrency_limits=self._limits.tag_limits(execution_plan),
                instance_concurrency_context=pools,
                step_dependency_config=job_context.step_dependency_config,
            ) as active,
            CapturedOutput(job_context, execution_plan) as captured,
        ):
            yield from captured.events
            steps = _Rounds(job_context, active, self._limits, pools, processes).run()
            yield from self._undoing.after(job_context, steps)


def _is_to_stop(instance: dg.DagsterInstance, run: dg.DagsterRun, stop: threading.Event) -> bool:
    """Return whether a run is to stop; note whether that cancels it, or leaves it.

    Ctrl-C in a terminal cancels the run. Where a launcher cancels a run it notes this itself; a
    process that is stopped for another reason, because all is stopped, has not canceled its run.
    """
    interrupted = stops.interrupted()
    if not interrupted and not stop.is_set():
        return False
    now = instance.get_run_by_id(run.run_id)
    if now is None or now.status is not dg.DagsterRunStatus.STARTED:
        return True
    if interrupted and stops.leaves_runs():
        stops.leave(run.run_id)
    elif run.tags.get(tags.IN_PROCESS) and not stops.is_left(run.run_id):
        instance.report_run_canceling(run)
    return True


@dataclass(frozen=True, slots=True)
class _Ended:
    """A step's thread has ended, maybe with an exception."""

    error: BaseException | None = None


class _Rounds:
    """Starts steps, takes their events, until nothing is left to do.

    Only the thread that runs this touches the plan's state; the steps' threads hand over events.
    """

    def __init__(
        self,
        context: PlanExecutionContext,
        active: ActiveExecution,
        limits: Limits,
        pools: InstanceConcurrencyContext,
        processes: OwnProcesses,
    ) -> None:
        self._context = context
        self._active = active
        self._limits = limits
        self._pools = pools
        self._processes = processes
        self._retrying: set[str] = set()
        self._again: dict[str, dg.DagsterEvent] = {}
        self._can_suspend = can_suspend()
        self._news: queue.SimpleQueue[tuple[Attempt, dg.DagsterEvent | _Ended]] = (
            queue.SimpleQueue()
        )
        self._threads = Threads()
        self._running: dict[str, Attempt] = {}
        self._failed_groups: set[str] = set()
        self._told: set[str] = set()
        self._stop = stops.stop_event(context.run_id)
        self._clock = stops.clock_of(context.run_id)
        self._parking = stops.parking_of(context.run_id)
        self._clock.start()
        self._give_up_at: float | None = None
        self._reason: BaseException | None = None

    def run(self) -> Iterator[dg.DagsterEvent]:
        try:
            yield from self._run()
        finally:
            self._threads.close()
            self._processes.close()

    def _run(self) -> Iterator[dg.DagsterEvent]:
        while True:
            yield from self._look_for_a_stop()
            if not self._reason:
                # Asked for first: it also brings in the steps that a dynamic output has mapped.
                yield from self._active.plan_events_iterator(self._context)
                yield from self._start_steps()
                self._give_up_late_steps()
            if not self._running and (self._reason or self._active.is_complete):
                break
            yield from self._take_news()
            self._suspend_if_all_wait()
            if self._give_up_at and time.monotonic() > self._give_up_at:
                break
        if isinstance(self._reason, dg.DagsterExecutionInterruptedError):
            self._active.mark_interrupted()
        if self._reason:
            raise self._reason

    def _suspend_if_all_wait(self) -> None:
        """Leave the run where it is if nothing is left of it but waiting for long.

        Raises:
            RunSuspended: It is left. No thread of it goes on any more.
        """
        if not self._can_suspend or self._reason or not self._running or self._retrying:
            return
        if self._pools.has_pending_claims() or not self._clock.still_for(_STILL):
            return
        said = self._parking.suspend(self._clock.seconds())
        if said is not None:
            raise RunSuspended(said)

    def _look_for_a_stop(self) -> Iterator[dg.DagsterEvent]:
        if self._reason:
            return
        late = self._limits.timeout and self._clock.seconds() > self._limits.timeout
        if _is_to_stop(self._context.instance, self._context.dagster_run, self._stop):
            self._end_early(dg.DagsterExecutionInterruptedError("The run was told to stop."))
        elif late:
            self._end_early(
                RunTimeout(f"The run took longer than its timeout of {self._limits.timeout:g} s.")
            )
        if self._reason:
            yield dg.DagsterEvent.engine_event(
                self._context,
                f"{self._reason} Steps that still run: {', '.join(self._running) or 'none'}.",
                EngineEventData.interrupted(list(self._running)),
            )

    def _end_early(self, reason: BaseException) -> None:
        self._reason = self._reason or reason
        self._give_up_at = self._give_up_at or time.monotonic() + self._limits.grace
        stops.stop(self._context.run_id)

    def _start_steps(self) -> Iterator[dg.DagsterEvent]:
        again = True
        while again:
            again = False
            room = self._limits.max_concurrent - len(self._running)
            steps = self._active.get_steps_to_execute(limit=room)
            yield from self._active.concurrency_event_iterator(self._context)
            for step in steps:
                # A step that is given up makes room for another one of its group.
                again |= not self._start(step)

    def _start(self, step: ExecutionStep) -> bool:
        """Start a step, or give it up because another of its group has failed; say which."""
        context = self._context.for_step(step, self._active.get_known_state())
        group = (step.tags or {}).get(tags.GROUP)
        if group in self._failed_groups:
            if group not in self._told:
                self._told.add(group)
                context.log.info("Not started, nor is any after it: another item has failed.")
            self._active.mark_abandoned(step.key)
            return False
        self._retrying.discard(step.key)
        timeout = timeout_of(step)
        if wants_a_process(context):
            known = self._active.get_known_state()
            self._begin(Attempt(step), self._processes.execute(context, known, timeout))
        else:
            make_light(context)
            attempt = Attempt(step, timeout)
            self._begin(attempt, _execute(attempt, context))
        return True

    def _begin(self, attempt: Attempt, events: Iterator[dg.DagsterEvent]) -> None:
        """Let a thread produce the events of an attempt, the only one that counts of its step."""

        def work() -> None:
            try:
                for event in events:
                    self._news.put((attempt, event))
            except BaseException as error:
                # It belongs to the thread that runs the rounds.
                self._news.put((attempt, _Ended(error)))
            else:
                self._news.put((attempt, _Ended()))

        self._running[attempt.step.key] = attempt
        # A copy of the context, so that what Dagster keeps there is there in the thread too.
        here = contextvars.copy_context()
        self._threads.run(f"step {attempt.step.key}", lambda: here.run(work))

    def _give_up_late_steps(self) -> None:
        for attempt in [each for each in self._running.values() if each.late]:
            if attempt.timeout is not None and attempt.give_up():
                known = self._active.get_known_state()
                context = self._context.for_step(cast("ExecutionStep", attempt.step), known)
                end = fail_late(self._processes.executor, context, known, attempt.timeout)
                self._begin(Attempt(attempt.step), end)

    def _take_news(self) -> Iterator[dg.DagsterEvent]:
        """Wait until a step has ended, or for the next round, and take all that has happened."""
        until = time.monotonic() + (_ROUND if self._running else _IDLE)
        ended = False
        while True:
            wait = 0 if ended else until - time.monotonic()
            try:
                attempt, news = self._news.get(block=wait > 0, timeout=wait)
            except queue.Empty:
                return
            key = attempt.step.key
            if self._running.get(key) is not attempt:
                continue  # It was given up.
            if isinstance(news, _Ended):
                self._take_end(key, news.error)
                ended = True
            else:
                yield news
                self._take_event(news)

    def _take_event(self, event: dg.DagsterEvent) -> None:
        # By its name: to ask an event what it is makes an enum each time.
        if event.event_type_value not in _TOLD_TO_PLAN:
            return
        if event.is_step_up_for_retry and event.step_key:
            # Not before its thread has ended: the step may start again as soon as the plan knows.
            self._again[event.step_key] = event
            return
        self._active.handle_event(event)
        if event.is_step_failure and event.step_key in self._running:
            marks = self._running[event.step_key].step.tags or {}
            if tags.GROUP in marks and marks.get(tags.GROUP_STOPS) == "true":
                self._failed_groups.add(marks[tags.GROUP])

    def _take_end(self, key: str, error: BaseException | None) -> None:
        del self._running[key]
        again = self._again.pop(key, None)
        if again is not None:
            self._active.handle_event(again)
            self._retrying.add(key)
        self._active.verify_complete(self._context, key)
        # A step may see before this thread does that the run is to stop; the next round looks.
        told = self._reason or self._stop.is_set()
        if error is not None and not (told and isinstance(error, _INTERRUPTS)):
            self._end_early(error)


def _execute(attempt: Attempt, context: StepExecutionContext) -> Iterator[dg.DagsterEvent]:
    """Execute one step and its hooks."""
    events: list[dg.DagsterEvent] = []
    with own_log(context.log, attempt.may_say):
        for event in dagster_event_sequence_for_step(context):
            events.append(event)
            yield event
        if not attempt.given_up:
            yield from _trigger_hook(context, events)


_TOLD_TO_PLAN = frozenset(
    type_.value
    for type_ in (
        dg.DagsterEventType.RESOURCE_INIT_FAILURE,
        dg.DagsterEventType.STEP_FAILURE,
        dg.DagsterEventType.STEP_OUTPUT,
        dg.DagsterEventType.STEP_SKIPPED,
        dg.DagsterEventType.STEP_SUCCESS,
        dg.DagsterEventType.STEP_UP_FOR_RETRY,
    )
)
"""The events that `ActiveExecution.handle_event` heeds."""
_INTERRUPTS = (KeyboardInterrupt, dg.DagsterExecutionInterruptedError)
