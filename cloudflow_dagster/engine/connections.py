"""Connections to the SQLite files of a Dagster instance, kept open and shared by this process.

Dagster's own SQLite storages make an engine for each call, open the file, and close it again: 2 to
5 ms, eight times a step.

No connection is open while the process forks. SQLite keeps account of the locks of a process in
its own memory, so that a child would believe that it has the locks of its parent, or that somebody
has who is not there, even if it opened a connection of its own: it would wait for ever, or lose
what it writes when the parent ends. So forking waits for transactions under way (they are short),
closes what is open, and both open it again when they need it.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import QueuePool

BUSY_SECONDS = 30.0
"""How long a writer waits for another process that writes; Dagster's own number."""
_KEPT = 4
"""Connections that stay open; more are opened while more threads use the file at once."""


class Connections:
    """Connections of this process to one file. Use `connections_to`, so that they are shared."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._opening = threading.Lock()
        self._engine: Engine | None = None
        self._end: weakref.finalize[..., Any] | None = None
        self._file: tuple[int, int] | None = None

    @contextmanager
    def begin(self) -> Generator[Connection]:
        """Lend a connection for one transaction, committed at the end unless it fails."""
        with _forking.not_now(), self._current().connect() as connection, connection.begin():
            yield connection

    def has_table(self, name: str) -> bool:
        """Return whether the file has a table."""
        with self.begin() as connection:
            return sqlalchemy.inspect(connection).has_table(name)

    def _current(self) -> Engine:
        """Return the engine, made anew if the file is not the one that was opened any more.

        Somebody may have moved the folder away: what is written to a file without a name is lost.
        """
        engine = self._engine
        if engine is not None and self._file == _identity(self.path):
            return engine
        with self._opening:
            if self._engine is None or self._file != _identity(self.path):
                self._dispose()
                engine = self._engine = _engine(self.path)
                # A pool that is garbage leaves its connections to the collector, unclosed.
                self._end = weakref.finalize(self, engine.dispose)
                self._end.atexit = False
                with self._engine.connect():
                    self._file = _identity(self.path)
            return self._engine

    def close(self) -> None:
        """Close the connections that nobody uses; they are opened again when they are needed."""
        with self._opening:
            self._dispose()

    def _dispose(self) -> None:
        if self._end is not None:
            self._end()
        self._engine = self._end = None

    def forked(self) -> None:
        """Make the lock anew in a child: another thread of the parent may have held it."""
        self._opening = threading.Lock()


def _engine(path: Path) -> Engine:
    engine = sqlalchemy.create_engine(
        f"sqlite:///{path}",
        poolclass=QueuePool,
        pool_size=_KEPT,
        max_overflow=-1,
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
    )

    def prepare(connection: sqlite3.Connection, _: Any) -> None:
        # With a write-ahead log this is safe: a machine that loses power may lose the last
        # transactions, but no part of one, and a killed process loses none.
        connection.execute("PRAGMA synchronous=NORMAL")

    event.listen(engine, "connect", prepare)
    return engine


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        facts = path.stat()
    except FileNotFoundError:
        return None
    return facts.st_dev, facts.st_ino


class _Forking:
    """Lets the process fork only while nobody is within a transaction, and closes what is open."""

    def __init__(self) -> None:
        self.begin_anew()

    def begin_anew(self) -> None:
        self._changed = threading.Condition()
        self._within = threading.local()
        self._count = 0
        self._forks = 0

    @contextmanager
    def not_now(self) -> Generator[None]:
        """Keep the process from forking; waits while it does."""
        depth = getattr(self._within, "depth", 0)
        if not depth:
            with self._changed:
                while self._forks:
                    self._changed.wait()
                self._count += 1
        self._within.depth = depth + 1
        try:
            yield
        finally:
            self._within.depth = depth
            if not depth:
                with self._changed:
                    self._count -= 1
                    self._changed.notify_all()

    def before(self) -> None:
        mine = 1 if getattr(self._within, "depth", 0) else 0
        with self._changed:
            self._forks += 1
            # Whoever waits for another process's lock may take that long.
            self._changed.wait_for(lambda: self._count <= mine, timeout=BUSY_SECONDS + 5)
        for each in list(_open.values()):
            each.close()

    def after_in_parent(self) -> None:
        with self._changed:
            self._forks -= 1
            self._changed.notify_all()


_forking = _Forking()
_open: weakref.WeakValueDictionary[Path, Connections] = weakref.WeakValueDictionary()
_lock = threading.Lock()


def connections_to(path: Path) -> Connections:
    """Return this process's connections to a file: the same for every caller."""
    path = path.resolve()
    with _lock:
        found = _open.get(path)
        if found is None:
            found = _open[path] = Connections(path)
        return found


def _after_in_child() -> None:
    """Make the locks anew: other threads may have held them, and there are none here."""
    global _lock  # noqa: PLW0603 - as above
    _lock = threading.Lock()
    _forking.begin_anew()
    for each in list(_open.values()):
        each.forked()


os.register_at_fork(
    before=_forking.before,
    after_in_parent=_forking.after_in_parent,
    after_in_child=_after_in_child,
)
