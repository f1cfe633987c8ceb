"""A run of a flow from its beginning to its end, executed by this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from cloudflow_dagster.engine import tags
from cloudflow_dagster.engine.failure import handler_for
from cloudflow_dagster.engine.in_process import NewRun, create_run, execute
from cloudflow_dagster.engine.lineage import lineage_of
from cloudflow_dagster.engine.run_resource import records_of
from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.plan import Plan
from cloudflow_dagster.project import Project
from cloudflow_dagster.runtime.record import RunFacts
from cloudflow_dagster.runtime.summary import RunStatus, summarise

_STATUS: Mapping[dg.DagsterRunStatus, RunStatus] = {
    dg.DagsterRunStatus.SUCCESS: "success",
    dg.DagsterRunStatus.FAILURE: "failure",
    dg.DagsterRunStatus.CANCELED: "canceled",
    dg.DagsterRunStatus.CANCELING: "canceled",
}


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
    new.on_start(run)
    message = ""
    for event in execute(instance, new.job, run, parent=new.parent):
        if event.event_type is dg.DagsterEventType.RUN_FAILURE:
            message = _message_of(event)
        new.on_event(event)
    summary = summary_of(project, instance, new.plan, run.run_id)
    if summary["status"] == "failure":
        handler = handler_for(project, instance, new.plan, run, message)
        if handler is not None:
            run_to_end(project, instance, FlowRun(**handler))
    return summary


def _message_of(event: dg.DagsterEvent) -> str:
    error = event.job_failure_data.error
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
        return summarise(plan, records, status, only=run.tags.get(tags.ONLY))
