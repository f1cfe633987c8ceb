"""The records in PostgreSQL, for processes on several machines; what `Database` is on one."""

from __future__ import annotations

import importlib
import os
import threading
import weakref
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from cloudflow_dagster.credentials import SecretError
from cloudflow_dagster.project.server import RecordsServer
from cloudflow_dagster.runtime.database import SCHEMA, SCHEMA_VERSION, RecordsError, RunTable
from cloudflow_dagster.runtime.dialect import keys_of, marked, replacing, schema_statement

_MOST = 8
"""Connections that read, for a process. Its threads wait for one; a server has 100 for all."""
_WRITERS = 7_240_312_001
"""The lock under which one transaction at a time writes, as on SQLite: a number nobody else has."""
_NAME = "cloudflow"
"""The schema: Dagster's tables, of which one is called `runs` too, lie in another one."""
_OWN = """
CREATE SCHEMA IF NOT EXISTS cloudflow;
CREATE TABLE IF NOT EXISTS version (version BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS beats (run TEXT PRIMARY KEY, at TIMESTAMPTZ NOT NULL);
CREATE OR REPLACE FUNCTION json_extract(document TEXT, path TEXT) RETURNS TEXT IMMUTABLE
LANGUAGE sql AS 'SELECT document::json #>> string_to_array(substr(path, 3), ''.'')'
"""
_KEYS = keys_of(SCHEMA[0] + ";".join(SCHEMA[1:]))


class Cursor:
    """What a statement gave, as `sqlite3.Cursor` tells it."""

    def __init__(self, rows: list[tuple[Any, ...]], rowcount: int) -> None:
        self._rows = iter(rows)
        self.rowcount = rowcount

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return the next row; None if there is none."""
        return next(self._rows, None)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return the rows that are left."""
        return list(self._rows)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self._rows


class Connection:
    """A connection that takes the statements of the records, as SQLite's does."""

    def __init__(self, psycopg: Any, address: str) -> None:
        self._extras = psycopg.extras
        self.raw = psycopg.connect(address, connect_timeout=10, application_name="cloudflow")
        self.raw.autocommit = True
        self.execute(f"SET search_path = {_NAME}")
        # Written as `write` says: what is not written through outlives a killed process at once,
        # and a lost server within a second.
        self.execute("SET synchronous_commit = off")

    def execute(self, statement: str, values: Iterable[Any] = ()) -> Cursor:
        """Run one statement."""
        with self.raw.cursor() as cursor:
            cursor.execute(marked(replacing(statement, _KEYS)), _plain(values))
            return Cursor(cursor.fetchall() if cursor.description else [], cursor.rowcount)

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]]) -> Cursor:
        """Run one statement for many rows of values."""
        given = [_plain(row) for row in rows]
        with self.raw.cursor() as cursor:
            self._extras.execute_batch(
                cursor, marked(replacing(statement, _KEYS)), given, page_size=500
            )
        return Cursor([], len(given))


def _plain(values: Iterable[Any]) -> tuple[Any, ...]:
    """Return values as SQLite has them: it knows no booleans."""
    return tuple(int(value) if isinstance(value, bool) else value for value in values)


