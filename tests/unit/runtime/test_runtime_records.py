"""Records survive, are exact, and follow the line of re-executions."""

from __future__ import annotations

import json
import multiprocessing
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from cloudflow_dagster.runtime import database
from cloudflow_dagster.runtime.intents import Settled
from cloudflow_dagster.runtime.records import (
    Ancestor,
    LoopFacts,
    Record,
    RecordKey,
    RecordsError,
    RunFacts,
    SqliteRecords,
)
from tests.fixtures.intents import begun


def success(output: object, ports: tuple[str, ...] = ("out",)) -> Record:
    return Record("success", output, has_output=True, ports=ports, attempts=1)


def failure(node: str) -> Record:
    error = {"node": node, "code": "Boom", "message": "It broke.", "attempts": 2}
    return Record("failure", error=error, attempts=2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "records.sqlite"


def test_a_record_comes_back_as_it_was_written(path: Path) -> None:
    records = SqliteRecords(path, "r")
    value = {"n": 2**80, "f": 0.1, "t": "é\n\ud800 \u2028", "l": [None, True, {}], "": []}
    records.write(RecordKey("a"), success(value, ("out", "n")))
    again = SqliteRecords(path, "r").read(RecordKey("a"))
    assert again is not None
    assert (again.status, again.ports, again.has_output) == ("success", ("out", "n"), True)
    assert again.output == value
    assert type(again.output["n"]) is int


def test_a_null_output_is_not_the_same_as_none(path: Path) -> None:
    records = SqliteRecords(path, "r")
    records.write(RecordKey("null"), success(None))
    records.write(RecordKey("none"), Record("skipped"))
    null, none = records.read(RecordKey("null")), records.read(RecordKey("none"))
    assert null is not None
    assert none is not None
    assert (null.has_output, none.has_output) == (True, False)


def test_errors_attempts_and_state_come_back(path: Path) -> None:
    records = SqliteRecords(path, "r")
    records.write(
        RecordKey("a", (3, 12)),
        Record("failure", error={"code": "X"}, attempts=4, state={"round": 7}),
    )
    found = records.read(RecordKey("a", (3, 12)), owner="loop")
    assert found is not None
    assert (found.error, found.attempts, found.state) == ({"code": "X"}, 4, {"round": 7})


def test_the_last_word_of_a_step_counts(path: Path) -> None:
    records = SqliteRecords(path, "r")
    records.write(RecordKey("a"), failure("a"))
    records.write(RecordKey("a"), success(1))
    found = records.read(RecordKey("a"))
    assert found is not None
    assert (found.status, found.error) == ("success", None)


def test_nothing_written_is_none(path: Path) -> None:
    assert SqliteRecords(path, "r").read(RecordKey("a")) is None


def test_runs_do_not_see_each_other(path: Path) -> None:
    SqliteRecords(path, "one").write(RecordKey("a"), success(1))
    assert SqliteRecords(path, "two").read(RecordKey("a")) is None


def test_a_large_output_is_read_only_when_it_is_needed(path: Path) -> None:
    records = SqliteRecords(path, "r")
    records.write(RecordKey("a"), success({"text": "x" * 1_000_000}))
    found = records.read(RecordKey("a"))
    assert found is not None
    with sqlite3.connect(path) as other:
        other.execute("UPDATE records SET output = '\"changed\"'")
    other.close()
    assert found.output == "changed"


def test_passing_a_large_output_on_stores_it_once(path: Path) -> None:
    records = SqliteRecords(path, "r")
    records.write(RecordKey("a"), success("x" * 100_000))
    for node, before in (("b", "a"), ("c", "b")):
        source = records.read(RecordKey(before))
        assert source is not None
        records.write(RecordKey(node), Record("success", source=source.source))
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT SUM(length(output)) FROM records").fetchone()[0] < 101_000
    other.close()
    found = records.read(RecordKey("c"))
    assert found is not None
    assert found.output == "x" * 100_000


def test_what_waits_to_be_written_is_seen_by_the_run_itself(path: Path) -> None:
    records = SqliteRecords(path, "r")
    records.write(RecordKey("a", (0,)), success(1), soon=True)
    assert SqliteRecords(path, "r").read(RecordKey("a", (0,)), "loop") is None
    assert records.read(RecordKey("a", (0,)), "loop") is not None
    assert SqliteRecords(path, "r").read(RecordKey("a", (0,)), "loop") is not None


def test_facts_of_a_run_come_back(path: Path) -> None:
    facts = RunFacts(
        flow="f", started_at="2026-11-23T02:00:00Z", params={"a": 1}, event={"type": "x"}
    )
    SqliteRecords(path, "r").save_run(facts)
    other = SqliteRecords(path, "s")
    assert other.load_run("r") == facts
    assert other.load_run() is None
    assert other.load_run("unknown") is None


def test_a_deleted_run_is_gone_and_the_others_stay(path: Path) -> None:
    one, two = SqliteRecords(path, "one"), SqliteRecords(path, "two")
    for records in (one, two):
        records.write(RecordKey("a"), success(1))
        records.open_loop(RecordKey("l"), LoopFacts(count=2), [1, 2])
    two.delete_run("one")
    two.delete_run("never")
    assert one.read(RecordKey("a")) is None
    assert two.read(RecordKey("a")) is not None
    assert list(two.items(RecordKey("l"), "l", 0, 1)) == [(0, 1), (1, 2)]


def test_an_output_shared_with_a_deleted_run_says_so(path: Path) -> None:
    old = SqliteRecords(path, "old")
    old.write(RecordKey("a"), success("x" * 100_000))
    new = SqliteRecords(path, "new", [("old", frozenset({"b"}), False)])
    source = new.read(RecordKey("a"))
    assert source is not None
    new.write(RecordKey("b"), Record("success", source=source.source))
    new.delete_run("old")
    found = new.read(RecordKey("b"))
    assert found is not None
    with pytest.raises(RecordsError, match="`a` is gone"):
        _ = found.output


class TestLineage:
    def test_a_node_that_is_not_executed_again_is_read_from_the_ancestor(self, path: Path) -> None:
        SqliteRecords(path, "r0").write(RecordKey("a"), success(1))
        records = SqliteRecords(path, "r1", [("r0", frozenset({"b"}), True)])
        found = records.read(RecordKey("a"))
        assert found is not None
        assert found.output == 1

    def test_a_node_that_is_executed_again_is_not(self, path: Path) -> None:
        SqliteRecords(path, "r0").write(RecordKey("a"), failure("a"))
        for reran in (frozenset({"a"}), None):
            assert SqliteRecords(path, "r1", [("r0", reran, True)]).read(RecordKey("a")) is None

    def test_the_nearest_run_that_executed_it_speaks(self, path: Path) -> None:
        for run in ("r0", "r1", "r2"):
            SqliteRecords(path, run).write(RecordKey("a"), success(run))
        line = [
            Ancestor("r2", frozenset({"z"})),
            Ancestor("r1", frozenset({"y"})),
            Ancestor("r0", frozenset({"a"})),
        ]
        found = SqliteRecords(path, "r3", line[:0]).read(RecordKey("a"))
        assert found is None
        found = SqliteRecords(path, "r3", line).read(RecordKey("a"))
        assert found is not None
        assert found.output == "r2"

    def test_an_ancestor_that_skipped_it_does_not_stop_the_search(self, path: Path) -> None:
        SqliteRecords(path, "r0").write(RecordKey("a"), success("r0"))
        SqliteRecords(path, "r1").write(RecordKey("b"), success("r1"))
        line = [Ancestor("r1", frozenset({"c"})), Ancestor("r0", frozenset({"b"}))]
        found = SqliteRecords(path, "r2", line).read(RecordKey("a"))
        assert found is not None
        assert found.output == "r0"

    def test_a_resumption_keeps_what_succeeded_inside_a_loop(self, path: Path) -> None:
        old = SqliteRecords(path, "r0")
        old.open_loop(RecordKey("each"), LoopFacts(count=2), ["x", "y"])
        old.write(RecordKey("each", (0,)), success("done"))
        new = SqliteRecords(path, "r1", [("r0", frozenset({"each"}), True)])
        kept = new.earlier(RecordKey("each", (0,)), "each")
        assert kept is not None
        assert kept.output == "done"
        assert new.kept_loop(RecordKey("each"), "each") == LoopFacts(count=2)
        new.write(RecordKey("each", (1,)), success("now"))
        assert new.loop_output(RecordKey("each"), "each").load() == {
            "results": ["done", "now"],
            "errors": [],
            "count": 2,
        }

    def test_any_other_re_execution_does_not(self, path: Path) -> None:
        old = SqliteRecords(path, "r0")
        old.open_loop(RecordKey("each"), LoopFacts(count=1), ["x"])
        old.write(RecordKey("each", (0,)), success("done"))
        new = SqliteRecords(path, "r1", [("r0", frozenset({"each"}), False)])
        assert new.earlier(RecordKey("each", (0,)), "each") is None
        assert new.kept_loop(RecordKey("each"), "each") is None
        new.open_loop(RecordKey("each"), LoopFacts(count=1), ["z"])
        assert list(new.items(RecordKey("each"), "each", 0, 0)) == [(0, "z")]
        assert new.read(RecordKey("each", (0,)), "each") is None

    def test_some_ranges_alone_may_be_executed_again(self, path: Path) -> None:
        old = SqliteRecords(path, "r0")
        old.open_loop(RecordKey("each"), LoopFacts(count=2), ["x", "y"])
        for index in range(2):
            old.write(RecordKey("each", (index,)), success("old"))
        new = SqliteRecords(path, "r1", [("r0", frozenset({"each"}), False)])
        assert new.earlier(RecordKey("each", (1,)), "each") is None
        new.write(RecordKey("each", (1,)), success("new"))
        assert new.loop_output(RecordKey("each"), "each").load()["results"] == ["old", "new"]

    def test_the_call_tokens_go_on_through_resumptions_only(self, path: Path) -> None:
        line = [
            Ancestor("r2", frozenset({"a"}), resume=True),
            Ancestor("r1", frozenset({"a", "b"}), resume=True),
            Ancestor("r0", None, resume=False),
        ]
        records = SqliteRecords(path, "r3", line)
        assert records.token_run("a") == "r1"
        assert SqliteRecords(path, "r0").token_run("a") == "r0"
        assert SqliteRecords(path, "r9", [("r0", None, False)]).token_run("a") == "r9"


class TestLoops:
    def test_items_come_back_in_order_a_few_at_a_time(self, path: Path) -> None:
        records = SqliteRecords(path, "r")
        records.open_loop(RecordKey("each"), LoopFacts(count=12_000), iter(range(12_000)))
        assert list(records.items(RecordKey("each"), "each", 250, 777)) == [
            (n, n) for n in range(250, 778)
        ]
        assert sum(1 for _ in records.items(RecordKey("each"), "each", 0, 11_999)) == 12_000

    @pytest.mark.parametrize("count", [0, 1, 4_999, 5_000, 5_001, 10_000])
    def test_any_number_of_items_is_stored(self, path: Path, count: int) -> None:
        records = SqliteRecords(path, "r")
        records.open_loop(RecordKey("each"), LoopFacts(count=count), range(count))
        assert records.loop(RecordKey("each"), "each") == LoopFacts(count=count)
        assert sum(1 for _ in records.items(RecordKey("each"), "each", 0, count)) == count

    def test_opening_again_forgets_the_first_time(self, path: Path) -> None:
        records = SqliteRecords(path, "r")
        records.open_loop(RecordKey("each"), LoopFacts(count=3), [1, 2, 3])
        records.stop_loop(RecordKey("each"))
        records.open_loop(RecordKey("each"), LoopFacts(count=1), [9])
        assert list(records.items(RecordKey("each"), "each", 0, 5)) == [(0, 9)]
        assert not records.loop_stopped(RecordKey("each"))

    def test_items_that_cannot_be_stored_leave_nothing_behind(self, path: Path) -> None:
        records = SqliteRecords(path, "r")
        with pytest.raises(ValueError, match="JSON"):
            records.open_loop(RecordKey("each"), LoopFacts(count=2), [1, float("nan")])
        assert records.loop(RecordKey("each"), "each") is None
        with pytest.raises(RecordsError, match="items of the loop `each`"):
            list(records.items(RecordKey("each"), "each", 0, 1))

    def test_the_output_is_made_from_the_iterations(self, path: Path) -> None:
        records = SqliteRecords(path, "r")
        key = RecordKey("each")
        records.open_loop(key, LoopFacts(count=4), "abcd")
        records.write(RecordKey("each", (3,)), success({"i": 3}), soon=True)
        records.write(RecordKey("each", (0,)), success({"i": 0}), soon=True)
        records.write(RecordKey("each", (2,)), failure("body"))
        closed = records.close_loop(key, "each", Record("success", ports=("done",), attempts=1))
        expected_error = {"index": 2, "node": "body", "code": "Boom", "message": "It broke."}
        assert closed.output == {
            "results": [{"i": 0}, None, None, {"i": 3}],
            "errors": [expected_error],
            "count": 4,
        }
        again = SqliteRecords(path, "r").read(key)
        assert again is not None
        assert again.part(frozenset({"errors"})) == {"errors": [expected_error], "count": 4}
        assert again.part(frozenset({"count"})) == {"count": 4}
        assert again.output == closed.output

    def test_a_loops_output_is_passed_on_without_being_made(self, path: Path) -> None:
        records = SqliteRecords(path, "r")
        records.open_loop(RecordKey("each"), LoopFacts(count=1), ["a"])
        records.write(RecordKey("each", (0,)), success("x" * 50_000))
        closed = records.close_loop(RecordKey("each"), "each", Record("success"))
        records.write(RecordKey("if"), Record("success", source=closed.source))
        found = SqliteRecords(path, "r").read(RecordKey("if"))
        assert found is not None
        assert found.output["results"] == ["x" * 50_000]

    def test_nested_loops_are_kept_apart(self, path: Path) -> None:
        records = SqliteRecords(path, "r")
        for outer in (0, 1, 10):
            key = RecordKey("inner", (outer,))
            records.open_loop(key, LoopFacts(count=2), [outer, outer])
            for index in range(2):
                records.write(RecordKey("inner", (outer, index)), success([outer, index]))
            records.close_loop(key, "outer", Record("success"))
        found = records.read(RecordKey("inner", (10,)), "outer")
        assert found is not None
        assert found.output["results"] == [[10, 0], [10, 1]]
        assert records.tally("inner", "outer", 1).statuses == {"success": 3}

    def test_stopping_is_seen_by_others_and_by_this_loop_alone(self, path: Path) -> None:
        records, other = SqliteRecords(path, "r"), SqliteRecords(path, "r")
        records.stop_loop(RecordKey("inner", (1,)))
        records.stop_loop(RecordKey("inner", (1,)))
        assert other.loop_stopped(RecordKey("inner", (1,)))
        assert not other.loop_stopped(RecordKey("inner", (2,)))
        assert not SqliteRecords(path, "s").loop_stopped(RecordKey("inner", (1,)))

    def test_a_tally_counts_each_item_once(self, path: Path) -> None:
        old = SqliteRecords(path, "r0")
        old.open_loop(RecordKey("each"), LoopFacts(count=3), "abc")
        for index in range(2):
            old.write(RecordKey("body", (index,)), success(index))
        old.write(RecordKey("body", (2,)), failure("body"))
        tally = old.tally("body", "each", 1)
        assert tally.statuses == {"success": 2, "failure": 1}
        assert tally.attempts == 2
        assert tally.error is not None
        assert tally.error["code"] == "Boom"
        new = SqliteRecords(path, "r1", [("r0", frozenset({"each"}), True)])
        new.write(RecordKey("body", (2,)), success(2))
        assert new.tally("body", "each", 1).statuses == {"success": 3}
        assert new.tally("never", "each", 1) == ({}, 0, None)


def test_many_threads_write_and_read_at_once(path: Path) -> None:
    records = SqliteRecords(path, "r")
    wrong: list[object] = []

    def work(thread: int) -> None:
        for n in range(100):
            key = RecordKey(f"n{thread}", (n,))
            records.write(key, success([thread, n]), soon=n % 3 == 0)
            found = records.read(key, "loop")
            if found is None or found.output != [thread, n]:
                wrong.append((thread, n, found))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records.flush()
    assert not wrong
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT COUNT(*) FROM records").fetchone() == (1600,)
    other.close()


def _write_many(path: str, worker: int) -> None:
    records = SqliteRecords(path, "shared")
    for n in range(200):
        records.write(RecordKey("body", (worker * 1000 + n,)), success(n))


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_several_processes_write_at_once(path: Path, method: str) -> None:
    context = multiprocessing.get_context(method)
    workers = [context.Process(target=_write_many, args=(str(path), n)) for n in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert SqliteRecords(path, "shared").tally("body", "loop", 1).statuses == {"success": 400}


def test_a_file_that_is_not_a_database_is_an_error_with_a_way_out(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("this is not a database, it only stands where one should be" * 100)
    with pytest.raises(RecordsError, match="Move the file away"):
        SqliteRecords(path, "r")


def test_a_file_of_a_newer_version_is_left_alone(path: Path) -> None:
    SqliteRecords(path, "r")
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    script = (
        "import sys; from cloudflow_dagster.runtime.records import *\n"
        "try: SqliteRecords(sys.argv[1], 'r')\n"
        "except RecordsError as error: print(error)"
    )
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    assert "newer version" in done.stdout


def test_a_full_disk_stores_nothing_by_halves(path: Path) -> None:
    records = SqliteRecords(path, "r")
    records.write(RecordKey("a"), success(1))
    with records._db.write() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
    records._db._writer.execute(f"PRAGMA max_page_count = {pages + 4}")
    with pytest.raises(RecordsError, match="Free some space"):
        records.open_loop(RecordKey("each"), LoopFacts(count=900), ["x" * 1000] * 900)
    assert records.loop(RecordKey("each"), "each") is None
    found = records.read(RecordKey("a"))
    assert found is not None
    assert json.dumps(found.output) == "1"


def test_what_could_not_be_written_is_written_as_soon_as_it_can_be(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    records = SqliteRecords(path, "r")
    key = RecordKey("each", (0,))
    call = records.call_key(RecordKey("make"), "make")
    intent = begun(call, "r")
    records.intents.begin(intent)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        records.write(key, success(1), soon=True)
        with pytest.raises(RecordsError, match="Another process holds it"):
            records.write(RecordKey("make"), success(2), settled=Settled(call, "done"))
        other.execute("ROLLBACK")
    records.close()

    again = SqliteRecords(path, "again", [("r", None, True)])
    assert [again.of_run("r", k) is not None for k in (key, RecordKey("make"))] == [True, True]
    settled = again.intents.find(call)
    assert settled is not None
    assert settled.state == "done"
