"""Which runs wait for which, as their tags say (`flow.call`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import dagster as dg

from cloudflow_dagster.engine import tags


class Caller(NamedTuple):
    """A run that waits for another one."""

    flow: str
    run_id: str


def waiting_for(run: dg.DagsterRun) -> list[Caller]:
    """Return the runs that wait for this one, the outermost first."""
    parts = [part.partition(":") for part in run.tags.get(tags.CALL_CHAIN, "").split(",") if part]
    return [Caller(flow, run_id) for flow, _, run_id in parts]


def ancestors_of(run: dg.DagsterRun) -> list[str]:
    """Return the ids of the runs that wait for this one, the outermost first."""
    return [caller.run_id for caller in waiting_for(run)]


def written(callers: Iterable[Caller]) -> str:
    """Return the value of the tag that says so."""
    return ",".join(f"{caller.flow}:{caller.run_id}" for caller in callers)
