"""Dagster's event log in one SQLite file, written in batches.

For any Dagster instance, through `history.SqliteHistory`. Dagster's own storage has a file for
each run, and for each event an engine, a connection and a commit. Here the events of all runs lie
in one file, and those of a running step wait up to 0.2 s for each other. What others act upon is
written at once, with all that was logged before: events that change a run's status, and those of
assets and their checks. Whoever reads in the same process first has everything written, so nobody
sees less than was logged. A process that is killed loses what it logged in its last 0.2 s.

Checked on Dagster 1.13.27: every access of `SqlEventLogStorage` to its tables goes through
`run_connection` or `index_connection`.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import dagster as dg
import sqlalchemy
from dagster._core.event_api import EventHandlerFn
from dagster._core.events import (
    ASSET_CHECK_EVENTS,
    ASSET_EVENTS,
    EVENT_TYPE_TO_PIPELINE_RUN_STATUS,
)
from dagster._core.storage.event_log.base import EventLogConnection
from dagster._core.storage.event_log.schema import (
    SqlEventLogStorageMetadata,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sqlite import consolidated_sqlite_event_log
from dagster._core.storage.sql import get_alembic_config, safe_commit, stamp_alembic_rev
from dagster._serdes import ConfigurableClassData
from sqlalchemy.engine import Connection

from cloudflow_dagster.engine.connections import Connections, connections_to
from cloudflow_dagster.engine.event_batches import EventBatches, Row
from cloudflow_dagster.engine.event_text import event_text
from cloudflow_dagster.engine.event_watch import EventWatch

_AT_ONCE = frozenset(EVENT_TYPE_TO_PIPELINE_RUN_STATUS)
_OF_ASSETS = frozenset(ASSET_EVENTS | ASSET_CHECK_EVENTS)
_OF_EVERY_STEP = frozenset({"STEP_START", "STEP_OUTPUT", "STEP_SUCCESS"})
"""Events that have no asset; to ask one for it takes nearly as long as to make its text."""


class BatchedEventLog(consolidated_sqlite_event_log.ConsolidatedSqliteEventLogStorage):
    """See the module."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        """Open the log, or make it.

        Args:
            base_dir: Folder of the file `event_log.db`.
            inst_data: What `dagster.yaml` says, if it names this class.
        """
        self._connections = connections_to(
            Path(base_dir) / f"{consolidated_sqlite_event_log.SQLITE_EVENT_LOG_FILENAME}.db"
        )
        self._batches = _batches_of(self._connections)
        self._lent = threading.local()
        self._watch = EventWatch(self._version, self._read)
        super().__init__(base_dir, inst_data)  # pyright: ignore[reportUnknownMemberType]

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]
    ) -> Self:
        """Make one, as `dagster.yaml` says."""
        return cls(inst_data=inst_data, **config_value)

    def _init_db(self) -> None:
        """Make the tables; whoever calls holds the lock of the instance's folder."""
        Path(self._base_dir).mkdir(parents=True, exist_ok=True)
        # The path of Dagster's migrations hangs on the module that has them.
        alembic = get_alembic_config(str(consolidated_sqlite_event_log.__file__))
        with self._connections.begin() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        with self._connections.begin() as connection:
            _events_table().create(connection, checkfirst=True)
            SqlEventLogStorageMetadata.create_all(connection)
        with self._connections.begin() as connection:
            stamp_alembic_rev(alembic, connection)
            safe_commit(connection)
        self.reindex_events()
        self.reindex_assets()

    @contextmanager
    def _connect(self) -> Generator[Connection]:
        """Lend a connection that sees all that was logged in this process."""
        depth = getattr(self._lent, "depth", 0)
        if not depth:
            # Not within another one: that one may have begun to write, and would never end.
            self._batches.flush()
        self._lent.depth = depth + 1
        try:
            with self._connections.begin() as connection:
                yield connection
        finally:
            self._lent.depth = depth

    def has_table(self, table_name: str) -> bool:
        """Return whether the database has a table."""
        return self._connections.has_table(table_name)

    def store_event(self, event: dg.EventLogEntry) -> None:
        """Log an event: at once if others act upon it, otherwise within 0.2 s."""
        type_ = event.dagster_event_type if event.is_dagster_event else None
        if type_ in _OF_ASSETS:
            super().store_event(event)
            return
        self._batches.add(self._event_to_row(event))
        if type_ in _AT_ONCE:
            self._batches.flush()

    def _event_to_row(self, event: dg.EventLogEntry) -> dict[str, Any]:
        """Return what is written of an event: what Dagster returns, at a fourth of its price."""
        told = event.dagster_event
        about = told if told and told.event_type_value not in _OF_EVERY_STEP else None
        asset = about.asset_key if about else None
        return {
            "run_id": event.run_id,
            "event": event_text(event),
            "dagster_event_type": told.event_type_value if told else None,
            "timestamp": self._event_insert_timestamp(event),  # pyright: ignore[reportUnknownMemberType]
            "step_key": told.step_key if told else event.step_key,
            "asset_key": asset.to_string() if asset else None,
            "partition": (about.partition or None) if about else None,
        }

    def store_event_batch(self, events: Sequence[dg.EventLogEntry]) -> None:
        """Log events that Dagster has put together."""
        for event in events:
            self.store_event(event)

    def flush(self) -> None:
        """Write what waits."""
        self._batches.flush()

    def watch(self, run_id: str, cursor: str | None, callback: EventHandlerFn) -> None:
        """Tell somebody of each event of a run after a cursor."""
        self._watch.add(run_id, cursor, callback)

    def end_watch(self, run_id: str, handler: EventHandlerFn) -> None:
        """Tell somebody no more."""
        self._watch.remove(run_id, handler)

    def _version(self) -> int:
        """Return the highest id of an event."""
        return self.get_maximum_record_id() or 0

    def _read(self, run_id: str, cursor: str | None, limit: int) -> EventLogConnection:
        return self.get_records_for_run(run_id, cursor, limit=limit)

    def dispose(self) -> None:
        """Write what waits, and tell nobody any more."""
        self._watch.close()
        self._batches.flush()


def _events_table() -> sqlalchemy.Table:
    """Return the table of events, which never gives an id twice.

    Sensors and pages go on after the highest id that they saw. Without this SQLite gives the ids of
    the newest events again after these were deleted with their run.
    """
    table = SqlEventLogStorageTable.to_metadata(sqlalchemy.MetaData())
    table.dialect_options["sqlite"]["autoincrement"] = True
    return table


_open: weakref.WeakValueDictionary[Connections, EventBatches] = weakref.WeakValueDictionary()
_lock = threading.Lock()


def _batches_of(connections: Connections) -> EventBatches:
    """Return what waits to be written to a file: the same for every instance of this process."""

    def write(events: Sequence[Row]) -> None:
        with connections.begin() as connection:
            connection.execute(SqlEventLogStorageTable.insert(), list(events))

    with _lock:
        found = _open.get(connections)
        if found is None:
            found = _open[connections] = EventBatches(write)
        return found
