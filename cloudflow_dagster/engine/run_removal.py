"""Removes runs whole: Dagster's run and events, what the records hold, and stored files.

A kill in the middle leaves nothing half-deleted for good: what is about to be removed is written
down before, each part can be removed twice, and the next removal begins with what is written down.

Dagster's own `delete_run` leaves behind, on SQLite, the run's tags (SQLite heeds no `ON DELETE
CASCADE` unless it is told to) and the file with the run's events, which it even makes if it is not
there. So it is done with its storage classes. Checked on Dagster 1.13.27.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import dagster as dg
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.runs.schema import RunTagsTable
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage

from cloudflow_dagster.project import Project
from cloudflow_dagster.runtime.remembered import Remembered


class RunRemoval:
    """Removes runs of one project; one process at a time, which is the caller's to see to.

    Args:
        project: Where the records and files lie.
        instance: The history.
    """

    def __init__(self, project: Project, instance: dg.DagsterInstance) -> None:
        self._state = project.state
        self._instance = instance
        self._begun = project.state / "being_deleted.json"
        self._remembered = Remembered(project.records)

    def finish(self) -> list[str]:
        """Remove what an earlier removal had begun with; return what that was."""
        try:
            written: Any = json.loads(self._begun.read_text("utf-8"))
        except FileNotFoundError:
            return []
        except ValueError:
            # It is written whole or not at all, so somebody else wrote it.
            written = []
        listed = cast("list[Any]", written) if isinstance(written, list) else []
        runs = [run for run in listed if isinstance(run, str)]
        self._remove_written(runs)
        return runs

    def remove(self, runs: Sequence[str]) -> None:
        """Remove runs, whatever is there of each. None of them may go on."""
        fresh = self._begun.with_suffix(".new")
        fresh.write_text(json.dumps(list(runs)), "utf-8")
        fresh.replace(self._begun)
        self._remove_written(runs)

    def _remove_written(self, runs: Sequence[str]) -> None:
        for run_id in runs:
            # Dagster's part first: from then on nobody sees a run without its values.
            self._remove_run(run_id)
            self._remove_events(run_id)
            self._remembered.forget(run_id)
            self._remove_files(run_id)
        self._remembered.forget_unused_plans()
        self._begun.unlink(missing_ok=True)

    def _remove_run(self, run_id: str) -> None:
        storage = self._instance.run_storage
        storage.delete_run(run_id)
        if isinstance(storage, SqliteRunStorage):
            with storage.connect() as connection:
                connection.execute(RunTagsTable.delete().where(RunTagsTable.c.run_id == run_id))

    def _remove_events(self, run_id: str) -> None:
        # Dagster's types for it are partly unknown.
        storage = cast("Any", self._instance.event_log_storage)
        if not isinstance(storage, SqliteEventLogStorage):
            storage.delete_events(run_id)
            return
        with storage.index_connection() as connection:
            storage.delete_events_for_run(connection, run_id)
        storage.free_concurrency_slots_for_run(run_id)
        if _is_name(run_id):
            file = Path(storage.path_for_shard(run_id))
            for part in ("", "-wal", "-shm"):
                file.with_name(file.name + part).unlink(missing_ok=True)

    def _remove_files(self, run_id: str) -> None:
        if _is_name(run_id):
            with suppress(FileNotFoundError):
                shutil.rmtree(self._state / "files" / run_id)


def _is_name(run_id: str) -> bool:
    """Return whether a run's id, which whoever asks Dagster for a run may choose, names no path."""
    return run_id not in {"", ".", ".."} and Path(run_id).name == run_id
