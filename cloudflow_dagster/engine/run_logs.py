"""What a run wrote into Dagster's event log, line by line, also while it goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg

from cloudflow_dagster.engine import names
from cloudflow_dagster.engine.run_error import error_of
from cloudflow_dagster.engine.run_list import time_text
from cloudflow_dagster.flow.model import Json

_AT_A_TIME = 500
"""Events that are in memory at the same time."""
_LEVELS = {10: "debug", 20: "info", 30: "warning", 40: "error", 50: "critical"}
_LOOK = 0.3
"""Seconds between two looks for more."""


@dataclass(frozen=True, kw_only=True)
class LogLine:
    """One event of a run.

    Attributes:
        time: When, ISO 8601.
        level: `debug`, `info`, `warning`, `error` or `critical`.
        node: The node that it belongs to, or None.
        step: The key of the step, which for a loop names the items too, or None.
        kind: Dagster's event type, or `LOG` for what a node wrote.
        message: What it says.
    """

    time: str
    level: str
    node: str | None
    step: str | None
    kind: str
    message: str

    def as_json(self) -> dict[str, Json]:
        """Return what `--format json` prints."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def log_lines(
    instance: dg.DagsterInstance, run_id: str, *, node: str | None = None, follow: bool = False
) -> Iterator[LogLine]:
    """Yield what a run wrote, the oldest first.

    Args:
        instance: The history.
        run_id: The run.
        node: Only what belongs to this node; of a loop all its steps.
        follow: Go on until the run has ended.
    """
    cursor: str | None = None
    while True:
        # Before the events are read: what it wrote until it ended is then there.
        over = not follow or _ended(instance, run_id)
        while True:
            found = instance.get_records_for_run(run_id, cursor=cursor, limit=_AT_A_TIME)
            cursor = found.cursor
            for record in found.records:
                line = _line(record.event_log_entry)
                if node is None or line.node == node:
                    yield line
            if not found.has_more:
                break
        if over:
            return
        time.sleep(_LOOK)


def _ended(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is None or run.is_finished


def _line(entry: dg.EventLogEntry) -> LogLine:
    step = entry.step_key
    return LogLine(
        time=time_text(entry.timestamp) or "",
        level=_LEVELS.get(int(entry.level), "info"),
        node=names.node_of(step)[0] if step else None,
        step=step,
        kind=entry.dagster_event.event_type.name if entry.dagster_event else "LOG",
        message=_message(entry),
    )


def _message(entry: dg.EventLogEntry) -> str:
    """Return what an event says, with what went wrong; never a traceback."""
    event = entry.dagster_event
    if event is None:
        return entry.user_message
    said = event.message or entry.user_message
    match event.event_type:
        case dg.DagsterEventType.STEP_FAILURE:
            error = event.step_failure_data.error
        case _:
            error = error_of(event)
    why = error.message.strip() if error else ""
    return f"{said} {why}" if why and why not in said else said
