"""Which runs were undone after they failed, and what has to be done afresh because of that."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from cloudflow_dagster.runtime.database import Database
from cloudflow_dagster.runtime.intents import check_not_taken_over
from cloudflow_dagster.runtime.record import Ancestor, to_text

_NOTHING: frozenset[str] = frozenset()


class Undoings:
    """What is known of the undoing of a run and of those that it goes on from.

    Args:
        db: Where the records are.
        number: The run's number there.
        lineage: The runs that it does again, the nearest first.
        numbers: Their numbers; None for one of which nothing is stored.
    """

    def __init__(
        self, db: Database, number: int, lineage: Sequence[Ancestor], numbers: Sequence[int | None]
    ) -> None:
        self._db = db
        self._number = number
        self._line = [number]
        for ancestor, known in zip(lineage, numbers, strict=True):
            if not ancestor.resume:
                break
            if known is not None:
                self._line.append(known)
        self._afresh = {n: found for n in numbers if n is not None and (found := self._read(n))}

    def _read(self, number: int) -> frozenset[str]:
        with self._db.read() as connection:
            row = connection.execute(
                "SELECT afresh FROM undoings WHERE run = ? AND ended = 1 AND by_run <> ?",
                (number, self._number),
            ).fetchone()
        return frozenset(json.loads(row[0])) if row else _NOTHING

    def afresh(self, number: int | None) -> frozenset[str]:
        """Return the nodes outside loops of which nothing counts any more that a run knows.

        They were undone, or what they were given was. A run that undoes another one itself still
        sees what that did.
        """
        return self._afresh.get(number or 0, _NOTHING)

    def begin(self) -> None:
        """Note that the run, and what it goes on from, is being undone.

        Raises:
            TakenOver: Another run goes on with this one.
        """
        with self._db.write(through=True) as connection:
            check_not_taken_over(connection, self._number)
            for run in self._line:
                connection.execute(
                    "INSERT INTO undoings (run, by_run, ended, afresh) VALUES (?, ?, 0, '[]') "
                    "ON CONFLICT (run) DO UPDATE SET by_run = excluded.by_run "
                    "WHERE undoings.ended = 0",
                    (run, self._number),
                )

    def end(self, afresh: Iterable[str]) -> None:
        """Note that all has been undone that can be.

        Args:
            afresh: The nodes outside loops that have to be done afresh by whoever goes on.
        """
        with self._db.write(through=True) as connection:
            connection.execute(
                "UPDATE undoings SET ended = 1, afresh = ? WHERE by_run = ? AND ended = 0",
                (to_text(sorted(set(afresh))), self._number),
            )

    def under_way(self) -> bool:
        """Return whether the run goes on from one whose undoing has begun and not ended."""
        return any(self._state(run) == 0 for run in self._line)

    def begun(self) -> bool:
        """Return whether the run is, or was, undone or the one that undoes."""
        return self._state(self._number) is not None

    def _state(self, run: int) -> int | None:
        with self._db.read() as connection:
            row = connection.execute("SELECT ended FROM undoings WHERE run = ?", (run,)).fetchone()
        return row[0] if row else None
