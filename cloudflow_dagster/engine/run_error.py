"""The error that Dagster keeps of a run that failed."""

from __future__ import annotations

from typing import cast

import dagster as dg
from dagster._core.events import JobFailureData
from dagster_shared.error import SerializableErrorInfo


def error_of(event: dg.DagsterEvent) -> SerializableErrorInfo | None:
    """Return what went wrong, of the event that ends a run.

    None if it is only told in the event's message: when others than the run's own process say that
    it failed, Dagster keeps no data of it, which its type does not say.
    """
    if event.event_type is not dg.DagsterEventType.RUN_FAILURE:
        return None
    data = cast("JobFailureData | None", event.job_failure_data)
    return data.error if data else None
