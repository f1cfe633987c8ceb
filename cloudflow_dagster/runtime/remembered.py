"""What the records hold of runs as wholes: asked by who shows them, deleted by who tidies up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from cloudflow_dagster.runtime.database import Database, database


class BodyCount(NamedTuple):
    """How many items of a loop a body node ended with a status for."""

    node: str
    status: str
    items: int
    attempts: int
    """The most that one of them took."""


class Remembered:
    """The records of all runs of a project; without a file nothing is remembered.

    Args:
        path: The file of the records.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: Database | None = database(path) if path.exists() else None

    def knows(self, run_id: str) -> bool:
        """Return whether anything is stored of a run."""
        return bool(self._numbers([run_id]))

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
