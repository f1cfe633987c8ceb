"""Executes one step outside loops: what the engine calls for an op.

A step's record is written before the function returns; Dagster is told no data.
"""

from __future__ import annotations

from cloudflow_dagster.nodes.call import CallLog
from cloudflow_dagster.plan import Step
from cloudflow_dagster.runtime.frame import Frame
from cloudflow_dagster.runtime.iteration import is_loop, run_loop
from cloudflow_dagster.runtime.outcome import Again, Done, Ending, StepFailed
from cloudflow_dagster.runtime.run import Run
from cloudflow_dagster.runtime.work import execute

__all__ = ["Again", "Done", "Ending", "StepFailed", "execute_step"]


def execute_step(run: Run, step: Step, attempt: int, log: CallLog) -> Done | Again:
    """Execute a step outside loops, whose edges are all decided.

    A loop is executed as a whole; the engine takes it in parts instead (`loops.py`).

    Args:
        run: The run.
        step: One of the plan's own steps, not of a body.
        attempt: From 1; the engine calls again after `Again`.
        log: The step's log.

    Raises:
        Canceled: The run was told to stop.
        RecordsError: The records cannot be read or written.
    """
    frame = Frame(run)
    if is_loop(step):
        return run_loop(frame, step, lambda _step, _indices: log)
    return execute(frame, step, attempt, log)
