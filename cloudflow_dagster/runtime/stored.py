"""How a record is a row of the database, and how its output is found again."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.runtime.database import Database, RecordsError
from cloudflow_dagster.runtime.large import StoredFile
from cloudflow_dagster.runtime.record import Given, Record, RecordKey, Source, to_text

_NONE, _TEXT, _ALIAS, _LOOP, _FILE = range(5)
"""How an output is stored: not at all, here, in another record, as the iterations of a loop, in a
file."""
INLINE = 16_384
"""Outputs up to so many characters are read with their record, and copied instead of shared."""
CHUNK = 100
"""Rows that are in memory at the same time while a loop's items or results are read."""

WHERE = "run = ? AND node = ? AND outer_items = ? AND item = ?"
COLUMNS = (
    f"status, form, size, CASE WHEN size <= {INLINE} OR form > {_TEXT} THEN output END, "
    "ports, error, attempts, state"
)
INSERT = (
    "INSERT OR REPLACE INTO records (run, node, outer_items, item, status, form, size, output, "
    "ports, error, attempts, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


class Place(NamedTuple):
    """The key of a row."""

    run: int
    node: str
    outer_items: str
    item: int

    @classmethod
    def of(cls, run: int, key: RecordKey) -> Place:
        """Return where a record stands in a run."""
        *outer, last = key.indices or (-1,)
        return cls(run, key.node, outer_text(outer), last)

    @property
    def key(self) -> RecordKey:
        """The key of the record that stands here."""
        outer = [int(index) for index in self.outer_items.split(".") if index]
        return RecordKey(self.node, (*outer, self.item) if self.item >= 0 else ())

    @classmethod
    def inside(cls, run: int, key: RecordKey, item: int = -1) -> Place:
        """Return where one of a loop's items or iterations stands."""
        return cls(run, key.node, outer_text(key.indices), item)


def outer_text(indices: Sequence[int]) -> str:
    """Return indices as text that sorts as they do."""
    return ".".join(f"{index:08d}" for index in indices)


@dataclass(frozen=True, slots=True, eq=False)
class StoredText:
    """An output that lies in the database; short ones are here already."""

    db: Database
    place: Place
    text: str | None

    def load(self) -> Json:
        """Return the output."""
        return json.loads(self.text if self.text is not None else self._fetch())

    def part(self, fields: frozenset[str]) -> Json:
        """Return the output."""
        return self.load()

    def _fetch(self) -> str:
        with self.db.read() as connection:
            row = connection.execute(
                f"SELECT output FROM records WHERE {WHERE}",  # noqa: S608 - a constant
                self.place,
            ).fetchone()
        if row is None or row[0] is None:
            raise _gone(self.place)
        return row[0]


@dataclass(frozen=True, slots=True, eq=False)
class StoredLoop:
    """`{results, errors, count}` of a loop, made from its iterations when it is read.

    Attributes:
        db: Where.
        place: Of the loop's own record.
        runs: The runs whose iterations count, the nearest first.
        count: How many items the loop has.
    """

    db: Database
    place: Place
    runs: tuple[int, ...]
    count: int

    def load(self) -> Json:
        """Return all three fields."""
        return self.part(frozenset({"results", "errors", "count"}))

    def part(self, fields: frozenset[str]) -> Json:
        """Return `count`, and the others if they are asked for."""
        output: dict[str, Json] = {}
        if "results" in fields:
            results: list[Json] = [None] * self.count
            for index, record in self.iterations():
                if record.status == "success":
                    results[index] = record.output
            output["results"] = results
        if "errors" in fields:
            output["errors"] = [
                {name: error.get(name) for name in ("index", "node", "code", "message")}
                for error in self.errors()
            ]
        output["count"] = self.count
        return output

    def errors(self) -> Iterator[dict[str, Json]]:
        """Yield the errors of the iterations that failed, in the order of the items."""
        for index, record in self.iterations(outputs=False):
            if record.status == "failure":
                yield {"index": index, **(record.error or {})}

    def errors_before(self) -> Iterator[dict[str, Json]]:
        """Yield the errors of the iterations that failed in an earlier run and were not redone."""
        if len(self.runs) == 1:
            return
        for index, run, record in self._standing(outputs=False):
            if record.status == "failure" and run != self.runs[0]:
                yield {"index": index, **(record.error or {})}

    def missing(self) -> int:
        """Return how many items have no iteration that ended in success or failure."""
        marks = ", ".join("?" * len(self.runs))
        query = (
            f"SELECT COUNT(DISTINCT item) FROM records WHERE run IN ({marks}) AND node = ? "  # noqa: S608
            "AND outer_items = ? AND item >= 0 AND status IN ('success', 'failure')"
        )
        with self.db.read() as connection:
            values = (*self.runs, self.place.node, self._inside)
            return self.count - connection.execute(query, values).fetchone()[0]

    @property
    def _inside(self) -> str:
        """The indices of this loop, as `outer_items` of its iterations."""
        place = self.place
        own = outer_text((place.item,) if place.item >= 0 else ())
        return ".".join(part for part in (place.outer_items, own) if part)

    def iterations(self, *, outputs: bool = True) -> Iterator[tuple[int, Record]]:
        """Yield the iterations' records in the order of the items."""
        for index, _, record in self._standing(outputs=outputs):
            yield index, record

    def _standing(self, *, outputs: bool) -> Iterator[tuple[int, int, Record]]:
        """Yield each item's index, the nearest run that has a record of it, and that."""
        columns = COLUMNS if outputs else "status, 0, 0, NULL, ports, error, attempts, state"
        query = (
            f"SELECT item, {columns} FROM records WHERE run = ? AND node = ? "  # noqa: S608
            "AND outer_items = ? AND item BETWEEN ? AND ?"
        )
        indices = self._inside
        for first in range(0, self.count, CHUNK):
            found: dict[int, tuple[int, Record]] = {}
            with self.db.read() as connection:
                for run in reversed(self.runs):
                    span = (run, self.place.node, indices, first, first + CHUNK - 1)
                    for item, *row in connection.execute(query, span):
                        place = Place(run, self.place.node, indices, item)
                        found[item] = run, to_record(self.db, place, row)
            for item in sorted(found):
                yield item, *found[item]


def newest_of(
    db: Database, run: int, status: str, nodes: Sequence[str]
) -> Iterator[tuple[Place, Sequence[Any]]]:
    """Yield a run's records of some nodes that ended so as rows (`COLUMNS`), the newest first."""
    marks = ", ".join("?" * len(nodes))
    # Rows are numbered as they are written; writing one anew gives it a new number.
    query = (
        f"SELECT rowid, node, outer_items, item, {COLUMNS} FROM records "  # noqa: S608 - constants
        f"WHERE run = ? AND node IN ({marks}) AND status = ? AND rowid < ? "
        "ORDER BY rowid DESC LIMIT ?"
    )
    before, more = sys.maxsize, bool(nodes)
    while more:
        with db.read() as connection:
            rows = connection.execute(query, (run, *nodes, status, before, CHUNK)).fetchall()
        more = len(rows) == CHUNK
        before = rows[-1][0] if rows else 0
        for _, node, outer, item, *row in rows:
            yield Place(run, node, outer, item), row


def to_record(db: Database, place: Place, row: Sequence[Any]) -> Record:
    """Return the record that a row (`COLUMNS`) holds."""
    status, form, _, output, ports, error, attempts, state = row
    return Record(
        status,
        has_output=form != _NONE,
        ports=tuple(ports.split(",")) if ports else (),
        error=json.loads(error) if error else None,
        attempts=attempts,
        state=json.loads(state) if state else None,
        source=_source(db, place, form, output),
    )


def _source(db: Database, place: Place, form: int, output: str | None) -> Source | None:
    if form == _NONE:
        return None
    if form == _TEXT:
        return StoredText(db, place, output)
    address = json.loads(output or "{}")
    if form == _FILE:
        return StoredFile(db.files, address["file"], address["size"])
    if form == _ALIAS:
        place = Place(*address["of"])
        if "runs" not in address:
            return StoredText(db, place, None)
    return StoredLoop(db, place, tuple(address["runs"]), address["count"])


def to_row(place: Place, record: Record) -> tuple[Any, ...]:
    """Return the row (`INSERT`) that holds a record."""
    form, output = _form(place, record)
    return (
        *place,
        record.status,
        form,
        len(output or ""),
        output,
        ",".join(record.ports),
        to_text(record.error) if record.error is not None else None,
        record.attempts,
        to_text(record.state) if record.state is not None else None,
    )


def as_stored(db: Database, place: Place, record: Record) -> Record:
    """Return a record whose output others can share, now that it is stored."""
    if not isinstance(record.source, Given):
        return record
    return Record(
        record.status,
        ports=record.ports,
        error=record.error,
        attempts=record.attempts,
        state=record.state,
        source=StoredText(db, place, record.source.text),
    )


def _form(place: Place, record: Record) -> tuple[int, str | None]:
    match record.source:
        case StoredLoop(place=at, runs=runs, count=count):
            address: dict[str, Json] = {"runs": runs, "count": count}
            if at == place:
                return _LOOP, to_text(address)
            return _ALIAS, to_text({"of": at, **address})
        case StoredFile(name=name, size=size):
            return _FILE, to_text({"file": name, "size": size})
        case StoredText(place=at, text=text) if at != place and (
            text is None or len(text) > INLINE
        ):
            return _ALIAS, to_text({"of": at})
        case StoredText(text=str() as text) | Given(text=text):
            return _TEXT, text
        case _:
            return (_TEXT, to_text(record.output)) if record.has_output else (_NONE, None)


def _gone(place: Place) -> RecordsError:
    return RecordsError(f"The stored output of `{place.node}` is gone: its run was deleted.")
