"""Where the records lie: one file of SQLite, or a server (`postgres.py`), for all processes."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from cloudflow_dagster.project.server import RecordsServer

SCHEMA_VERSION = 5
BUSY_SECONDS = 60.0

_VERSION_1 = """
CREATE TABLE IF NOT EXISTS runs (
    n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, facts TEXT
);
CREATE TABLE IF NOT EXISTS records (
    run INTEGER NOT NULL, node TEXT NOT NULL, outer_items TEXT NOT NULL, item INTEGER NOT NULL,
    status TEXT NOT NULL, form INTEGER NOT NULL, size INTEGER NOT NULL, output TEXT,
    ports TEXT NOT NULL, error TEXT, attempts INTEGER NOT NULL, state TEXT,
    PRIMARY KEY (run, node, outer_items, item)
);
CREATE TABLE IF NOT EXISTS loops (
    run INTEGER NOT NULL, node TEXT NOT NULL, outer_items TEXT NOT NULL, item INTEGER NOT NULL,
    facts TEXT NOT NULL,
    PRIMARY KEY (run, node, outer_items, item)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS stopped (
    run INTEGER NOT NULL, node TEXT NOT NULL, outer_items TEXT NOT NULL, item INTEGER NOT NULL,
    PRIMARY KEY (run, node, outer_items, item)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS items (
    run INTEGER NOT NULL, node TEXT NOT NULL, outer_items TEXT NOT NULL, item INTEGER NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (run, node, outer_items, item)
) WITHOUT ROWID;
"""
_VERSION_2 = """
CREATE TABLE IF NOT EXISTS plans (
    name TEXT PRIMARY KEY, plan TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS waits (
    root TEXT NOT NULL, node TEXT NOT NULL, items TEXT NOT NULL, round INTEGER NOT NULL,
    run TEXT NOT NULL, way TEXT NOT NULL, due REAL, expires REAL, message TEXT,
    approvers TEXT NOT NULL, child TEXT, since REAL NOT NULL, token TEXT NOT NULL UNIQUE,
    answer TEXT, answered_by TEXT, answered_at REAL, over INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (root, node, items, round)
);
CREATE INDEX IF NOT EXISTS waits_of_run ON waits (run) WHERE over = 0;
CREATE TABLE IF NOT EXISTS suspended (
    run TEXT PRIMARY KEY, since REAL NOT NULL, worked REAL NOT NULL, next REAL NOT NULL, worker TEXT
);
CREATE INDEX IF NOT EXISTS suspended_by_next ON suspended (next);
"""
_VERSION_3 = """
CREATE TABLE intents (
    run INTEGER NOT NULL, node TEXT NOT NULL, items TEXT NOT NULL, round INTEGER NOT NULL,
    by_run INTEGER NOT NULL, began TEXT NOT NULL, action TEXT NOT NULL, request TEXT,
    exact INTEGER NOT NULL, print TEXT NOT NULL, state TEXT NOT NULL, output TEXT, answer TEXT,
    PRIMARY KEY (run, node, items, round)
) WITHOUT ROWID;
ALTER TABLE runs ADD COLUMN successor TEXT;
ALTER TABLE runs ADD COLUMN worker TEXT;
"""
_VERSION_4 = """
CREATE TABLE undoings (
    run INTEGER PRIMARY KEY, by_run INTEGER NOT NULL, ended INTEGER NOT NULL, afresh TEXT NOT NULL
);
"""
_VERSION_5 = """
ALTER TABLE waits ADD COLUMN seconds REAL;
"""
SCHEMA = (_VERSION_1, _VERSION_2, _VERSION_3, _VERSION_4, _VERSION_5)
"""What makes each version of the schema from the one before, the first from nothing."""


class RecordsError(Exception):
    """The records of a run cannot be read or written; the message says why."""


class RunTable(NamedTuple):
    """A table with a column `run`."""

    name: str
    key: tuple[str, ...]
    numbered: bool
    """Whether it names runs by their number, and not by their id."""


class Database(Protocol):
    """Connections to where the records lie; statements are SQLite's."""

    @property
    def files(self) -> Path:
        """The folder of what is too large for it, with a folder for each run."""
        ...

    def read(self) -> AbstractContextManager[Any]:
        """Lend a connection that no other thread uses."""
        ...

    def write(self, *, through: bool = False) -> AbstractContextManager[Any]:
        """Lend the writing connection for one transaction: all of it is stored, or nothing.

        Args:
            through: It is on the disk when this ends, and with it all that was written before:
                it survives a machine that loses its power, not only a process that is killed.
        """
        ...

    def execute(self, statement: str, values: tuple[Any, ...]) -> None:
        """Run one writing statement as a transaction of its own."""
        ...

    def tables_of_runs(self) -> list[RunTable]:
        """Return the tables with a column `run`."""
        ...

    def beat(self, run: str) -> None:
        """Note that the process that executes a run is alive, if other machines may ask."""
        ...

    def silent_for(self, run: str) -> float | None:
        """Return for how many seconds nothing was heard of a run's process; None if unknown."""
        ...

    def close(self) -> None:
        """Close all connections; nobody may use the database afterwards."""
        ...


class SqliteDatabase:
    """Connections to one file: one that writes, and as many that read as threads read at once.

    Readers never wait (write-ahead log). Writers of one process take turns by a lock, because
    SQLite's own waiting sleeps; those of several processes wait for each other in SQLite.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = path.parent / "files"
        self._pid = os.getpid()
        self._writing = threading.RLock()
        self._idle: list[sqlite3.Connection] = []
        self._all: list[sqlite3.Connection] = []
        # Not `__del__`: in a circle of garbage the connections could be finalised before it.
        self._end = weakref.finalize(self, _close, self._all, self._pid)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = self._connect()
        with self._explained():
            self._prepare()

    def _connect(self) -> sqlite3.Connection:
        with self._explained():
            connection = sqlite3.connect(
                self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._all.append(connection)
            connection.execute("PRAGMA synchronous=NORMAL")
            return connection

    def _prepare(self) -> None:
        # Of an empty file only: what is deleted later can be given back to the disk in pieces.
        self._writer.execute("PRAGMA auto_vacuum=INCREMENTAL")
        give_up = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                self._writer.execute("PRAGMA journal_mode=WAL")
                break
            except sqlite3.OperationalError:
                # Changing the mode does not honour the busy timeout while others do the same.
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.02)
        version = self._writer.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise RecordsError(
                f"{self.path} was written by a newer version of CloudFlow: use that version, or "
                "another state folder."
            )
        if version < SCHEMA_VERSION:
            self._migrate()

    def _migrate(self) -> None:
        """Bring the file to this version; of several processes that are here, one does it."""
        with self.write() as connection:
            # Asked again: another process may have done it while this one waited for its turn.
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            for statement in "".join(SCHEMA[version:]).split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")

    @contextmanager
    def _explained(self) -> Generator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise RecordsError(
                f"The records in {self.path} cannot be used: {error}. {_way_out(error)}"
            ) from error

    @contextmanager
    def read(self) -> Generator[sqlite3.Connection]:
        """Lend a connection that nobody else uses."""
        self._guard()
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._connect()
        try:
            with self._explained():
                yield connection
        finally:
            self._idle.append(connection)

    @contextmanager
    def write(self, *, through: bool = False) -> Generator[sqlite3.Connection]:
        """Lend the writing connection for one transaction: all of it is stored, or nothing.

        Args:
            through: It is on the disk when this ends, and with it all that was written before:
                it survives a machine that loses its power, not only a process that is killed.
        """
        self._guard()
        with self._writing, self._explained(), self._synchronous(through=through):
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    @contextmanager
    def _synchronous(self, *, through: bool) -> Generator[None]:
        if not through:
            yield
            return
        self._writer.execute("PRAGMA synchronous=FULL")
        try:
            yield
        finally:
            self._writer.execute("PRAGMA synchronous=NORMAL")

    def execute(self, statement: str, values: tuple[Any, ...]) -> None:
        """Run one writing statement as a transaction of its own."""
        self._guard()
        with self._writing, self._explained():
            self._writer.execute(statement, values)

    def tables_of_runs(self) -> list[RunTable]:
        """Return the tables with a column `run`."""
        tables: list[RunTable] = []
        with self.read() as connection:
            names = connection.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"
            ).fetchall()
            for (name,) in names:
                columns = connection.execute(f"PRAGMA table_info({name})").fetchall()
                key = tuple(column[1] for column in columns if column[5])
                kind = next((column[2] for column in columns if column[1] == "run"), None)
                if key and kind:
                    tables.append(RunTable(name, key, kind == "INTEGER"))
        return tables

    def beat(self, run: str) -> None:
        """Do nothing: all processes are on this machine, where they are seen."""

    def silent_for(self, run: str) -> None:
        """Return None: nothing is heard of anybody."""

    def _guard(self) -> None:
        if os.getpid() != self._pid:
            raise RecordsError(
                f"The connection to {self.path} was opened before this process was forked."
            )

    def close(self) -> None:
        """Close all connections; nobody may use the database afterwards."""
        self._end()


def _close(connections: list[sqlite3.Connection], pid: int) -> None:
    """Close connections, but not those of the process that this one was forked from."""
    if os.getpid() == pid:
        for connection in connections:
            connection.close()


def _way_out(error: sqlite3.Error) -> str:
    text = str(error)
    if "full" in text:
        return "Free some space, then run again from the point of failure."
    if "locked" in text:
        return "Another process holds it: see whether one hangs, then try again."
    if "malformed" in text or "not a database" in text:
        return "Move the file away; earlier runs can then not be resumed."
    return "See that the folder exists and may be written."


_open: weakref.WeakValueDictionary[tuple[int, Path | RecordsServer], Database] = (
    weakref.WeakValueDictionary()
)
_opening = threading.Lock()


def database(where: Path | RecordsServer) -> Database:
    """Return this process's connections to a file or a server, opened once."""
    key = (os.getpid(), where.resolve() if isinstance(where, Path) else where)
    with _opening:
        found = _open.get(key)
        if found is None:
            found = _opened(key[1])
            _open[key] = found
        return found


def _opened(where: Path | RecordsServer) -> Database:
    if isinstance(where, Path):
        return SqliteDatabase(where)
    # Only where it is used: its driver is an extra.
    from cloudflow_dagster.runtime.postgres import PostgresDatabase  # noqa: PLC0415

    return PostgresDatabase(where)
