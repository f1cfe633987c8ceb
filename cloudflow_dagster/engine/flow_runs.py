"""A run of a flow from its beginning to its end, executed by this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from dagster._core.events import RunFailureReason
from dagster._core.storage.tags import RUN_FAILURE_REASON_TAG

from cloudflow_dagster.engine import tags
from cloudflow_dagster.engine.dead_runs import goes_on_by_itself
from cloudflow_dagster.engine.execution import report_resumed
from cloudflow_dagster.engine.failure import handler_for
from cloudflow_dagster.engine.in_process import NewRun, create_run, execute
from cloudflow_dagster.engine.jobs import job_for
from cloudflow_dagster.engine.lineage import lineage_of
from cloudflow_dagster.engine.run_error import error_of
from cloudflow_dagster.engine.run_resource import records_of
from cloudflow_dagster.engine.this_process import this_process
from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.plan import Plan
from cloudflow_dagster.project import Project
from cloudflow_dagster.runtime.plans import Plans
from cloudflow_dagster.runtime.record import RunFacts
from cloudflow_dagster.runtime.summary import RunStatus, summarise
from cloudflow_dagster.runtime.waits import Waits

_STATUS: Mapping[dg.DagsterRunStatus, RunStatus] = {
    dg.DagsterRunStatus.SUCCESS: "success",
    dg.DagsterRunStatus.FAILURE: "failure",
    dg.DagsterRunStatus.CANCELED: "canceled",
    dg.DagsterRunStatus.CANCELING: "canceled",
    dg.DagsterRunStatus.SUSPENDED: "waiting",
}
_RUN_FAILURE = dg.DagsterEventType.RUN_FAILURE.value


@dataclass(frozen=True, kw_only=True)
class FlowRun:
    """What to run.

    Attributes:
        plan: The flow's plan.
        job: The flow's job.
        config: As one would write it in the Launchpad.
        tags: Beside those of the job.
        steps: Keys of the steps to execute; None for all.
        listed: Whether the code location has the job.
        parent: Id of the run that waits for this one.
        on_start: Is told the run before its first event.
        on_event: Is told each event.
    """

    plan: Plan
    job: dg.JobDefinition
    config: Mapping[str, Json]
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    steps: Sequence[str] | None = None
    listed: bool = True
    parent: str | None = None
    on_start: Callable[[dg.DagsterRun], None] = lambda _: None
    on_event: Callable[[dg.DagsterEvent], None] = lambda _: None


def run_to_end(project: Project, instance: dg.DagsterInstance, new: FlowRun) -> dict[str, Json]:
    """Run a flow, then its `on_failure` flow if it failed; return the summary of the first."""
    run = create_run(
        instance,
        new.job,
        NewRun(config=new.config, tags=new.tags, steps=new.steps, listed=new.listed),
    )
    return execute_to_end(project, instance, new, run)


def execute_to_end(
    project: Project, instance: dg.DagsterInstance, new: FlowRun, run: dg.DagsterRun
) -> dict[str, Json]:
    """Execute a run that is recorded already; as `run_to_end`."""
    new.on_start(run)
    message = ""
    for event in execute(instance, new.job, run, parent=new.parent):
        if event.event_type_value == _RUN_FAILURE:
            message = _message_of(event)
        new.on_event(event)
    summary = summary_of(project, instance, new.plan, run.run_id)
    if summary["status"] == "failure":
        _handle_failure(project, instance, new.plan, run, message)
    return summary


def go_on(
    project: Project,
    instance: dg.DagsterInstance,
    run_id: str,
    on_event: Callable[[dg.DagsterEvent], None] = lambda _: None,
) -> dict[str, Json] | None:
    """Go on with a suspended run in this process, with the flow as it was when the run started.

    Args:
        project: The project.
        instance: Where the run is kept.
        run_id: The run's id. Nobody else goes on with it (`Waits.claim`).
        on_event: Is told each event.

    Returns:
        The run's summary; None if it was not suspended any more.
    """
    waits = Waits(project.records)
    run = instance.get_run_by_id(run_id)
    if run is None or run.status is not dg.DagsterRunStatus.SUSPENDED:
        waits.forget(run_id)
        return None
    plan = Plans(project.records).of_run(run_id)
    if plan is None:
        instance.report_run_failed(run, "What the run is a run of was not kept.")
        waits.forget(run_id)
        return None
    # Before it counts as one that goes on: who looks for dead runs must not find the old process.
    with records_of(project, run_id) as records:
        records.claim(this_process())
    instance.add_run_tags(run_id, {tags.WAITS: "over", tags.IN_PROCESS: this_process()})
    report_resumed(instance, run)
    now = instance.get_run_by_id(run_id) or run
    message = ""
    try:
        for event in execute(instance, job_for(plan, project), now, goes_on=True):
            if event.event_type_value == _RUN_FAILURE:
                message = _message_of(event)
            on_event(event)
    finally:
        if not _is_suspended(instance, run_id):
            waits.forget(run_id)
    summary = summary_of(project, instance, plan, run_id)
    if summary["status"] == "failure":
        _handle_failure(project, instance, plan, now, message)
    return summary


def _is_suspended(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is not None and run.status is dg.DagsterRunStatus.SUSPENDED


def _handle_failure(
    project: Project, instance: dg.DagsterInstance, plan: Plan, run: dg.DagsterRun, message: str
) -> None:
    if _is_gone_on_with(instance, run.run_id):
        return
    handler = handler_for(project, instance, plan, run, message)
    if handler is not None:
        run_to_end(project, instance, FlowRun(**handler))


def _is_gone_on_with(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Return whether a run that failed was only interrupted: by the daemon, or with its parent."""
    run = instance.get_run_by_id(run_id)
    if run is not None and run.tags.get(tags.PARENT_RUN):
        return run.tags.get(RUN_FAILURE_REASON_TAG) == RunFailureReason.UNEXPECTED_TERMINATION.value
    return goes_on_by_itself(instance, run_id)


def _message_of(event: dg.DagsterEvent) -> str:
    error = error_of(event)
    return error.message.strip() if error else event.message or ""


def summary_of(
    project: Project, instance: dg.DagsterInstance, plan: Plan, run_id: str
) -> dict[str, Any]:
    """Return what came of a run that has ended."""
    run = instance.get_run_by_id(run_id)
    if run is None:
        raise KeyError(run_id)
    with records_of(project, run_id, lineage_of(instance, run)) as records:
        if records.load_run() is None:
            # It ended before it began; the summary wants to know where it would have.
            first = plan.manual_trigger
            trigger = run.tags.get(tags.TRIGGER) or (first.id if first else None)
            records.save_run(RunFacts(flow=plan.flow, started_at="", trigger_node=trigger))
        status = _STATUS.get(run.status, "failure")
        waiting = frozenset(w.key.node for w in Waits(project.records).of_run(run_id))
        only = run.tags.get(tags.ONLY)
        return summarise(
            plan,
            records,
            status,
            only=only,
            waiting=waiting if status == "waiting" else frozenset(),
        )
