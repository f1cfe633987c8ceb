"""Stops a run, whoever executes it: in the queue, in a process of the deployment, in a terminal."""

from __future__ import annotations

import time
from dataclasses import dataclass

import dagster as dg

from cloudflow_dagster.engine import tags
from cloudflow_dagster.engine.run_list import status_of
from cloudflow_dagster.engine.this_process import process_is_gone

_LOOK = 0.2
_Status = dg.DagsterRunStatus
_FORCE = "If the process that executes it is gone, `--force` marks it as canceled."


@dataclass(frozen=True)
class Cancellation:
    """What came of it.

    Attributes:
        canceled: Whether the run is canceled.
        message: What people should know.
    """

    canceled: bool
    message: str


def cancel(
    instance: dg.DagsterInstance, run: dg.DagsterRun, *, force: bool = False, seconds: float = 20.0
) -> Cancellation:
    """Stop a run, and wait until it has ended.

    Args:
        instance: The history.
        run: The run.
        force: Mark it as canceled even if nobody answers that executes it. If somebody does all
            the same, the run may go on to work.
        seconds: How long to wait.
    """
    if run.is_finished:
        return _ended(run, "had ended before")
    problem = _tell(instance, run)
    now = _wait(instance, run, 0.0 if force else seconds)
    if force and not now.is_finished:
        instance.report_run_canceled(now, message="Marked as canceled from the terminal.")
        now = instance.get_run_by_id(run.run_id) or now
    if now.is_finished:
        return _ended(now, "ended before it could be canceled")
    why = f" ({problem})" if problem else ""
    return Cancellation(
        canceled=False,
        message=f"Run {run.run_id} was told to stop and has not ended yet{why}. {_FORCE}",
    )


def _ended(run: dg.DagsterRun, otherwise: str) -> Cancellation:
    if run.status is _Status.CANCELED:
        return Cancellation(canceled=True, message=f"Run {run.run_id} is canceled.")
    return Cancellation(
        canceled=False, message=f"Run {run.run_id} {otherwise}, with {status_of(run)}."
    )


def _tell(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """Tell who executes a run to stop; return what went wrong, or ""."""
    mark = run.tags.get(tags.IN_PROCESS)
    if run.status is _Status.SUSPENDED:
        _end(instance, run, "Canceled while it waited.")
    elif mark is not None and process_is_gone(mark):
        _end(instance, run, "Canceled; the process that executed the run is gone.")
    elif mark is not None and run.status is not _Status.QUEUED:
        # Its process looks every second whether it is to stop.
        if run.status is not _Status.CANCELING:
            instance.report_run_canceling(run, message="Canceled from the terminal.")
    else:
        try:
            if not instance.run_coordinator.cancel_run(run.run_id):
                return "nobody answers that executes it"
        except Exception as error:
            # A launcher of any kind: what it raises is not known here.
            return (str(error).strip().splitlines() or [type(error).__name__])[0]
    return ""


def _end(instance: dg.DagsterInstance, run: dg.DagsterRun, message: str) -> None:
    """End a run that nobody executes."""
    instance.report_run_canceling(run, message=message)
    instance.report_run_canceled(run, message=message)


def _wait(instance: dg.DagsterInstance, run: dg.DagsterRun, seconds: float) -> dg.DagsterRun:
    """Wait until a run has ended; return what it is then."""
    until = time.monotonic() + seconds
    while True:
        now = instance.get_run_by_id(run.run_id) or run
        if now.is_finished or time.monotonic() >= until:
            return now
        time.sleep(_LOOK)
