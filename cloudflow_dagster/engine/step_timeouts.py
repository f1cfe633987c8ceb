"""A step that may take so long and no longer: the tag `cloudflow/timeout` of an op.

A thread cannot be killed. So a step in a thread that is late is given up: it has failed, its thread
goes on until what it does ends, and nothing that it says or gives counts any more. A step in a
process of its own is ended (`own_process.py`). Either way it is a failure as any other: a retry
policy and hooks do what they do. How a failure is recorded is not public. Checked on Dagster
1.13.27.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Iterator

import dagster as dg
from dagster._core.execution.context.system import StepExecutionContext
from dagster._core.execution.plan.execute_plan import (
    _trigger_hook,  # pyright: ignore[reportPrivateUsage] - the only way to run hooks
)
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.plan.state import KnownExecutionState
from dagster._core.execution.plan.step import IExecutionStep
from dagster._core.executor.base import Executor
from dagster._core.log_manager import get_log_record_event, has_log_record_event
from dagster_shared.error import SerializableErrorInfo

from cloudflow_dagster.engine import tags
from cloudflow_dagster.engine.told import Told


class StepTimeout(Exception):  # noqa: N818 - what people read in the run's page is its name
    """The step took longer than it may."""


def timeout_of(step: IExecutionStep) -> float | None:
    """Return the seconds that a step may take, or None.

    Raises:
        Told: Its tag is no such number.
    """
    written = (step.tags or {}).get(tags.TIMEOUT)
    if written is None:
        return None
    try:
        seconds = float(written)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise Told(
            f"The tag `{tags.TIMEOUT}` of the step `{step.key}` is `{written}`. It is to be a "
            "number of seconds above 0."
        )
    return seconds


def check_timeouts(plan: ExecutionPlan) -> None:
    """See whether all steps say how long they may take in a way that can be understood.

    Raises:
        Told: One does not.
    """
    for step in plan.steps:
        timeout_of(step)


def fail_late(
    executor: Executor, context: StepExecutionContext, known: KnownExecutionState, seconds: float
) -> Iterator[dg.DagsterEvent]:
    """Fail a step that is late, or have it retried as its policy says; and run its hooks.

    Args:
        executor: Of the run.
        context: Of the step.
        known: What has become of the steps so far.
        seconds: What it had.

    Raises:
        StepTimeout: The run is one that raises what its steps do.
    """
    error = StepTimeout(f"The step took longer than its timeout of {seconds:g} s.")
    context.capture_step_exception(error)
    said = SerializableErrorInfo(str(error), stack=[], cls_name=type(error).__name__)
    event = executor.log_failure_or_retry_event_after_error(context, said, known)
    yield event
    yield from _trigger_hook(context, [event])
    if event.is_step_failure and context.raise_on_error:
        raise error


class Attempt:
    """One execution of a step, and whether it may still speak for it.

    Args:
        step: The step.
        timeout: Seconds that it has from now on, or None.
    """

    def __init__(self, step: IExecutionStep, timeout: float | None = None) -> None:
        self.step = step
        self.timeout = timeout
        self._due = None if timeout is None else time.monotonic() + timeout
        self._lock = threading.Lock()
        self._ended = False
        self._given_up = False

    @property
    def late(self) -> bool:
        """Whether its time is over."""
        return self._due is not None and time.monotonic() > self._due

    @property
    def given_up(self) -> bool:
        """Whether nothing counts any more that it says."""
        return self._given_up

    def give_up(self) -> bool:
        """Take its word from it, unless its end is in the history already; say whether it was."""
        with self._lock:
            self._given_up = not self._ended
            return self._given_up

    def may_say(self, record: logging.LogRecord) -> bool:
        """Return whether something that it logs is to be in the history.

        Between this and `give_up` it is decided, once, how the step has ended.
        """
        with self._lock:
            event = get_log_record_event(record) if has_log_record_event(record) else None
            if event and not self._given_up:
                self._ended |= has_ended(event)
            return not self._given_up


def has_ended(event: dg.DagsterEvent) -> bool:
    """Return whether an event is the end of a step's execution."""
    return event.is_step_success or event.is_step_failure or event.is_step_up_for_retry
