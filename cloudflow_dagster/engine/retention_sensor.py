"""Lets a deployment delete by itself what it does not keep any longer, once an hour.

A sensor and not a thread: Dagster's daemon calls it in every deployment, also those that are
started with Dagster's own commands, and its pages show when it did what, and let it be stopped.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

import dagster as dg

from cloudflow_dagster.engine.retention import prune
from cloudflow_dagster.project import Project

NAME = "cloudflow__retention"
EVERY = 3_600.0
"""Seconds after which it looks again."""
_LOOK = 300
_AT_ONCE = 20.0
"""Seconds that one look may take: Dagster gives a sensor 60. It goes on with the next."""


def retention_sensor(project: Project) -> dg.SensorDefinition:
    """Return what deletes the runs of a project that are not kept any longer."""

    def evaluate(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        last = _number(context.cursor)
        now = time.time()
        # A clock that was set back must not keep it waiting.
        if last <= now < last + EVERY:
            again = datetime.fromtimestamp(last + EVERY, UTC).strftime("%H:%M")
            return dg.SkipReason(f"It looks again at {again} UTC.")
        done = prune(project, context.instance, seconds=_AT_ONCE)
        if done.busy:
            return dg.SkipReason("Another process does it already.")
        if done.complete:
            context.update_cursor(str(now))
        count = len(done.runs)
        return dg.SkipReason(
            f"Deleted {count:,} {'run' if count == 1 else 'runs'} that are not kept any longer"
            f"{'.' if done.complete else '; there are more.'}"
        )

    return dg.SensorDefinition(
        name=NAME,
        evaluation_fn=evaluate,
        description=(
            "Deletes runs, with their events and outputs, that are not kept any longer by "
            "`settings.retention` in `cloudflow.yaml`."
        ),
        minimum_interval_seconds=_LOOK,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )


def _number(text: str | None) -> float:
    try:
        return float(text or 0)
    except ValueError:
        return 0.0
