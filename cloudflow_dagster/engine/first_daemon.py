"""Lets the first daemon of an instance go on with what was interrupted before it first looked.

Dagster's daemon reads failures from where it stopped the last time; one that never looked before
begins at the end of the history, and a run that was interrupted until then would stay failed for
ever. An instance without a history can begin at its start. Which cursor that is Dagster does not
say in public. Checked on Dagster 1.13.27.
"""

from __future__ import annotations

import dagster as dg
from dagster._daemon.auto_run_reexecution.event_log_consumer import (
    DAGSTER_EVENT_TYPES,
    _create_cursor_key,  # pyright: ignore[reportPrivateUsage] - see the module
)


def see_all_failures(instance: dg.DagsterInstance) -> None:
    """Let the daemon of a new instance begin at the start of its history."""
    if instance.get_runs_count():
        return
    keys = {_create_cursor_key(event_type) for event_type in DAGSTER_EVENT_TYPES}
    cursors = instance.daemon_cursor_storage
    missing = keys - cursors.get_cursor_values(keys).keys()
    cursors.set_cursor_values(dict.fromkeys(missing, "0"))
