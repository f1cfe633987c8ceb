"""The flow format, `concurrency`, `timeout` and `on_failure`, on running flows."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from tests.fixtures.programs import (
    MANUAL,
    Ended,
    Programs,
    breaks,
    chain,
    flow,
    get,
    params,
    result,
    value,
    wait,
)
from tests.fixtures.web import Answer, Asked, serving

pytestmark = pytest.mark.integration

ONE = chain(MANUAL, result(1))


# Concurrency


class Gate:
    """A site that tells when it is asked, and answers when the gate is opened."""

    def __init__(self) -> None:
        self.came = threading.Semaphore(0)
        self.opened = threading.Event()
        self.asked: list[str] = []
        self.now = self.most = 0
        self._lock = threading.Lock()

    def __call__(self, asked: Asked) -> Answer:
        with self._lock:
            self.asked.append(asked.path)
            self.now += 1
            self.most = max(self.most, self.now)
        self.came.release()
        self.opened.wait(60)
        with self._lock:
            self.now -= 1
        return Answer()


class Background:
    """Runs that go on at the same time as the test."""

    def __init__(self, programs: Programs) -> None:
        self._programs = programs
        self._threads: list[threading.Thread] = []
        self.ended: dict[str, Ended] = {}

    def start(self, name: str, path: Path, given: dict[str, Any] | None = None) -> None:
        def run() -> None:
            self.ended[name] = self._programs.run(path, given)

        thread = threading.Thread(target=run)
        thread.start()
        self._threads.append(thread)

    def join(self) -> None:
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()


def limited(url: str, **concurrency: Any) -> dict[str, Any]:
    return chain(
        MANUAL,
        get("ask", url + "{{ params.name }}"),
        concurrency=concurrency,
        params=params(
            name={"type": "string", "default": "x"}, env={"type": "string", "default": "dev"}
        ),
    )


def waits_for_a_place(programs: Programs, path: Path) -> bool:
    """Return whether one of the flow's runs says that it waits."""
    runs = programs.runs_of(path.stem)
    return any(
        "Waiting for a place" in entry.user_message or "Waiting for a place" in str(entry)
        for run in runs
        for entry in programs.instance.all_logs(run.run_id)
    )


def until(condition: Any) -> None:
    """Wait until a condition holds; fail after a minute."""
    pause = threading.Event()
    for _ in range(600):
        if condition():
            return
        pause.wait(0.1)
    raise AssertionError("It never came to that.")


def test_queue_lets_one_run_too_many_wait(programs: Programs) -> None:
    gate = Gate()
    with serving(gate) as web:
        path = programs.write(limited(web.url("/"), limit=1, when_full="queue"))
        runs = Background(programs)
        runs.start("a", path, {"name": "a"})
        gate.came.acquire(timeout=60)
        runs.start("b", path, {"name": "b"})
        until(lambda: waits_for_a_place(programs, path))
        assert gate.asked == ["/a"]
        gate.opened.set()
        runs.join()

    assert gate.asked == ["/a", "/b"]
    assert {name: ended.status for name, ended in runs.ended.items()} == {
        "a": "success",
        "b": "success",
    }


def test_queue_is_what_happens_without_when_full_and_limit_may_be_more_than_one(
    programs: Programs,
) -> None:
    gate = Gate()
    with serving(gate) as web:
        path = programs.write(limited(web.url("/"), limit=2))
        runs = Background(programs)
        for name in "abc":
            runs.start(name, path, {"name": name})
        gate.came.acquire(timeout=60)
        gate.came.acquire(timeout=60)
        until(lambda: waits_for_a_place(programs, path))
        gate.opened.set()
        runs.join()

    assert gate.most == 2
    assert [ended.status for ended in runs.ended.values()] == ["success"] * 3


def test_runs_are_counted_by_the_key(programs: Programs) -> None:
    gate = Gate()
    with serving(gate) as web:
        made = limited(web.url("/"), limit=1, key="{{ params.env }}", when_full="skip")
        path = programs.write(made)
        runs = Background(programs)
        runs.start("dev", path, {"env": "dev"})
        runs.start("prod", path, {"env": "prod"})
        gate.came.acquire(timeout=60)
        gate.came.acquire(timeout=60)
        third = programs.run(path, {"env": "prod"})
        gate.opened.set()
        runs.join()

    assert [ended.status for ended in runs.ended.values()] == ["success"] * 2
    assert third.status == "canceled"