class PostgresDatabase:
    """Connections to the records of one project.

    Those that write take turns, in all processes, as they do on SQLite.

    Args:
        server: Which database.

    Raises:
        RecordsError: It cannot be reached or used.
    """

    def __init__(self, server: RecordsServer) -> None:
        self.files = server.files
        self._server = server
        self._pid = os.getpid()
        try:
            self._psycopg: Any = importlib.import_module("psycopg2")
            importlib.import_module("psycopg2.extras")
            self._address = _address(server.read())
        except ImportError:
            raise RecordsError(
                f"The records lie in {server}, and this Python cannot talk to PostgreSQL: "
                "`pip install 'cloudflow-dagster[machines]'`."
            ) from None
        except SecretError as error:
            raise RecordsError(f"The records lie in {server}: {error}") from None
        self._writing = threading.RLock()
        self._places = threading.BoundedSemaphore(_MOST)
        self._mine = threading.local()
        self._idle: list[Connection] = []
        self._all: list[Connection] = []
        self._end = weakref.finalize(self, _close, self._all, self._pid)
        self._writer = self._connect()
        with self._explained():
            self._prepare()

    def _connect(self) -> Connection:
        with self._explained():
            connection = Connection(self._psycopg, self._address)
            self._all.append(connection)
            return connection

    def _prepare(self) -> None:
        with self._transaction(through=True) as connection:
            for statement in _OWN.strip().split(";\n"):
                connection.execute(statement)
            row = connection.execute("SELECT version FROM version").fetchone()
            version = row[0] if row else 0
            if version > SCHEMA_VERSION:
                raise RecordsError(
                    f"The records in {self._server} were written by a newer version of CloudFlow: "
                    "use that version, or another database."
                )
            if version == SCHEMA_VERSION:
                return
            for step in SCHEMA[version:]:
                for statement in filter(str.strip, step.split(";")):
                    connection.execute(schema_statement(statement))
            connection.execute("DELETE FROM version")
            connection.execute("INSERT INTO version (version) VALUES (?)", (SCHEMA_VERSION,))

    @contextmanager
    def _explained(self) -> Generator[None]:
        try:
            yield
        except (self._psycopg.Error, ValueError) as error:
            why = " ".join(str(error).split())
            raise RecordsError(
                f"The records in {self._server} cannot be used: {why}. "
                "See that the server runs and lets this machine in."
            ) from error

    @contextmanager
    def read(self) -> Generator[Any]:
        """Lend a connection that no other thread uses."""
        self._guard()
        held: Connection | None = getattr(self._mine, "connection", None)
        if held is not None:
            yield held
            return
        with self._places:
            connection = self._take()
            self._mine.connection = connection
            try:
                with self._explained():
                    yield connection
            finally:
                self._mine.connection = None
                if not self._lost(connection):
                    self._idle.append(connection)

    def _take(self) -> Connection:
        try:
            return self._idle.pop()
        except IndexError:
            return self._connect()

    def _lost(self, connection: Connection) -> bool:
        """Return whether the server has hung up: then it has on those that are idle, too."""
        if not connection.raw.closed:
            return False
        idle, self._idle = self._idle, []
        for each in (connection, *idle):
            each.raw.close()
            if each in self._all:
                self._all.remove(each)
        return True

    @contextmanager
    def write(self, *, through: bool = False) -> Generator[Any]:
        """Lend the writing connection for one transaction: all of it is stored, or nothing.

        Args:
            through: It is on the server's disk when this ends, and all that was written before.
        """
        self._guard()
        with self._writing, self._explained(), self._transaction(through=through) as connection:
            yield connection

    @contextmanager
    def _transaction(self, *, through: bool) -> Generator[Connection]:
        if self._lost(self._writer):
            self._writer = self._connect()
        connection = self._writer
        connection.execute("BEGIN")
        try:
            if through:
                connection.execute("SET LOCAL synchronous_commit = on")
            connection.execute("SELECT pg_advisory_xact_lock(?)", (_WRITERS,))
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if not connection.raw.closed:
                connection.execute("ROLLBACK")
            raise

    def execute(self, statement: str, values: tuple[Any, ...]) -> None:
        """Run one writing statement as a transaction of its own."""
        self._guard()
        with self._writing, self._explained():
            if self._lost(self._writer):
                self._writer = self._connect()
            self._writer.execute(statement, values)

    def tables_of_runs(self) -> list[RunTable]:
        """Return the tables with a column `run`."""
        with self.read() as connection:
            rows = connection.execute(
                "SELECT table_name, data_type FROM information_schema.columns "
                "WHERE table_schema = ? AND column_name = 'run' ORDER BY table_name",
                (_NAME,),
            ).fetchall()
        keys = {**_KEYS, "beats": "run"}
        return [
            RunTable(table, tuple(map(str.strip, keys[table].split(","))), kind == "bigint")
            for table, kind in rows
        ]

    # Who is alive

    def beat(self, run: str) -> None:
        """Note that the process that executes a run is alive."""
        self.execute(
            "INSERT INTO beats (run, at) VALUES (?, now()) "
            "ON CONFLICT (run) DO UPDATE SET at = excluded.at",
            (run,),
        )

    def silent_for(self, run: str) -> float | None:
        """Return for how many seconds nothing was heard of a run's process; None: never was."""
        with self.read() as connection:
            row = connection.execute(
                "SELECT CAST(EXTRACT(EPOCH FROM now() - at) AS DOUBLE PRECISION) FROM beats "
                "WHERE run = ?",
                (run,),
            ).fetchone()
        return row[0] if row else None

    def _guard(self) -> None:
        if os.getpid() != self._pid:
            raise RecordsError(
                f"The connection to {self._server} was opened before this process was forked."
            )

    def close(self) -> None:
        """Close all connections; nobody may use the database afterwards."""
        self._end()


def _close(connections: list[Connection], pid: int) -> None:
    """Close connections, but not those of the process that this one was forked from."""
    if os.getpid() == pid:
        for connection in connections:
            connection.raw.close()


def _address(given: str) -> str:
    """Return an address as psycopg takes it: SQLAlchemy's names the driver, and may be the same."""
    return given.replace("postgresql+psycopg2://", "postgresql://", 1)
