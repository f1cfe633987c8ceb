"""Waits that outlive their process: kept in the project's database, beside the records.

A wait belongs to a step of a run, and to the items and the round it is in. A run that goes on where
another one failed finds the waits of that one. What was answered, by whom and when, stays.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.waits import Wait as Asked
from cloudflow_dagster.nodes.waits import Way
from cloudflow_dagster.project.server import RecordsServer
from cloudflow_dagster.runtime.clock import SET
from cloudflow_dagster.runtime.database import database
from cloudflow_dagster.runtime.record import to_text
from cloudflow_dagster.runtime.stored import outer_text

_COLUMNS = (
    "root, node, items, round, run, way, due, expires, message, approvers, child, since, token, "
    "answer, answered_by, answered_at, over, seconds"
)
_KEY = "root = ? AND node = ? AND items = ? AND round = ?"
_NEVER = 1e18
_MOVED = (
    "UPDATE waits SET due = CASE WHEN seconds IS NULL THEN due ELSE due - ? END, "
    "expires = expires - ?, since = since - ? WHERE over = 0 AND "
)


class WaitKey(NamedTuple):
    """Which wait.

    Attributes:
        root: Id of the run that first came to it.
        node: Id of the node.
        items: Indices of the items of the loops around, as text.
        round: The round of `until`, from 0.
    """

    root: str
    node: str
    items: str = ""
    round: int = 0

    @classmethod
    def of(cls, root: str, node: str, indices: Sequence[int], round_: int) -> WaitKey:
        """Return the key of a wait of a step that is executed for these items."""
        return cls(root, node, outer_text(indices), round_)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A wait as it is kept.

    Attributes:
        key: Which.
        run: Id of the run that waits now.
        way: What is waited for.
        due: Seconds since 1970 at which a wait for a time is over.
        expires: The same for the time at which nobody waits any longer (the node's `timeout`).
        message: What people are asked, or told.
        approvers: Who may answer; nobody named: anybody.
        child: Id of the run that is waited for.
        since: When it began, in seconds since 1970.
        token: Unguessable, for the address under which it can be answered.
        answer: What was answered, as JSON text; None as long as nobody did.
        answered_by: Who answered.
        answered_at: When, in seconds since 1970.
        over: Whether the step has gone on.
        seconds: How long a wait for a time is to be; None if it ends at a moment.
    """

    key: WaitKey
    run: str
    way: Way
    due: float | None
    expires: float | None
    message: str | None
    approvers: tuple[str, ...]
    child: str | None
    since: float
    token: str
    answer: str | None
    answered_by: str | None
    answered_at: float | None
    over: bool
    seconds: float | None = None

    @property
    def ends(self) -> float | None:
        """Seconds since 1970 at which the wait ends whatever happens; None: never by itself."""
        return min((end for end in (self.due, self.expires) if end is not None), default=None)

    @property
    def items(self) -> tuple[int, ...]:
        """Indices of the items of the loops around, the outermost loop's first."""
        return tuple(int(index) for index in self.key.items.split(".") if index)