def test_skip_does_not_start_one_run_too_many(programs: Programs) -> None:
    gate = Gate()
    with serving(gate) as web:
        path = programs.write(limited(web.url("/"), limit=1, when_full="skip"))
        runs = Background(programs)
        runs.start("first", path)
        gate.came.acquire(timeout=60)
        second = programs.run(path)
        assert second.status == "canceled"
        assert set(second.statuses.values()) == {"not_run"}
        assert "Skipped" in second.history
        gate.opened.set()
        runs.join()

    assert runs.ended["first"].status == "success"
    assert len(gate.asked) == 1
    assert programs.run(path).status == "success"


def test_cancel_oldest_cancels_the_run_that_goes_on(programs: Programs) -> None:
    gate = Gate()
    with serving(gate) as web:
        path = programs.write(limited(web.url("/"), limit=1, when_full="cancel_oldest"))
        runs = Background(programs)
        runs.start("old", path, {"name": "old"})
        gate.came.acquire(timeout=60)
        runs.start("new", path, {"name": "new"})
        gate.came.acquire(timeout=60)
        until(lambda: "old" in runs.ended)
        gate.opened.set()
        runs.join()

    assert runs.ended["old"].status == "canceled"
    assert runs.ended["old"].statuses["ask"] == "canceled"
    assert runs.ended["new"].status == "success"
    assert gate.asked == ["/old", "/new"]


# Timeout


def test_a_run_that_takes_longer_than_its_timeout_fails(programs: Programs) -> None:
    gate = Gate()
    with serving(gate) as web:
        ended = programs.run(chain(MANUAL, get("ask", web.url()), value("after"), timeout=0.5))
        gate.opened.set()

    assert ended.status == "failure"
    assert ended.statuses["after"] == "not_run"
    assert "timeout of 0.5 s" in ended.history


@pytest.mark.parametrize("body", [False, True])
def test_waiting_is_not_counted_in_a_runs_timeout(programs: Programs, body: bool) -> None:
    """In a loop's body neither."""
    pause = wait("pause", seconds=1.5)
    if body:
        nodes = [MANUAL, {"id": "each", "type": "logic.loop", "config": {"items": [1, 2]}}, pause]
        made = flow(nodes, ["start > each", "each.item > pause"], timeout=1)
    else:
        made = chain(MANUAL, pause, timeout=1)

    assert programs.run(made).status == "success"


def test_waiting_for_a_place_is_not_counted_in_a_runs_timeout(programs: Programs) -> None:
    gate = Gate()
    with serving(gate) as web:
        path = programs.write(limited(web.url("/"), limit=1) | {"timeout": 1})
        long = programs.write({**limited(web.url("/"), limit=1), "id": path.stem}, "the_same")
        runs = Background(programs)
        runs.start("first", long, {"name": "a"})
        gate.came.acquire(timeout=60)
        runs.start("second", path, {"name": "b"})
        until(lambda: waits_for_a_place(programs, path))
        threading.Event().wait(1.5)
        gate.opened.set()
        runs.join()

    assert runs.ended["second"].status == "success"


# on_failure


FAILED = params(
    flow={"type": "string"}, run_id={"type": "string"}, node={}, error={"type": "object"}
)


def test_on_failure_starts_a_flow_with_flow_run_id_node_and_error(programs: Programs) -> None:
    programs.write(chain(MANUAL, result("{{ params }}"), params=FAILED), "alarm")
    ended = programs.run(chain(MANUAL, breaks("bad"), on_failure="alarm"))
    (alarm,) = programs.runs_of("alarm")

    assert alarm.status is dg.DagsterRunStatus.SUCCESS
    assert alarm.run_config["params"] == {
        "flow": ended.run.job_name,
        "run_id": ended.id,
        "node": "bad",
        "error": ended.error("bad"),
    }
    assert alarm.run_config["event"]["payload"] == alarm.run_config["params"]


def test_on_failure_is_not_started_by_a_success_nor_by_a_failure_that_is_caught(
    programs: Programs,
) -> None:
    programs.write(chain(MANUAL), "quiet_alarm")
    programs.run(chain(MANUAL, value("fine"), on_failure="quiet_alarm"))
    nodes = [MANUAL, breaks("bad"), value("caught")]
    edges = ["start > bad", "bad.error > caught"]
    programs.run(flow(nodes, edges, on_failure="quiet_alarm"))
    programs.run(chain(MANUAL, breaks("bad", on_error="continue"), on_failure="quiet_alarm"))

    assert programs.runs_of("quiet_alarm") == []


def test_on_failure_has_to_be_a_flow_of_the_project(programs: Programs) -> None:
    programs.write(ONE, "alarm")
    (found,) = programs.check({**ONE, "on_failure": "alrm"}).diagnostics

    assert found.code == "CF5008"
    assert "alarm" in (found.suggestion or "")
