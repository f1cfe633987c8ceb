"""A run done again: from where it failed, or whole; linked to the first as Dagster's pages do it.

Dagster's own way of making such a run goes through a workspace, which costs a code server, or
through `dg.execute_job`, which knows neither an origin nor events while it goes on. Checked on
Dagster 1.13.27.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dagster as dg
from dagster._core.errors import DagsterExecutionStepNotFoundError
from dagster._core.execution.api import create_execution_plan
from dagster._core.execution.plan.state import KnownExecutionState

from cloudflow_dagster.engine import names, tags
from cloudflow_dagster.engine.lineage import was_undone
from cloudflow_dagster.engine.origins import job_origin
from cloudflow_dagster.engine.run_list import status_of
from cloudflow_dagster.engine.this_process import this_process

_CAN_GO_ON = {dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}
_ONE_RUN = {
    tags.IN_PROCESS,
    tags.ADMITTED,
    tags.SLOT,
    tags.PARENT_RUN,
    tags.CALL_CHAIN,
    tags.UNDOES,
    tags.UNDONE,
}
"""Tags that speak of how one run was started or is executed."""
_ONE_LINE = {tags.CALL}
"""Tags that hold for what goes on with a run, and not for what does all of it again."""
_OF_DAGSTER = ("dagster/", ".dagster/")


class CannotRetry(Exception):  # noqa: N818 - it says what it means
    """The run cannot be done again; the message says why and what to do."""


def check_can_retry(run: dg.DagsterRun, *, whole: bool) -> None:
    """See whether a run can be done again.

    Raises:
        CannotRetry: It has not ended, or all of it succeeded, or it is none of a flow.
    """
    if tags.FLOW not in run.tags:
        raise CannotRetry(
            f"run {run.run_id} is of the job `{run.job_name}`, which is no flow. Do it again in "
            "Dagster's pages."
        )
    if not run.is_finished:
        raise CannotRetry(
            f"run {run.run_id} has not ended yet: it is {status_of(run)}. `cloudflow runs cancel` "
            "stops it."
        )
    if not whole and run.status not in _CAN_GO_ON:
        raise CannotRetry(
            f"run {run.run_id} succeeded, so there is nothing to go on from. `--whole` does all of "
            "it again."
        )


def new_run(
    instance: dg.DagsterInstance,
    job: dg.JobDefinition,
    ended: dg.DagsterRun,
    *,
    whole: bool,
    marks: Mapping[str, str] | None = None,
) -> dg.DagsterRun:
    """Record a run, to be executed by this process, that does another one again.

    Args:
        instance: The history.
        job: The job, as it is now.
        ended: The run that has ended.
        whole: Whether all of it is done again, or only what had not succeeded.
        marks: More tags.

    Raises:
        CannotRetry: The flow has changed too much, or nothing is left to be done.
    """
    check_can_retry(ended, whole=whole)
    keys: Sequence[str] | None = ended.step_keys_to_execute if tags.ONLY in ended.tags else None
    known = None
    if not whole:
        keys, known = KnownExecutionState.build_resume_retry_reexecution(instance, ended)
        if was_undone(ended):
            # Nodes that succeeded were undone; those that were not are kept by their records.
            keys, known = None, None
        elif not keys and ended.execution_plan_snapshot_id and _began(instance, ended):
            raise CannotRetry(
                f"in run {ended.run_id} every node succeeded. `--whole` does all of it again."
            )
    kept = {
        key: value
        for key, value in ended.tags.items()
        if key not in (_ONE_RUN | _ONE_LINE if whole else _ONE_RUN)
        and not key.startswith(_OF_DAGSTER)
    }
    try:
        plan = create_execution_plan(
            job,
            ended.run_config,
            step_keys_to_execute=list(keys) if keys else None,
            known_state=known,
            tags=kept,
        )
    except DagsterExecutionStepNotFoundError as error:
        gone = ", ".join(sorted({f"`{names.node_of(key)[0]}`" for key in error.step_keys}))
        raise CannotRetry(
            f"the flow has changed since run {ended.run_id}: it does not have {gone} any more. "
            "`--whole` runs it as it is now."
        ) from None
    root = ended.root_run_id or ended.run_id
    line = {"dagster/parent_run_id": ended.run_id, "dagster/root_run_id": root}
    if not whole:
        line["dagster/is_resume_retry"] = "true"
    return instance.create_run_for_job(
        job,
        execution_plan=plan,
        run_config=ended.run_config,
        tags={**job.run_tags, **kept, **line, **(marks or {}), tags.IN_PROCESS: this_process()},
        parent_run_id=ended.run_id,
        root_run_id=root,
        remote_job_origin=job_origin(job.name) if ended.remote_job_origin else None,
    )


def _began(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Return whether any step of a run is in its history."""
    kinds = {dg.DagsterEventType.STEP_START}
    return bool(instance.get_records_for_run(run.run_id, of_type=kinds, limit=1).records)
