"""Dagster's storage on SQLite with connections kept open and events in batches.

For any instance; in its `dagster.yaml`:

    storage:
      custom:
        module: cloudflow_dagster.engine.history
        class: SqliteHistory
        config: {base_dir: /srv/dagster}

Without `base_dir` it lies in `DAGSTER_HOME`. Runs, schedules and ticks lie where Dagster's own
SQLite storage has them; the events of all runs lie in `history/event_log.db`. Those of an instance
that used Dagster's own storage before are taken over when it is opened for the first time. Checked
on Dagster 1.13.27.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

import dagster as dg
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage
from dagster._core.storage.sqlite import create_db_conn_string
from dagster._serdes import ConfigurableClass, ConfigurableClassData
from sqlalchemy.engine import Connection

from cloudflow_dagster.engine.connections import Connections, connections_to
from cloudflow_dagster.engine.earlier_events import make_event_log
from cloudflow_dagster.engine.event_log import BatchedEventLog

_REVISION = "SELECT version_num FROM alembic_version"


class KeptRunStorage(SqliteRunStorage):
    """Dagster's run storage on connections that are kept open; what never changes is asked once."""

    def __init__(self, conn_string: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._connections = _of(conn_string)
        self._has_stats = self._has_backfill = False
        super().__init__(conn_string, inst_data)

    @contextmanager
    def connect(self) -> Generator[Connection]:
        """Lend a connection for one transaction."""
        with self._connections.begin() as connection:
            yield connection

    def has_run_stats_index_cols(self) -> bool:
        """Return whether runs have columns for when they began and ended; asked for each event."""
        # A migration adds columns and takes none away.
        self._has_stats = self._has_stats or super().has_run_stats_index_cols()
        return self._has_stats

    def has_backfill_id_column(self) -> bool:
        """Return whether runs have a column for their backfill; asked for each new run."""
        self._has_backfill = self._has_backfill or super().has_backfill_id_column()
        return self._has_backfill

    def has_execution_plan_snapshot(self, execution_plan_snapshot_id: str) -> bool:
        """Return whether a plan is stored, without reading it; asked for each new run."""
        # Snapshots of jobs and plans lie in one table, under ids that are made from what they are.
        return self.has_job_snapshot(execution_plan_snapshot_id)


class KeptScheduleStorage(SqliteScheduleStorage):
    """Dagster's schedule storage on connections that are kept open."""

    def __init__(self, conn_string: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._connections = _of(conn_string)
        super().__init__(conn_string, inst_data)

    @classmethod
    def from_local(cls, base_dir: str, inst_data: ConfigurableClassData | None = None) -> Self:
        """Open the storage, or make it."""
        # Dagster's own makes one of its own class.
        made = SqliteScheduleStorage.from_local(base_dir, inst_data)
        return cls(made._conn_string, inst_data)  # noqa: SLF001 - pyright: ignore[reportPrivateUsage]

    @contextmanager
    def connect(self) -> Generator[Connection]:
        """Lend a connection for one transaction."""
        with self._connections.begin() as connection:
            yield connection


def _of(conn_string: str) -> Connections:
    return connections_to(Path(conn_string.removeprefix("sqlite:///")))


_Kept = TypeVar("_Kept", KeptRunStorage, KeptScheduleStorage)


def _opened(kind: type[_Kept], folder: Path, name: str, *tables: str) -> _Kept:
    """Open a storage, or make its file.

    Dagster itself loads the scripts of all migrations first, to see whether the file is made:
    0.05 s for each of them.
    """
    if _is_made(folder / f"{name}.db", {"alembic_version", *tables}):
        return kind(create_db_conn_string(str(folder), name))
    return kind.from_local(str(folder))


def _is_made(file: Path, tables: set[str]) -> bool:
    """Return whether a file has tables, and a revision of its schema is written in it."""
    if not file.is_file():
        return False
    try:
        with closing(sqlite3.connect(file, timeout=30)) as db:
            found = {name for (name,) in db.execute("SELECT name FROM sqlite_schema")}
            return tables <= found and bool(db.execute(_REVISION).fetchone())
    except sqlite3.Error:
        # Dagster says what is wrong with it.
        return False


class SqliteHistory(DagsterStorage, ConfigurableClass):
    """See the module."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        """Open the storage, or make it.

        Args:
            base_dir: Usually the instance's folder.
            inst_data: What `dagster.yaml` says.
        """
        self._inst_data = inst_data
        home = Path(base_dir)
        history = home / "history"
        history.mkdir(parents=True, exist_ok=True)
        with (history / "setup.lock").open("w") as lock:
            # Two processes that make the same tables at the same time leave them unusable.
            fcntl.flock(lock, fcntl.LOCK_EX)
            make_event_log(history)
            self._runs = _opened(KeptRunStorage, history, "runs", "instance_info")
            self._schedules = _opened(KeptScheduleStorage, home / "schedules", "schedules")
        self._events = BatchedEventLog(str(history))
        super().__init__()

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """What `dagster.yaml` says."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Return the settings."""
        return {
            "base_dir": dg.Field(
                dg.StringSource,
                is_required=False,
                description="The folder; without it DAGSTER_HOME.",
            )
        }

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        """Make one, as `dagster.yaml` says."""
        base_dir = config_value.get("base_dir") or os.environ.get("DAGSTER_HOME")
        if not base_dir:
            raise dg.DagsterInvariantViolationError(
                "`SqliteHistory` needs a folder: set its `base_dir` in `dagster.yaml`, or the "
                "environment variable DAGSTER_HOME."
            )
        return cls(base_dir, inst_data)

    def register_instance(self, instance: dg.DagsterInstance) -> None:
        """Let the storages know the instance that they belong to."""
        super().register_instance(instance)
        for each in (self._runs, self._events, self._schedules):
            if not each.has_instance:
                each.register_instance(instance)

    @property
    def event_log_storage(self) -> BatchedEventLog:
        """Where events lie."""
        return self._events

    @property
    def run_storage(self) -> KeptRunStorage:
        """Where runs lie."""
        return self._runs

    @property
    def schedule_storage(self) -> KeptScheduleStorage:
        """Where schedules and ticks lie."""
        return self._schedules
