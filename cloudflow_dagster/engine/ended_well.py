"""Runs whose process died when all that was missing was to say that they succeeded.

Dagster would go on with such a run and finds nothing to do: it stays failed for ever.
"""

from __future__ import annotations

import dagster as dg
from dagster._core.execution.plan.state import KnownExecutionState

from cloudflow_dagster.engine import tags


def report_ended_well(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Report a flow's run as succeeded if all of its steps have; return whether they had.

    What is left is what Dagster works out for "re-execute from failure", as in `execution.py`; it
    counts everything in a flow, because each loop has a step that comes after its items.

    Args:
        instance: Where the run is kept.
        run: A run whose process is gone.
    """
    if run.status is not dg.DagsterRunStatus.STARTED or tags.FLOW not in run.tags:
        return False
    failed = run.with_status(dg.DagsterRunStatus.FAILURE)
    left, _ = KnownExecutionState.build_resume_retry_reexecution(instance, failed)
    if left:
        return False
    instance.report_dagster_event(
        dg.DagsterEvent(
            event_type_value=dg.DagsterEventType.RUN_SUCCESS.value,
            job_name=run.job_name,
            message="All steps had succeeded when the process that executed the run ended.",
        ),
        run_id=run.run_id,
    )
    return True
