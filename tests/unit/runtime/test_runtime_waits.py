"""Waits as they are kept, and the place where threads stand that wait."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloudflow_dagster.nodes.waits import Wait as Asked
from cloudflow_dagster.runtime.clock import Clocks, SetBack
from cloudflow_dagster.runtime.parking import Parking
from cloudflow_dagster.runtime.waiting import wait_for
from cloudflow_dagster.runtime.waits import WaitKey, Waits


def begin(waits: Waits, run: str, due: float | None = None, node: str = "n") -> WaitKey:
    key = WaitKey.of(run, node, (), 0)
    waits.begin(key, Asked(way="time" if due else "approval", due=due), run, None)
    return key


def test_ten_thousand_waiting_runs_are_looked_through_by_an_index(tmp_path: Path) -> None:
    waits = Waits(tmp_path / "records.sqlite")
    now = time.time()
    with waits._db.write() as connection:  # pyright: ignore[reportPrivateUsage] - to be quick
        connection.executemany(
            "INSERT INTO suspended (run, since, worked, next, worker) VALUES (?, 0, 0, ?, NULL)",
            ((f"run{n}", now + 1000 + n) for n in range(10_000)),
        )
        plan = connection.execute(
            "EXPLAIN QUERY PLAN SELECT run FROM suspended WHERE next <= 1 AND worker IS NULL "
            "ORDER BY next LIMIT 1"
        ).fetchall()
    assert "suspended_by_next" in plan[0][3]
    assert waits.due(now, 10) == []
    assert waits.due(now + 1001.5, 10) == ["run0", "run1"]


def test_an_answer_that_comes_before_the_run_is_suspended_is_not_lost(tmp_path: Path) -> None:
    waits = Waits(tmp_path / "records.sqlite")
    begin(waits, "r")
    (wait,) = waits.of_run("r")
    assert waits.answer(wait, {"approved": True}, "ada")
    waits.suspend("r", 1.0)
    assert waits.due(time.time(), 1) == ["r"]


def test_of_two_answers_the_first_one_counts(tmp_path: Path) -> None:
    waits = Waits(tmp_path / "records.sqlite")
    key = begin(waits, "r")
    (wait,) = waits.of_run("r")
    assert waits.answer(wait, 1, "ada")
    assert not waits.answer(wait, 2, "bob")
    kept = waits.get(key)
    assert kept
    assert (kept.answer, kept.answered_by) == ("1", "ada")


def test_a_wait_keeps_its_first_time_when_its_step_is_executed_again(tmp_path: Path) -> None:
    waits = Waits(tmp_path / "records.sqlite")
    key = begin(waits, "r", due=2_000.0)
    begin(waits, "r", due=9_000.0)
    kept = waits.get(key)
    assert kept
    assert kept.due == 2_000.0


def test_the_soonest_of_a_runs_waits_decides_when_it_goes_on(tmp_path: Path) -> None:
    waits = Waits(tmp_path / "records.sqlite")
    begin(waits, "r", due=5_000.0, node="a")
    begin(waits, "r", due=3_000.0, node="b")
    waits.suspend("r", 0.0)
    assert waits.due(2_999.0, 5) == []
    assert waits.due(3_000.0, 5) == ["r"]


def test_a_run_is_not_suspended_shortly_before_a_wait_ends() -> None:
    parking, over = Parking(), threading.Event()
    parking.keep = lambda worked: f"after {worked:g} s"
    assert parking.suspend(1.0) is None, "nobody stands there"
    ends = time.time() + 30
    thread = threading.Thread(
        target=parking.stand, args=(over.is_set, ends, threading.Event()), daemon=True
    )
    thread.start()
    time.sleep(0.1)
    assert parking.suspend(1.0) is None
    over.set()
    thread.join(10)
    assert not thread.is_alive()


def test_no_thread_leaves_once_the_run_is_suspended() -> None:
    parking, over = Parking(), threading.Event()
    parking.keep = lambda worked: f"after {worked:g} s"
    left = threading.Event()

    def wait() -> None:
        parking.stand(over.is_set, None, threading.Event())
        left.set()

    threading.Thread(target=wait, daemon=True).start()
    time.sleep(0.1)
    assert parking.suspend(1.5) == "after 1.5 s"
    over.set()
    assert not left.wait(1.0)
    passed = threading.Event()

    def work() -> None:
        parking.pass_gate()
        passed.set()

    threading.Thread(target=work, daemon=True).start()
    assert not passed.wait(0.5)


class Hands:
    """Two clocks: both go on, and one of them can be set."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.set_by = 0.0

    @property
    def clocks(self) -> Clocks:
        return Clocks(
            wall=lambda: 1_000_000.0 + self.passed + self.set_by, steady=lambda: self.passed
        )


def test_a_clock_that_is_set_back_is_noticed_once() -> None:
    hands = Hands()
    set_back = SetBack(hands.clocks)
    hands.passed += 50
    assert set_back.seconds() == 0
    hands.set_by -= 3600
    hands.passed += 1
    assert set_back.seconds() == 3600
    assert set_back.seconds() == 0
    hands.set_by += 7200
    assert set_back.seconds() == 0
    hands.set_by -= 100
    assert set_back.seconds() == 100


@pytest.mark.parametrize("moment", [False, True])
def test_a_wait_is_no_longer_because_the_clock_is_set_back_while_it_goes_on(
    stage: Any, log: Any, moment: bool
) -> None:
    hands = Hands()
    plan = stage.plan({"id": "n", "type": "test.read"})
    run = replace(
        stage.run(plan, "r"),
        parking=Parking(hands.clocks),
        waits=Waits(stage.folder / "records.sqlite"),
    )
    due = hands.clocks.wall() + 100
    asked = Asked(way="time", due=due, seconds=None if moment else 100.0)
    ended = threading.Event()

    def wait() -> None:
        wait_for(run, WaitKey("r", "n"), asked, log, expires=None)
        ended.set()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    assert not ended.wait(0.5)
    hands.set_by -= 3600
    hands.passed += 90
    assert not ended.wait(0.5)
    hands.passed += 10
    # What ends at a moment ends when the clock says so.
    assert ended.wait(1 if moment else 30) is not moment
    hands.passed += 3600
    assert ended.wait(30)
    thread.join(30)


def test_a_suspended_run_waits_no_longer_because_the_clock_is_set_back(tmp_path: Path) -> None:
    waits, now = Waits(tmp_path / "records.sqlite"), time.time()
    for run, seconds in (("for", 600.0), ("until", None)):
        asked = Asked(way="time", due=now + 600, seconds=seconds)
        waits.begin(WaitKey(run, "n"), asked, run, None)
        waits.suspend(run, 0.0)
    waits.follow_the_clock(now)
    assert waits.due(now + 599, 5) == []

    back = now - 86_400
    waits.follow_the_clock(back)
    assert waits.due(back + 595, 5) == []
    assert waits.due(back + 605, 5) == ["for"]
    assert waits.due(now + 605, 5) == ["for", "until"]
