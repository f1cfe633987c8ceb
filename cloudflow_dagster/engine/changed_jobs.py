"""Runs whose flow has changed between their launch and their start.

Whoever launches a run writes down all its steps, as the code server has just told them; a flow that
was saved within the last second, or while the run was queued, has others by now. Dagster would
refuse the run where a step is gone, and leave out in silence what is new. Here such a run executes
the flow as it is when it starts, and the history says so. Checked on Dagster 1.13.27.
"""

from __future__ import annotations

from typing import Any, cast

import dagster as dg
from dagster._core.definitions.job_base import IJob
from dagster._core.events import EngineEventData
from dagster._core.execution.api import (
    _get_execution_plan_from_run,  # pyright: ignore[reportPrivateUsage] - as Dagster makes it
    create_execution_plan,
)
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.snap import snapshot_from_execution_plan
from dagster._core.storage.runs.schema import RunsTable
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage
from dagster._record import copy as with_fields  # pyright: ignore[reportUnknownVariableType]
from dagster._serdes import serialize_value

from cloudflow_dagster.engine import names, tags


def plan_at_start(
    job: IJob, run: dg.DagsterRun, instance: dg.DagsterInstance
) -> tuple[ExecutionPlan, dg.DagsterRun]:
    """Return what a run that starts now executes, and the run as it is in the history then.

    A run that was launched to execute some of a job's steps, or that goes on where another one
    failed, executes those; so does one of a job that is no flow.

    Args:
        job: The run's job, as it is now.
        run: A run that has not started.
        instance: Where it is kept.

    Raises:
        DagsterExecutionStepNotFoundError: It is a run of some steps, and one of them is gone.
    """
    if tags.FLOW not in run.tags or not run.step_keys_to_execute:
        return _get_execution_plan_from_run(job, run, instance), run
    launched = {names.unmapped(key) for key in run.step_keys_to_execute}
    present = set(job.get_definition().graph.node_dict)
    # The jobs of flows have no graphs in graphs, so their nodes are their steps.
    if launched == present or not _was_whole(run, instance):
        return _get_execution_plan_from_run(job, run, instance), run
    instance.report_engine_event(
        "The flow has changed since the run was launched, and is run as it is now."
        + _said("New", present - launched)
        + _said("Gone", launched - present),
        run,
        EngineEventData(),
    )
    plan = create_execution_plan(
        job,
        run_config=run.run_config,
        instance_ref=instance.get_ref() if instance.is_persistent else None,
        tags=run.tags,
    )
    return plan, _written_anew(job, plan, run, instance)


def _said(what: str, steps: set[str]) -> str:
    nodes = dict.fromkeys(names.node_of(key)[0] for key in sorted(steps))
    return f" {what}: {', '.join(f'`{node}`' for node in nodes)}." if nodes else ""


def _was_whole(run: dg.DagsterRun, instance: dg.DagsterInstance) -> bool:
    """Return whether a run was launched to execute all steps of its job, from the beginning."""
    launched = instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id or "")
    known = launched.initial_known_state
    goes_on = known is not None and known.parent_state is not None
    return not goes_on and {step.key for step in launched.steps} == set(
        run.step_keys_to_execute or ()
    )


def _written_anew(
    job: IJob, plan: ExecutionPlan, run: dg.DagsterRun, instance: dg.DagsterInstance
) -> dg.DagsterRun:
    """Let the history show, and a run that goes on from this one know, what is executed."""
    storage = cast("SqlRunStorage", instance.run_storage)
    definition = job.get_definition()
    job_id = definition.get_job_snapshot_id()
    if not storage.has_job_snapshot(job_id):
        storage.add_job_snapshot(definition.get_job_snapshot())
    plan_id = storage.add_execution_plan_snapshot(snapshot_from_execution_plan(plan, job_id))
    present = instance.get_run_by_id(run.run_id) or run
    # Dagster's types for it are partly unknown.
    written: dg.DagsterRun = cast("Any", with_fields)(
        present,
        job_snapshot_id=job_id,
        execution_plan_snapshot_id=plan_id,
        step_keys_to_execute=list(plan.step_keys_to_execute),
    )
    with storage.connect() as connection:
        connection.execute(
            RunsTable.update()
            .where(RunsTable.c.run_id == run.run_id)
            .values(run_body=serialize_value(written), snapshot_id=job_id)
        )
    return written
