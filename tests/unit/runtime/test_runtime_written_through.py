"""What must not be lost with the machine's power is on the disk before anybody goes on.

SQLite gives a transaction to the disk at its end where `synchronous` is FULL (2); with a
write-ahead log NORMAL (1) leaves that to the next checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cloudflow_dagster.runtime.database import SqliteDatabase
from cloudflow_dagster.runtime.intents import Answer, CallKey, Settled
from cloudflow_dagster.runtime.record import Record, RecordKey
from cloudflow_dagster.runtime.records import SqliteRecords
from tests.fixtures.intents import begun

KEY = CallKey("r", "make")
INTENT = begun(KEY, "r")
Write = Callable[[SqliteRecords], object]


@pytest.fixture
def records(tmp_path: Path) -> SqliteRecords:
    return SqliteRecords(tmp_path / "records.sqlite", "r")


def modes_at_commits(records: SqliteRecords, write: Write) -> list[str]:
    """Return the mode in which each transaction of a write was committed."""
    writer = records._db._writer
    mode, modes = "NORMAL", list[str]()

    def hear(statement: str) -> None:
        nonlocal mode
        if statement.startswith("PRAGMA synchronous="):
            mode = statement.partition("=")[2]
        elif statement == "COMMIT":
            modes.append(mode)

    writer.set_trace_callback(hear)
    write(records)
    writer.set_trace_callback(None)
    return modes


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda records: records.intents.begin(INTENT), id="a call about to be made"),
        pytest.param(
            lambda records: records.intents.answer(KEY, Answer.now("again")),
            id="what a person said",
        ),
        pytest.param(lambda records: records.claim("worker"), id="who executes the run"),
        pytest.param(lambda records: records.undoings.begin(), id="that the run is undone"),
        pytest.param(lambda records: records.undoings.end([]), id="that it has been undone"),
    ],
)
def test_it_is_written_through_to_the_disk(records: SqliteRecords, write: Write) -> None:
    assert modes_at_commits(records, write) == ["FULL"]
    assert records._db._writer.execute("PRAGMA synchronous").fetchone() == (1,)


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda records: records.intents.settle(Settled(KEY, "done")), id="a result"),
        pytest.param(
            lambda records: records.write(RecordKey("a"), Record("skipped")), id="a record"
        ),
    ],
)
def test_what_can_be_found_out_again_waits_for_nothing(
    records: SqliteRecords, write: Write
) -> None:
    assert "FULL" not in modes_at_commits(records, write)


def test_the_mode_holds_within_the_transaction_and_the_log_is_written_ahead(
    tmp_path: Path,
) -> None:
    database = SqliteDatabase(tmp_path / "records.sqlite")
    for through, mode in ((True, 2), (False, 1)):
        with database.write(through=through) as connection:
            assert connection.execute("PRAGMA synchronous").fetchone() == (mode,)
    with database.read() as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
