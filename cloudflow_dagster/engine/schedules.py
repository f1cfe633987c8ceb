"""`trigger.cron` becomes a Dagster schedule, running unless somebody switches it off."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from cloudflow_dagster.engine import names, tags
from cloudflow_dagster.engine.params import params_from_event
from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.plan import Plan, Step


def schedules_for(
    plan: Plan, job: str, variables: Mapping[str, Json]
) -> Iterator[dg.ScheduleDefinition]:
    """Yield the schedules of a flow, one for each of its cron triggers.

    Args:
        plan: The flow's plan.
        job: The name of the flow's job, which need not be built for this.
        variables: The project's variables.
    """
    for trigger in plan.triggers:
        if trigger.type == "trigger.cron" and not trigger.disabled:
            yield _schedule(plan, trigger, job, variables)


def _schedule(
    plan: Plan, trigger: Step, job: str, variables: Mapping[str, Json]
) -> dg.ScheduleDefinition:
    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        at = context.scheduled_execution_time.isoformat()
        return dg.RunRequest(
            run_key=at,
            run_config=run_config(trigger, at, variables),
            tags={tags.TRIGGER: trigger.id},
        )

    return dg.ScheduleDefinition(
        name=names.schedule_name(plan.flow, trigger.id),
        cron_schedule=trigger.config["schedule"],
        execution_timezone=trigger.config.get("timezone", "UTC"),
        job_name=job,
        execution_fn=tick,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=trigger.notes or trigger.label or f"Starts `{plan.flow}` at `{trigger.id}`.",
        tags={tags.FLOW: plan.flow},
    )


def run_config(trigger: Step, scheduled_at: str, variables: Mapping[str, Json]) -> dict[str, Any]:
    """Return the config of a run that a schedule starts."""
    event = {
        "type": trigger.type,
        "time": datetime.now(UTC).isoformat(),
        "payload": {"scheduled_at": scheduled_at},
    }
    config: dict[str, Any] = {"trigger": trigger.id, "event": event}
    params = params_from_event(trigger, event, variables)
    return {"params": params, **config} if params else config
