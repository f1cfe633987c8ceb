"""Makes the file of the event log, with what Dagster's own storage kept in a file for each run."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

import dagster as dg

from cloudflow_dagster.engine.connections import connections_to
from cloudflow_dagster.engine.event_log import BatchedEventLog

_COLUMNS = "run_id, event, dagster_event_type, timestamp, step_key, asset_key, partition"
_NOT_COPIED = frozenset({"event_logs", "alembic_version", "secondary_indexes", "sqlite_sequence"})
_OF_ASSETS = ("asset_keys", "asset_event_tags", "asset_check_executions")


def make_event_log(history: Path) -> None:
    """Make the file `event_log.db` if it is not there; whole, or not at all.

    The files of earlier runs are left where they are.

    Args:
        history: The folder `history` of a Dagster instance; whoever calls holds its lock.

    Raises:
        DagsterInvariantViolationError: Earlier runs made assets, which cannot be taken over.
    """
    made = history / "event_log.db"
    if made.exists():
        return
    with tempfile.TemporaryDirectory(dir=history, prefix="new-") as folder:
        new = Path(folder) / made.name
        BatchedEventLog(folder).dispose()
        connections_to(new).close()
        with closing(sqlite3.connect(new, isolation_level=None)) as log:
            if (history / "runs" / "index.db").exists():
                _take_over(log, history / "runs")
            log.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        new.replace(made)


def _take_over(log: sqlite3.Connection, earlier: Path) -> None:
    with _attached(log, earlier / "index.db"):
        _refuse_assets(log, earlier)
        for table in _tables(log) - _NOT_COPIED:
            both = _columns(log, "main", table) & _columns(log, "earlier", table)
            columns = ", ".join(f'"{name}"' for name in both)
            if columns:
                log.execute(
                    f"INSERT INTO main.{table} ({columns}) "  # noqa: S608 - Dagster's names
                    f"SELECT {columns} FROM earlier.{table}"
                )
    for file in _by_age(log, earlier):
        with _attached(log, file):
            log.execute(
                f"INSERT INTO main.event_logs ({_COLUMNS}) "  # noqa: S608 - as above
                f"SELECT {_COLUMNS} FROM earlier.event_logs ORDER BY id"
            )


def _refuse_assets(log: sqlite3.Connection, earlier: Path) -> None:
    """Refuse assets: what is known of them names their events by ids that would not hold."""
    for table in set(_OF_ASSETS) & _tables(log):
        if log.execute(f"SELECT 1 FROM earlier.{table} LIMIT 1").fetchone():  # noqa: S608 - as above
            raise dg.DagsterInvariantViolationError(
                f"The events of earlier runs in {earlier} cannot be taken over, because some of "
                "them are of assets: keep Dagster's own storage for this instance, or begin with a "
                "new folder."
            )


def _by_age(log: sqlite3.Connection, earlier: Path) -> list[Path]:
    ages: list[tuple[str, Path]] = []
    for file in earlier.glob("*.db"):
        if file.name != "index.db":
            with _attached(log, file):
                if "event_logs" in _tables(log):
                    (first,) = log.execute(
                        "SELECT min(timestamp) FROM earlier.event_logs"
                    ).fetchone()
                    ages.append((first or "", file))
    return [file for _, file in sorted(ages)]


@contextmanager
def _attached(log: sqlite3.Connection, file: Path) -> Generator[None]:
    """Let the statements of one transaction see another file as `earlier`."""
    log.execute("ATTACH ? AS earlier", (str(file),))
    try:
        log.execute("BEGIN")
        yield
        log.execute("COMMIT")
    finally:
        if log.in_transaction:
            log.execute("ROLLBACK")
        log.execute("DETACH earlier")


def _tables(log: sqlite3.Connection) -> set[str]:
    rows = log.execute("SELECT name FROM earlier.sqlite_schema WHERE type = 'table'")
    return {name for (name,) in rows}


def _columns(log: sqlite3.Connection, schema: str, table: str) -> set[str]:
    return {row[1] for row in log.execute(f"PRAGMA {schema}.table_info({table})")}
