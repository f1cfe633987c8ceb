"""Lets Dagster's daemon go on with every interrupted run, also where it would not look.

The daemon reads failures from where it stopped the last time, and goes on with those that will be
retried. It misses some:

- One that never looked before begins at the end of the history, and a run that was interrupted
  until then would stay failed for ever. An instance without a history can begin at its start.
- The event of a failure is stored a moment before the run counts as failed. Whoever reads both in
  between takes the run for one that has not failed, and reads on.

Which cursor it is Dagster does not say in public. Checked on Dagster 1.13.27.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG, WILL_RETRY_TAG
from dagster._daemon.auto_run_reexecution.event_log_consumer import (
    DAGSTER_EVENT_TYPES,
    _create_cursor_key,  # pyright: ignore[reportPrivateUsage] - see the module
)

_PATIENCE = timedelta(seconds=10)
"""After this a failed run that will be retried is retried, or was missed."""
_RECENT = timedelta(days=1)


def see_all_failures(instance: dg.DagsterInstance) -> None:
    """Let the daemon of a new instance begin at the start of its history."""
    if instance.get_runs_count():
        return
    keys = {_create_cursor_key(event_type) for event_type in DAGSTER_EVENT_TYPES}
    cursors = instance.daemon_cursor_storage
    missing = keys - cursors.get_cursor_values(keys).keys()
    cursors.set_cursor_values(dict.fromkeys(missing, "0"))


def see_again(instance: dg.DagsterInstance, shown: set[str]) -> None:
    """Let the daemon read the failures again that it has missed.

    It does nothing to those that it has seen to: a run is retried once.

    Args:
        instance: Whose daemon.
        shown: Ids of the runs of which this was done before; more are added.
    """
    missed = [
        event for run_id in _unretried(instance, shown) if (event := _event(instance, run_id))
    ]
    if not missed:
        return
    key = _create_cursor_key(dg.DagsterEventType.RUN_FAILURE)
    cursors = instance.daemon_cursor_storage
    now = int(cursors.get_cursor_values({key}).get(key) or 0)
    read = [event for event in missed if event[0] <= now]
    if read:
        cursors.set_cursor_values({key: str(min(number for number, _ in read) - 1)})
        shown.update(run_id for _, run_id in read)


def _unretried(instance: dg.DagsterInstance, shown: set[str]) -> list[str]:
    now = datetime.now(UTC)
    failed = instance.get_run_records(
        dg.RunsFilter(
            statuses=[dg.DagsterRunStatus.FAILURE],
            tags={WILL_RETRY_TAG: "true"},
            updated_after=now - _RECENT,
        )
    )
    return [
        record.dagster_run.run_id
        for record in failed
        if AUTO_RETRY_RUN_ID_TAG not in record.dagster_run.tags
        and record.dagster_run.run_id not in shown
        and now - record.update_timestamp > _PATIENCE
    ]


def _event(instance: dg.DagsterInstance, run_id: str) -> tuple[int, str] | None:
    """Return the number of a run's failure in the history of all runs, with the run's id."""
    if isinstance(instance.event_log_storage, SqliteEventLogStorage):
        return None  # Dagster's own, in which each run has numbers of its own
    found = instance.get_records_for_run(
        run_id, of_type=dg.DagsterEventType.RUN_FAILURE, limit=1, ascending=False
    ).records
    return (found[0].storage_id, run_id) if found else None