class Waits:
    """The waits of a project.

    Args:
        where: The database's file, or its server.
    """

    def __init__(self, where: Path | RecordsServer) -> None:
        self._db = database(where)

    # What a step does

    def begin(self, key: WaitKey, asked: Asked, run: str, expires: float | None) -> Wait:
        """Store a wait, or take up the one that is stored already.

        Args:
            key: Which.
            asked: What to wait for.
            run: Id of the run that waits.
            expires: When nobody waits any longer, in seconds since 1970.
        """
        values = (*key, run, asked.way, asked.due, expires, asked.message)
        token = secrets.token_urlsafe(24)
        more = (to_text(list(asked.approvers)), asked.run, time.time(), token, asked.seconds)
        with self._db.write() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO waits (root, node, items, round, run, way, due, expires, "
                "message, approvers, child, since, token, seconds) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*values, *more),
            )
            connection.execute(
                f"UPDATE waits SET run = ?, over = 0 WHERE {_KEY}",  # noqa: S608
                (run, *key),
            )
            # A child run that died is gone on with by another one, which is waited for then.
            connection.execute(
                "UPDATE waits SET child = ?, answer = NULL, answered_by = NULL, "  # noqa: S608
                f"answered_at = NULL WHERE {_KEY} AND child IS NOT ?",
                (asked.run, *key, asked.run),
            )
        found = self.get(key)
        if found is None:  # pragma: no cover - inserted before
            raise KeyError(key)
        return found

    def get(self, key: WaitKey) -> Wait | None:
        """Return a wait, if it is stored."""
        found = self._select(f"WHERE {_KEY}", key)
        return found[0] if found else None

    def end(self, key: WaitKey) -> None:
        """Note that the step goes on."""
        self._db.execute(f"UPDATE waits SET over = 1 WHERE {_KEY}", tuple(key))  # noqa: S608

    def move(self, key: WaitKey, by: float) -> None:
        """Let a wait end earlier by so many seconds, because the clock was set back by as many."""
        self._db.execute(f"{_MOVED}{_KEY}", (by, by, by, *key))

    def follow_the_clock(self, now: float) -> None:
        """Let no suspended run wait for longer because the clock was set back meanwhile.

        How much time has passed since it was suspended is not known then, so that none is taken
        off. What ends at a moment ends at that moment.

        Args:
            now: Seconds since 1970.
        """
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT run, since FROM suspended WHERE since > ?", (now + SET,)
            ).fetchall()
        for run, since in rows:
            by = since - now
            with self._db.write() as connection:
                moved = connection.execute(
                    "UPDATE suspended SET since = ? WHERE run = ? AND since = ?", (now, run, since)
                ).rowcount
                if moved:
                    connection.execute(f"{_MOVED}run = ?", (by, by, by, run))
                    connection.execute(
                        "UPDATE suspended SET next = ? WHERE run = ?", (_next(connection, run), run)
                    )

    # What others ask and say

    def of_run(self, run: str) -> list[Wait]:
        """Return what a run waits for, the oldest first."""
        return self._select("WHERE run = ? AND over = 0 ORDER BY since", (run,))

    def all_open(self) -> list[Wait]:
        """Return what all runs wait for, those too whose process goes on, the oldest first."""
        return self._select("WHERE over = 0 ORDER BY since", ())

    def answer(self, wait: Wait, answer: Json, by: str) -> bool:
        """Answer a wait; its run goes on.

        Args:
            wait: As it was read.
            answer: Any JSON.
            by: Who answers.

        Returns:
            False if somebody was faster, or nobody waits any more: then nothing has changed.
        """
        with self._db.write() as connection:
            changed = connection.execute(
                "UPDATE waits SET answer = ?, answered_by = ?, answered_at = ? "  # noqa: S608
                f"WHERE {_KEY} AND answer IS NULL AND over = 0",
                (to_text(answer), by, time.time(), *wait.key),
            ).rowcount
            if changed:
                connection.execute("UPDATE suspended SET next = 0 WHERE run = ?", (wait.run,))
        return bool(changed)

    def children(self) -> Mapping[str, list[Wait]]:
        """Return the waits of suspended runs for other runs, by the id of those."""
        found: dict[str, list[Wait]] = {}
        for wait in self._select(
            "WHERE way = 'run' AND over = 0 AND answer IS NULL "
            "AND run IN (SELECT run FROM suspended)",
            (),
        ):
            found.setdefault(wait.child or "", []).append(wait)
        return found

    def _select(self, where: str, values: Iterable[Any]) -> list[Wait]:
        with self._db.read() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM waits {where}",  # noqa: S608 - constants
                tuple(values),
            ).fetchall()
        return [_wait(row) for row in rows]

    # Suspended runs

    def suspend(self, run: str, worked: float) -> None:
        """Note that a run's process ends while it waits.

        Args:
            run: Its id.
            worked: Seconds that it has worked, for its timeout.
        """
        with self._db.write() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO suspended (run, since, worked, next, worker) "
                "VALUES (?, ?, ?, ?, NULL)",
                (run, time.time(), worked, _next(connection, run)),
            )
            # Nobody executes it, so nobody is looked for when it goes on.
            connection.execute("UPDATE runs SET worker = NULL WHERE id = ?", (run,))

    def due(self, now: float, at_most: int) -> list[str]:
        """Return suspended runs that can go on and that nobody goes on with, the longest due first.

        Args:
            now: Seconds since 1970.
            at_most: How many.
        """
        with self._db.read() as connection:
            rows = connection.execute(
                "SELECT run FROM suspended WHERE next <= ? AND worker IS NULL ORDER BY next "
                "LIMIT ?",
                (now, at_most),
            ).fetchall()
        return [run for (run,) in rows]

    def suspended(self) -> dict[str, str | None]:
        """Return the suspended runs, and the mark of the process that goes on with each."""
        with self._db.read() as connection:
            return dict(connection.execute("SELECT run, worker FROM suspended").fetchall())

    def claimed(self) -> int:
        """Return how many suspended runs some process goes on with."""
        with self._db.read() as connection:
            (count,) = connection.execute(
                "SELECT count(*) FROM suspended WHERE worker IS NOT NULL"
            ).fetchone()
        return count

    def claim(self, run: str, worker: str) -> bool:
        """Let one process alone go on with a suspended run; return whether it is this one.

        Args:
            run: The run's id.
            worker: The process's mark.
        """
        with self._db.write() as connection:
            changed = connection.execute(
                "UPDATE suspended SET worker = ? WHERE run = ? AND worker IS NULL", (worker, run)
            ).rowcount
        return bool(changed)

    def release(self, run: str, worker: str) -> None:
        """Let others go on with a run that a process has claimed and does not go on with."""
        self._db.execute(
            "UPDATE suspended SET worker = NULL WHERE run = ? AND worker = ?", (run, worker)
        )

    def worked(self, run: str) -> float:
        """Return how many seconds a suspended run had worked."""
        with self._db.read() as connection:
            row = connection.execute(
                "SELECT worked FROM suspended WHERE run = ?", (run,)
            ).fetchone()
        return row[0] if row else 0.0

    def forget(self, run: str) -> None:
        """Note that a run has ended: nobody waits any more."""
        with self._db.write() as connection:
            connection.execute("DELETE FROM suspended WHERE run = ?", (run,))
            connection.execute("UPDATE waits SET over = 1 WHERE run = ? AND over = 0", (run,))


def _next(connection: Any, run: str) -> float:
    """Return when a run can go on: at once if an answer has come already."""
    rows = connection.execute(
        "SELECT answer IS NOT NULL, due, expires FROM waits WHERE run = ? AND over = 0", (run,)
    ).fetchall()
    ends = (end for answered, *own in rows for end in ((0.0,) if answered else own))
    return min((end for end in ends if end is not None), default=_NEVER)


def _wait(row: Sequence[Any]) -> Wait:
    *key, run, way, due, expires, message, approvers, child, since, token = row[:13]
    answer, answered_by, answered_at, over, seconds = row[13:]
    return Wait(
        key=WaitKey(*key),
        run=run,
        way=way,
        due=due,
        expires=expires,
        message=message,
        approvers=tuple(json.loads(approvers)),
        child=child,
        since=since,
        token=token,
        answer=answer,
        answered_by=answered_by,
        answered_at=answered_at,
        over=bool(over),
        seconds=seconds,
    )
