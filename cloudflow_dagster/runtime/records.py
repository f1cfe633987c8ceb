"""Records in SQLite: one file for all runs of a project, for several processes at once."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.plan import Plan
from cloudflow_dagster.project.server import RecordsServer
from cloudflow_dagster.runtime.database import RecordsError, database
from cloudflow_dagster.runtime.intents import CallKey, Intents, Settled, settle
from cloudflow_dagster.runtime.plans import store_plan
from cloudflow_dagster.runtime.record import (
    Ancestor,
    LoopFacts,
    Record,
    RecordKey,
    Records,
    RunFacts,
    Status,
    Tally,
    to_text,
)
from cloudflow_dagster.runtime.stored import (
    CHUNK,
    COLUMNS,
    INSERT,
    WHERE,
    Place,
    StoredLoop,
    as_stored,
    newest_of,
    outer_text,
    to_record,
    to_row,
)
from cloudflow_dagster.runtime.undoings import Undoings

__all__ = [
    "Ancestor",
    "LoopFacts",
    "Record",
    "RecordKey",
    "Records",
    "RecordsError",
    "RunFacts",
    "SqliteRecords",
    "Tally",
]

BATCH = 500
BATCH_SECONDS = 0.2
ITEMS_A_COMMIT = 5_000


class SqliteRecords:
    """The records of one run, beside those of all others in one file.

    Args:
        where: The file, which is made with its folder, or the server.
        run_id: The run that is executed.
        lineage: The runs that it re-executes, the nearest first.
    """

    goes_on = False
    """Whether the run was suspended, and this process goes on with it."""

    def __init__(
        self,
        where: Path | str | RecordsServer,
        run_id: str,
        lineage: Sequence[Ancestor | tuple[str, frozenset[str] | None, bool]] = (),
    ) -> None:
        self.run_id = run_id
        self.lineage = tuple(Ancestor(*ancestor) for ancestor in lineage)
        self._db = database(Path(where) if isinstance(where, str) else where)
        self._waiting: list[tuple[Any, ...]] = []
        self._settled: list[Settled] = []
        self._oldest = 0.0
        self._lock = threading.Lock()
        self._opened: set[tuple[int, str]] = set()
        self._db.execute("INSERT OR IGNORE INTO runs (id) VALUES (?)", (run_id,))
        own = self._number(run_id)
        if own is None:  # pragma: no cover - inserted the line before
            raise RecordsError(f"Run {run_id} was deleted while it started.")
        self._run = own
        self._numbers = [self._number(ancestor.run_id) for ancestor in self.lineage]
        self.intents = Intents(self._db, run_id, own)
        self.undoings = Undoings(self._db, own, self.lineage, self._numbers)

    def _number(self, run_id: str) -> int | None:
        with self._db.read() as connection:
            row = connection.execute("SELECT n FROM runs WHERE id = ?", (run_id,)).fetchone()
        return row[0] if row else None

    # Runs

    def save_run(self, facts: RunFacts, plan: Plan | None = None) -> None:
        """Store what is fixed for this run, and with it what it is a run of."""
        with self._db.write() as connection:
            if plan is not None:
                facts = replace(facts, plan=store_plan(connection, plan))
            connection.execute(
                "UPDATE runs SET facts = ? WHERE n = ?", (to_text(asdict(facts)), self._run)
            )

    def load_run(self, run_id: str | None = None) -> RunFacts | None:
        """Return what is fixed for this run, or another one; None if nothing was stored."""
        with self._db.read() as connection:
            row = connection.execute(
                "SELECT facts FROM runs WHERE id = ?", (run_id or self.run_id,)
            ).fetchone()
        return RunFacts(**json.loads(row[0])) if row and row[0] else None

    def delete_run(self, run_id: str) -> None:
        """Delete everything that is stored of a run."""
        number = self._number(run_id)
        if number is None:
            return
        with self._db.write() as connection:
            for table in ("records", "items", "loops", "stopped", "intents", "undoings"):
                connection.execute(f"DELETE FROM {table} WHERE run = ?", (number,))  # noqa: S608
            connection.execute("DELETE FROM runs WHERE n = ?", (number,))

    # Which runs of the line are asked

    def _chain(self, owner: str, *, inner: bool) -> Iterator[int]:
        """Yield the runs whose records of a node (`inner`: of what is inside a loop) count.

        A run that did not execute the node lets its ancestor speak. One that did speaks itself;
        inside a loop its ancestor does too, for items that it kept (a resumption), or that it had
        no part in (some ranges of the loop were executed again, the loop was not opened again).
        """
        run: int | None = self._run
        for ancestor, number in zip(self.lineage, self._numbers, strict=True):
            if run is not None:
                yield run
            if owner in self.undoings.afresh(number):
                return
            executed = ancestor.reran is None or owner in ancestor.reran
            if executed and not (inner and (ancestor.resume or not self._did_open(run, owner))):
                return
            run = number
        if run is not None:
            yield run

    def _did_open(self, run: int | None, owner: str) -> bool:
        """Return whether a run opened a loop, or ended it without."""
        if run is None:
            return False
        if (run, owner) not in self._opened:
            key = RecordKey(owner)
            if self._loop_row(run, key) is None and self._first(iter((run,)), key) is None:
                return False
            self._opened.add((run, owner))
        return True

    def _kept(self, owner: str) -> Iterator[int]:
        """Yield the runs whose successes inside a loop are not done again.

        They are ancestors, and this run itself if it was suspended and goes on.
        """
        if self.goes_on:
            yield self._run
        for ancestor, number in zip(self.lineage, self._numbers, strict=True):
            executed = ancestor.reran is None or owner in ancestor.reran
            if (executed and not ancestor.resume) or owner in self.undoings.afresh(number):
                return
            if number is not None:
                yield number

    def token_run(self, owner: str) -> str:
        """Return the run whose attempts at this node go on in this one."""
        run = self.run_id
        for ancestor, number in zip(self.lineage, self._numbers, strict=True):
            executed = ancestor.reran is None or owner in ancestor.reran
            if (executed and not ancestor.resume) or owner in self.undoings.afresh(number):
                break
            run = ancestor.run_id
        return run

    def claim(self, worker: str) -> None:
        """Note who executes this run, and let the one that it goes on with change nothing more.

        Args:
            worker: A mark of the process. It is found by `worker_in`.
        """
        with self._db.write(through=True) as connection:
            connection.execute("UPDATE runs SET worker = ? WHERE n = ?", (worker, self._run))
            if self.lineage and self.lineage[0].resume:
                connection.execute(
                    "INSERT INTO runs (id, successor) VALUES (?, ?) "
                    "ON CONFLICT (id) DO UPDATE SET successor = excluded.successor",
                    (self.lineage[0].run_id, self.run_id),
                )

    def call_key(self, key: RecordKey, owner: str, round_: int = 0) -> CallKey:
        """Return which call of the line of runs a step makes here."""
        return CallKey(self.token_run(owner), key.node, key.indices, round_)

    # Records

    def read(self, key: RecordKey, owner: str | None = None) -> Record | None:
        """Return a record of this run, or of the nearest ancestor whose word counts."""
        inner = bool(key.indices)
        return self._first(self._chain(owner or key.node, inner=inner), key)

    def earlier(self, key: RecordKey, owner: str) -> Record | None:
        """Return what an ancestor recorded, or this run before it was suspended, if it is kept."""
        return self._first(self._kept(owner), key) if self.lineage or self.goes_on else None

    def newest(
        self, status: Status, owners: Mapping[str, str]
    ) -> Iterator[tuple[RecordKey, Record]]:
        """Yield what nodes gave that ended so, for whatever items, the newest first.

        Args:
            status: How they ended.
            owners: The nodes, each with the node outside loops that it belongs to.
        """
        self.flush()
        known: list[int] = []
        kept = {owner: {self._run, *self._kept(owner)} for owner in set(owners.values())}
        for run in dict.fromkeys([self._run, *(n for n in self._numbers if n is not None)]):
            nodes = [node for node, owner in owners.items() if run in kept[owner]]
            for place, row in newest_of(self._db, run, status, nodes):
                key = place.key
                if self._first(iter(known), key) is None:
                    yield key, to_record(self._db, place, row)
            known.append(run)

    def own(self, key: RecordKey) -> Record | None:
        """Return a record that this run itself wrote."""
        return self._first(iter((self._run,)), key)

    def of_run(self, run_id: str, key: RecordKey) -> Record | None:
        """Return a record that a run wrote, whether this one goes on with it or not."""
        number = self._number(run_id)
        return None if number is None else self._first(iter((number,)), key)

    def _first(self, runs: Iterator[int], key: RecordKey) -> Record | None:
        self.flush()
        for run in runs:
            place = Place.of(run, key)
            with self._db.read() as connection:
                row = connection.execute(
                    f"SELECT {COLUMNS} FROM records WHERE {WHERE}",  # noqa: S608 - constants
                    place,
                ).fetchone()
            if row is not None:
                return to_record(self._db, place, row)
        return None

    def write(
        self, key: RecordKey, record: Record, *, soon: bool = False, settled: Settled | None = None
    ) -> Record:
        """Store a record, and return it as it is stored.

        Args:
            key: Whose.
            record: What.
            soon: It may wait a moment for others to be written with it. This run sees it at once.
            settled: What came of the step's call; stored with the record or not at all.
        """
        place = Place.of(self._run, key)
        row = to_row(place, record)
        with self._lock:
            if not self._waiting:
                self._oldest = time.monotonic()
            self._waiting.append(row)
            if settled:
                self._settled.append(settled)
            full = len(self._waiting) >= BATCH or time.monotonic() - self._oldest > BATCH_SECONDS
        if full or not soon or settled:
            self.flush()
        return as_stored(self._db, place, record)

    def flush(self) -> None:
        """Store what waits to be written.

        Raises:
            RecordsError: It cannot be. It waits on, and is stored by whoever asks for that next.
        """
        # The lock is held until the rows are stored: whoever finds nothing waiting can read them.
        with self._lock:
            if not self._waiting:
                return
            if len(self._waiting) == 1 and not self._settled:
                self._db.execute(INSERT, self._waiting[0])
            else:
                with self._db.write() as connection:
                    connection.executemany(INSERT, self._waiting)
                    for settled in self._settled:
                        settle(connection, self._run, settled)
            # Not before they are stored.
            self._waiting, self._settled = [], []

    # Loops

    def open_loop(self, key: RecordKey, facts: LoopFacts, items: Iterable[Json]) -> None:
        """Store a loop's items and mark it as opened; `facts.count` is their number."""
        place = Place.of(self._run, key)
        inside = Place.inside(self._run, key)
        rows = ((*inside[:3], index, to_text(item)) for index, item in enumerate(items))
        with self._db.write() as connection:
            connection.execute(f"DELETE FROM loops WHERE {WHERE}", place)  # noqa: S608
            connection.execute(f"DELETE FROM stopped WHERE {WHERE}", place)  # noqa: S608
            connection.execute(f"DELETE FROM records WHERE {WHERE}", place)  # noqa: S608
            connection.execute(
                "DELETE FROM items WHERE run = ? AND node = ? AND outer_items = ?", inside[:3]
            )
            self._insert_items(connection, rows)
            more = facts.count > ITEMS_A_COMMIT
            if not more:
                self._mark_opened(connection, place, facts)
        while more:
            # A long list is stored in pieces, so that others come to write in between.
            with self._db.write() as connection:
                more = self._insert_items(connection, rows)
                if not more:
                    self._mark_opened(connection, place, facts)

    @staticmethod
    def _insert_items(connection: Any, rows: Iterator[tuple[Any, ...]]) -> bool:
        cursor = connection.executemany(
            "INSERT INTO items (run, node, outer_items, item, value) VALUES (?, ?, ?, ?, ?)",
            islice(rows, ITEMS_A_COMMIT),
        )
        return cursor.rowcount == ITEMS_A_COMMIT

    @staticmethod
    def _mark_opened(connection: Any, place: Place, facts: LoopFacts) -> None:
        connection.execute(
            "INSERT INTO loops (run, node, outer_items, item, facts) VALUES (?, ?, ?, ?, ?)",
            (*place, to_text(asdict(facts))),
        )

    def _loop_row(self, run: int, key: RecordKey) -> LoopFacts | None:
        with self._db.read() as connection:
            row = connection.execute(
                f"SELECT facts FROM loops WHERE {WHERE}",  # noqa: S608 - a constant
                Place.of(run, key),
            ).fetchone()
        return LoopFacts(**json.loads(row[0])) if row else None

    def loop(self, key: RecordKey, owner: str) -> LoopFacts | None:
        """Return an opened loop."""
        found = self._opened_in(key, owner)
        return found[1] if found else None

    def _opened_in(self, key: RecordKey, owner: str) -> tuple[int, LoopFacts] | None:
        for run in self._chain(owner, inner=True):
            facts = self._loop_row(run, key)
            if facts is not None:
                return run, facts
        return None

    def kept_loop(self, key: RecordKey, owner: str) -> LoopFacts | None:
        """Return a loop that an ancestor opened, if this run resumes it."""
        for run in self._kept(owner):
            facts = self._loop_row(run, key)
            if facts is not None:
                return facts
        return None

    def finished(self, key: RecordKey, owner: str, first: int, last: int) -> set[int]:
        """Return which iterations from `first` to `last` succeeded and are not done again."""
        self.flush()
        inside = Place.inside(self._run, key)
        found: set[int] = set()
        for run in (self._run, *self._kept(owner)):
            with self._db.read() as connection:
                found |= {
                    index
                    for (index,) in connection.execute(
                        "SELECT item FROM records WHERE run = ? AND node = ? AND outer_items = ? "
                        "AND item BETWEEN ? AND ? AND status = 'success'",
                        (run, *inside[1:3], first, last),
                    )
                }
        return found

    def items(
        self, key: RecordKey, owner: str, first: int, last: int
    ) -> Iterator[tuple[int, Json]]:
        """Yield a loop's items from `first` to `last`, both included, a few at a time."""
        opened = self._opened_in(key, owner)
        if opened is None:
            raise RecordsError(f"The items of the loop `{key.node}` are not stored.")
        inside = Place.inside(opened[0], key)
        for start in range(first, last + 1, CHUNK):
            with self._db.read() as connection:
                rows = connection.execute(
                    "SELECT item, value FROM items WHERE run = ? AND node = ? AND outer_items = ? "
                    "AND item BETWEEN ? AND ? ORDER BY item",
                    (*inside[:3], start, min(last, start + CHUNK - 1)),
                ).fetchall()
            for index, text in rows:
                yield index, json.loads(text)

    def close_loop(self, key: RecordKey, owner: str, record: Record) -> Record:
        """Store the record of a loop whose output is made from its iterations, when it is read."""
        source = self.loop_output(key, owner)
        closed = Record(record.status, ports=record.ports, attempts=record.attempts, source=source)
        self.write(key, closed)
        return closed

    def loop_output(self, key: RecordKey, owner: str) -> StoredLoop:
        """Return what the iterations of an opened loop gave so far."""
        self.flush()
        facts = self.loop(key, owner)
        return StoredLoop(
            self._db,
            Place.of(self._run, key),
            tuple(self._chain(owner, inner=True)),
            facts.count if facts else 0,
        )

    def stop_loop(self, key: RecordKey) -> None:
        """Let no new iteration of a loop start, in whatever process."""
        self._db.execute(
            "INSERT OR IGNORE INTO stopped (run, node, outer_items, item) VALUES (?, ?, ?, ?)",
            Place.of(self._run, key),
        )

    def loop_stopped(self, key: RecordKey) -> bool:
        """Return whether `stop_loop` was called in this run."""
        with self._db.read() as connection:
            row = connection.execute(
                f"SELECT 1 FROM stopped WHERE {WHERE}",  # noqa: S608 - a constant
                Place.of(self._run, key),
            ).fetchone()
        return row is not None

    # Summing up

    def tally(self, node: str, owner: str, depth: int) -> Tally:
        """Sum up the records of a node inside `depth` loops; of each item the nearest run's."""
        self.flush()
        runs = list(self._chain(owner, inner=True))
        marks = ", ".join("?" * len(runs))
        nearest = " ".join(f"WHEN ? THEN {place}" for place in range(len(runs)))
        # The records of a loop's iterations stand under its node too, one index deeper.
        counted = (
            "WITH counted AS (SELECT status, attempts, error, outer_items, item, "  # noqa: S608
            "ROW_NUMBER() OVER (PARTITION BY outer_items, item "
            f"ORDER BY CASE run {nearest} END) AS place FROM records "
            f"WHERE run IN ({marks}) AND node = ? AND item >= 0 AND length(outer_items) = ?) "
        )
        by_status = (
            "SELECT status, COUNT(*), MAX(attempts) FROM counted WHERE place = 1 GROUP BY status"
        )
        first_error = (
            "SELECT error FROM counted WHERE place = 1 AND status = 'failure' "
            "ORDER BY outer_items, item LIMIT 1"
        )
        values = (*runs, *runs, node, len(outer_text((0,) * (depth - 1))))
        with self._db.read() as connection:
            rows = connection.execute(counted + by_status, values).fetchall()
            error = connection.execute(counted + first_error, values).fetchone()
        statuses: dict[Status, int] = {status: count for status, count, _ in rows}
        return Tally(
            statuses,
            max((attempts for *_, attempts in rows), default=0),
            json.loads(error[0]) if error and error[0] else None,
        )

    # Ending

    def close(self) -> None:
        """Store what waits; the file's connections stay open for other runs of this process."""
        self.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def worker_in(where: Path | RecordsServer, run_id: str) -> str | None:
    """Return the mark of the process that executes a run; None if it has not begun.

    Args:
        where: The file of the records, or their server.
        run_id: The run.
    """
    with database(where).read() as connection:
        row = connection.execute("SELECT worker FROM runs WHERE id = ?", (run_id,)).fetchone()
    return row[0] if row else None
