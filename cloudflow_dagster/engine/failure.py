"""`on_failure`: when a run fails, another flow is started with what went wrong. Once.

Runs that a code server launched are watched by a sensor; this needs the daemon, and sees runs too
whose process was killed. A process that executes a run itself (the CLI, `flow.call`) starts the
other flow itself, and the sensor leaves those runs alone. That failures do not start runs forever
is seen to by the compiler (CF5009).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

import dagster as dg

from cloudflow_dagster.engine import tags
from cloudflow_dagster.engine.dead_runs import goes_on_by_itself
from cloudflow_dagster.engine.folder import FlowFolder, UnknownFlowError
from cloudflow_dagster.engine.jobs import dagster_job_name
from cloudflow_dagster.engine.lineage import lineage_of
from cloudflow_dagster.engine.run_resource import records_of
from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.plan import Plan
from cloudflow_dagster.project import Project
from cloudflow_dagster.runtime.summary import failure_of
from cloudflow_dagster.runtime.undoing import compensation_of

_NAME = "cloudflow__on_failure"


def failure_sensor(folder: FlowFolder) -> dg.SensorDefinition:
    """Return what starts the `on_failure` flows of all flows; only these are built for it."""
    listed = folder.listed
    followed = {job: flow.on_failure for job, flow in listed.items() if flow.on_failure}
    jobs = {id: _good_job(folder, id) for id in sorted(set(followed.values()))}
    targets = [job for job in jobs.values() if job is not None]

    def evaluate(context: dg.RunFailureSensorContext) -> dg.RunRequest | dg.SkipReason:
        failed = context.dagster_run
        following = followed.get(failed.job_name)
        if following is None:
            return dg.SkipReason("The flow has no `on_failure`.")
        if failed.tags.get(tags.IN_PROCESS):
            return dg.SkipReason("The process that executed the run sees to it.")
        if goes_on_by_itself(context.instance, failed.run_id):
            return dg.SkipReason("The run's process died, and the run goes on by itself.")
        plan = folder.loaded(failed.job_name).plan
        job = jobs.get(following)
        target = folder.loaded(job.name).plan if job else None
        if plan is None or job is None or target is None:
            return dg.SkipReason(f"There is no flow `{following}` that could be started.")
        message = context.failure_event.message or ""
        payload = what_failed(folder.project, context.instance, plan, failed, message)
        return dg.RunRequest(
            run_key=failed.run_id,
            job_name=job.name,
            run_config=_config(target, payload),
            tags={tags.FAILURE_OF: failed.run_id},
        )

    # Dagster's types for it are partly unknown.
    return cast("Any", dg).run_failure_sensor(
        name=_NAME,
        description="Starts the `on_failure` flow of a flow whose run failed.",
        request_jobs=targets or None,
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=2,
    )(evaluate)


def _good_job(folder: FlowFolder, flow: str) -> dg.JobDefinition | None:
    """Return the job of a flow, if there is one that is not broken."""
    job = dagster_job_name(flow)
    listed = folder.listed.get(job)
    return None if listed is None or listed.broken else folder.loaded(job).job


def handler_for(
    project: Project, instance: dg.DagsterInstance, plan: Plan, failed: dg.DagsterRun, message: str
) -> dict[str, Any] | None:
    """Return the run to start after the failure of a run that this process executed.

    Returns:
        The fields of a `FlowRun`; None if the flow has no `on_failure`, or that cannot run.
    """
    if plan.on_failure is None:
        return None
    try:
        target = FlowFolder(project).one(plan.on_failure)
    except UnknownFlowError as error:
        instance.report_engine_event(f"on_failure: {error}", failed)
        return None
    if target.plan is None:
        instance.report_engine_event(f"on_failure: `{plan.on_failure}` is broken.", failed)
        return None
    payload = what_failed(project, instance, plan, failed, message)
    return {
        "plan": target.plan,
        "job": target.job,
        "config": _config(target.plan, payload),
        "tags": {tags.FAILURE_OF: failed.run_id},
    }


def what_failed(
    project: Project,
    instance: dg.DagsterInstance,
    plan: Plan,
    failed: dg.DagsterRun,
    message: str,
) -> dict[str, Json]:
    """Return `{flow, run_id, node, error}` of a failed run, and `compensation` if it was undone.

    `node` is null where no node is to blame: the params did not fit, the run took too long, its
    process was killed.
    """
    with records_of(project, failed.run_id, lineage_of(instance, failed)) as records:
        found = failure_of(plan, records, only=failed.tags.get(tags.ONLY))
        compensation = compensation_of(plan, records)
    node, error = found or (
        None,
        {
            "node": None,
            "code": "RunFailed",
            "message": message,
            "provider_request_id": None,
            "attempts": 0,
        },
    )
    told = {"flow": plan.flow, "run_id": failed.run_id, "node": node, "error": error}
    return told if compensation is None else {**told, "compensation": compensation}


def _config(target: Plan, payload: Mapping[str, Json]) -> dict[str, Any]:
    config: dict[str, Any] = {"params": _accepted(target, payload)}
    trigger = target.manual_trigger
    if trigger:
        time = datetime.now(UTC).isoformat()
        config["trigger"] = trigger.id
        config["event"] = {"type": trigger.type, "time": time, "payload": dict(payload)}
    return config


def _accepted(target: Plan, payload: Mapping[str, Json]) -> dict[str, Json]:
    """Return what of the payload the flow takes as params."""
    if target.params.get("additionalProperties", True) is not False:
        return dict(payload)
    declared: Mapping[str, Any] = target.params.get("properties") or {}
    return {name: value for name, value in payload.items() if name in declared}
