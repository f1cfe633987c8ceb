"""What the records hold of runs as wholes: asked by who shows them, deleted by who tidies up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from cloudflow_dagster.project.server import RecordsServer
from cloudflow_dagster.runtime.database import Database, database

_PIECE = 5_000
"""Rows that are deleted at a time."""


class BodyCount(NamedTuple):
    """How many items of a loop a body node ended with a status for."""

    node: str
    status: str
    items: int
    attempts: int
    """The most that one of them took."""


class StoredRun(NamedTuple):
    """A run of which something is stored."""

    id: str
    flow: str
    started_at: datetime


class Remembered:
    """The records of all runs of a project; without a file nothing is remembered.

    Args:
        where: The file of the records, or their server.
    """

    def __init__(self, where: Path | RecordsServer) -> None:
        self._db: Database | None = database(where) if where.exists() else None

    def knows(self, run_id: str) -> bool:
        """Return whether anything is stored of a run."""
        return bool(self._numbers([run_id]))

    def started_before(self, time: datetime) -> Iterator[StoredRun]:
        """Yield the runs that started before a time; of a re-execution counts its first run."""
        if self._db is None:
            return
        query = (
            "SELECT id, json_extract(facts, '$.flow'), json_extract(facts, '$.started_at') "
            "FROM runs WHERE facts IS NOT NULL AND json_extract(facts, '$.started_at') <> ''"
        )
        with self._db.read() as connection:
            rows = connection.execute(query).fetchall()
        for run_id, flow, started_at in rows:
            run = StoredRun(run_id, flow, datetime.fromisoformat(started_at))
            if run.started_at < time:
                yield run

    def forget(self, run_id: str) -> None:
        """Delete all that is stored of a run, in pieces, so that others come to write in between.

        One that is broken off is gone on with by the next: the run itself goes last.
        """
        if self._db is None:
            return
        numbers = self._numbers([run_id])
        for table, key, numbered in self._db.tables_of_runs():
            columns = ", ".join(key)
            piece = (
                f"DELETE FROM {table} WHERE ({columns}) IN "  # noqa: S608 - names of the schema
                f"(SELECT {columns} FROM {table} WHERE run = ? LIMIT {_PIECE})"
            )
            for name in numbers if numbered else [run_id]:
                more = True
                while more:
                    with self._db.write() as connection:
                        more = connection.execute(piece, (name,)).rowcount == _PIECE
        self._db.execute("DELETE FROM runs WHERE id = ?", (run_id,))

    def forget_unused_plans(self) -> None:
        """Delete what no run is a run of any more."""
        if self._db is not None:
            self._db.execute(
                "DELETE FROM plans WHERE name NOT IN (SELECT json_extract(facts, '$.plan') "
                "FROM runs WHERE json_extract(facts, '$.plan') IS NOT NULL)",
                (),
            )

    def body_counts(self, run_ids: Sequence[str]) -> Iterator[BodyCount]:
        """Yield how the items of loops ended, by node; of each item the nearest run's word counts.

        Args:
            run_ids: A run and those that it goes on from, the nearest first.
        """
        numbers = self._numbers(run_ids)
        if self._db is None or not numbers:
            return
        marks = ", ".join("?" * len(numbers))
        nearest = " ".join(f"WHEN ? THEN {place}" for place in range(len(numbers)))
        query = (
            "WITH counted AS (SELECT node, status, attempts, "  # noqa: S608 - made of marks
            "ROW_NUMBER() OVER (PARTITION BY node, outer_items, item "
            f"ORDER BY CASE run {nearest} END) AS place FROM records "
            f"WHERE run IN ({marks}) AND item >= 0) "
            "SELECT node, status, COUNT(*), MAX(attempts) FROM counted WHERE place = 1 "
            "GROUP BY node, status ORDER BY node, status"
        )
        with self._db.read() as connection:
            rows = connection.execute(query, (*numbers, *numbers)).fetchall()
        yield from map(BodyCount._make, rows)

    def _numbers(self, run_ids: Sequence[str]) -> list[int]:
        """Return the numbers of runs, in the order given, without those that are not stored."""
        if self._db is None:
            return []
        found: list[int] = []
        with self._db.read() as connection:
            for run_id in run_ids:
                row = connection.execute("SELECT n FROM runs WHERE id = ?", (run_id,)).fetchone()
                if row:
                    found.append(row[0])
        return found
