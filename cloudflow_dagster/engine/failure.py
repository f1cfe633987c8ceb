"""`on_failure`: when a run fails, another flow is started with what went wrong. Once.

Runs that a code server launched are watched by a sensor; this needs the daemon, and sees runs too
whose process was killed. A process that executes a run itself (the CLI, `flow.call`) starts the
other flow itself, and the sensor leaves those runs alone. That failures do not start runs forever
is seen to by the compiler (CF5009).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import dagster as dg

from cloudflow_dagster.engine import tags
from cloudflow_dagster.engine.folder import FlowFolder, LoadedFlow, UnknownFlowError
from cloudflow_dagster.engine.lineage import lineage_of
from cloudflow_dagster.engine.run_resource import records_of
from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.plan import Plan
from cloudflow_dagster.project import Project
from cloudflow_dagster.runtime.summary import failure_of

_NAME = "cloudflow__on_failure"


def failure_sensor(flows: Sequence[LoadedFlow], project: Project) -> dg.SensorDefinition:
    """Return what starts the `on_failure` flows of all flows."""
    plans = {flow.job.name: flow.plan for flow in flows if flow.plan and flow.plan.on_failure}
    by_id = {flow.plan.flow: flow for flow in flows if flow.plan}
    targets = {plan.on_failure for plan in plans.values() if plan.on_failure in by_id}

    def evaluate(context: dg.RunFailureSensorContext) -> dg.RunRequest | dg.SkipReason:
        failed = context.dagster_run
        plan = plans.get(failed.job_name)
        if plan is None:
            return dg.SkipReason("The flow has no `on_failure`.")
        target = by_id.get(plan.on_failure or "")
        if tags.IN_PROCESS in failed.tags:
            return dg.SkipReason("The process that executed the run sees to it.")
        if target is None or target.plan is None:
            return dg.SkipReason(f"There is no flow `{plan.on_failure}` that could be started.")
        message = context.failure_event.message or ""
        payload = what_failed(project, context.instance, plan, failed, message)
        return dg.RunRequest(
            run_key=failed.run_id,
            job_name=target.job.name,
            run_config=_config(target.plan, payload),
            tags={tags.FAILURE_OF: failed.run_id},
        )

    # Dagster's types for it are partly unknown.
    return cast("Any", dg).run_failure_sensor(
        name=_NAME,
        description="Starts the `on_failure` flow of a flow whose run failed.",
        request_jobs=[by_id[target].job for target in sorted(filter(None, targets))] or None,
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=2,
    )(evaluate)


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
    """Return `{flow, run_id, node, error}` of a failed run.

    `node` is null where no node is to blame: the params did not fit, the run took too long, its
    process was killed.
    """
    with records_of(project, failed.run_id, lineage_of(instance, failed)) as records:
        found = failure_of(plan, records, only=failed.tags.get(tags.ONLY))
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
    return {"flow": plan.flow, "run_id": failed.run_id, "node": node, "error": error}


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
