"""Executes a whole plan in this process, without an engine and its history."""

from __future__ import annotations

from cloudflow_dagster.plan import Step
from cloudflow_dagster.runtime.body import run_steps
from cloudflow_dagster.runtime.frame import Frame
from cloudflow_dagster.runtime.iteration import execute_to_end
from cloudflow_dagster.runtime.record import Record
from cloudflow_dagster.runtime.run import LogFor, Run


def run_plan(run: Run, log_for: LogFor) -> None:
    """Execute all steps of a run's plan; `run.records` then holds what they gave.

    Raises:
        Canceled: The run was told to stop.
    """
    frame = Frame(run)
    try:
        run_steps(
            run.plan.steps,
            lambda step: execute_to_end(frame, step, log_for),
            _not_run,
        )
    finally:
        run.records.flush()


def _not_run(step: Step) -> Record:
    """Outside loops it follows from the plan which steps were not run: nothing is recorded."""
    del step
    return Record("not_run")
