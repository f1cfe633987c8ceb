"""Starting at the times of a cron expression."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, cast

from pydantic import Field, WithJsonSchema
from typing_extensions import TypedDict

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.declare import trigger
from cloudflow_dagster.providers.trigger.cron_syntax import cron_problem
from cloudflow_dagster.providers.trigger.time_zones import time_zone_problem

Schedule = Annotated[
    str | list[str],
    WithJsonSchema({"type": ["string", "array"], "items": {"type": "string"}, "minItems": 1}),
]


class CronPayload(TypedDict):
    """The payload of the event of a schedule."""

    scheduled_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    """The time the schedule meant, ISO 8601, which is before the time the run starts."""


def check_schedule(config: Mapping[str, Json]) -> list[tuple[tuple[str | int, ...], str]]:
    """Find cron expressions and time zones that Dagster would refuse or never reach."""
    return [*_schedule_findings(config.get("schedule")), *_zone_findings(config.get("timezone"))]


def _schedule_findings(schedule: Json) -> Iterator[tuple[tuple[str | int, ...], str]]:
    entries: list[tuple[tuple[str | int, ...], Any]] = [(("schedule",), schedule)]
    if isinstance(schedule, list):
        listed = cast("list[Any]", schedule)
        entries = [(("schedule", n), entry) for n, entry in enumerate(listed)]
        if not entries:
            yield ("schedule",), "The list of schedules is empty; the flow would never start."
    for path, entry in entries:
        if not isinstance(entry, str):
            continue  # the schema says so
        if "{{" in entry:
            yield path, "A schedule is read before any run, so it cannot hold an expression."
        elif problem := cron_problem(entry):
            yield path, problem


def _zone_findings(zone: Json) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if not isinstance(zone, str):
        return
    if "{{" in zone:
        yield ("timezone",), "A time zone is read before any run; it cannot hold an expression."
    elif problem := time_zone_problem(zone):
        yield ("timezone",), problem


@trigger(
    "trigger.cron",
    label="Schedule",
    icon="clock",
    sample={"scheduled_at": "2026-01-01T00:00:00+00:00"},
    check=check_schedule,
)
def cron(scheduled_at: datetime, *, schedule: Schedule, timezone: str = "UTC") -> CronPayload:
    """Starts the flow at the times of a cron expression.

    Args:
        scheduled_at: The time the schedule meant.
        schedule: Five fields (minute, hour, day of the month, month, day of the week) or one of
            `@hourly`, `@daily`, `@midnight`, `@weekly`, `@monthly`, `@yearly`, `@annually`; or a
            list of such, which starts the flow at the times of each.
        timezone: IANA name of the time zone the schedule is meant in, such as `Europe/Berlin`.
    """
    return {"scheduled_at": scheduled_at.isoformat()}
