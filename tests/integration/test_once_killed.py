"""A process that is killed in the middle of a call that nobody can take back or look up."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pytest

from cloudflow_dagster.engine import answers
from cloudflow_dagster.runtime.intents import Answer as Said
from tests.fixtures.programs import (
    MANUAL,
    CommandLine,
    Node,
    Programs,
    call,
    chain,
    get,
    over,
    result,
)
from tests.fixtures.web import Answer, Asked, Web, serving

pytestmark = pytest.mark.integration


@dataclass
class Desk:
    """Opens a ticket for each POST; kills who asked before it answers, while it is told to.

    Before it answers, but for so many passes, it does what is to be done meanwhile.
    """

    victim: int | None = None
    meanwhile: Callable[[], None] = lambda: None
    passes: int = 0
    opened: list[str] = field(default_factory=list[str])
    keys: list[str | None] = field(default_factory=list[str | None])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, asked: Asked) -> Answer:
        with self._lock:
            key = asked.headers.get("idempotency-key")
            if key is None or key not in self.keys:
                self.opened.append(asked.path)
            self.keys.append(key)
            self.passes -= 1
            if self.passes < 0:
                self.meanwhile()
            if self.victim is not None:
                os.kill(self.victim, signal.SIGKILL)
                self.victim = None
        return Answer(201, '"ticket 7"', {"Content-Type": "application/json"})


@pytest.fixture
def desk() -> Iterator[tuple[Desk, Web]]:
    site = Desk()
    with serving(site) as web:
        yield site, web


def resume(cloudflow: CommandLine, run: str) -> Any:
    """Go on where a run was killed; return what came of it."""
    return cloudflow("runs", "retry", run, "--format", "json").json


def post(id: str, url: str, **config: Any) -> Node:
    return get(id, url, {"method": "POST", "json": {"title": "broken"}, **config})


def killed(programs: Programs, cloudflow: CommandLine, desk: Desk, flow: str) -> str:
    """Run a flow until the desk kills it; return the run's id."""
    process = cloudflow.start("run", flow, "--format", "json")
    desk.victim = process.pid
    # Not to the end of its output: what it had started may keep that open for a while.
    assert process.wait(120) == -signal.SIGKILL
    for stream in (process.stdout, process.stderr):
        assert stream is not None
        stream.close()
    with closing(sqlite3.connect(programs.project.state / "records.sqlite")) as records:
        return records.execute("SELECT id FROM runs ORDER BY n DESC LIMIT 1").fetchone()[0]


def test_the_run_asks_and_an_answer_lets_it_go_on(
    programs: Programs, cloudflow: CommandLine, desk: tuple[Desk, Web]
) -> None:
    site, web = desk
    programs.write(
        chain(MANUAL, post("open", web.url("/tickets")), result("{{ input.body }}")), "ticket"
    )
    run = killed(programs, cloudflow, site, "ticket")

    nobody = cloudflow("answer", run, "nobody", "done")
    assert (nobody.status, nobody.out) == (2, "")
    assert "It asks about `open`" in nobody.err
    said = cloudflow(
        "answer", run, "open", "done", "--output", '{"body": "ticket 7"}', "--format", "json"
    )

    assert said.status == 0, said.err
    assert said.json["result"] == "ticket 7"
    assert said.json["nodes"]["open"]["status"] == "success"
    assert site.opened == ["/tickets"]
    again = cloudflow("answer", run, "open", "again")
    assert again.status == 2
    assert "It asks about nothing" in again.err


def test_an_answer_about_a_called_flow_counts_though_its_command_was_killed(
    programs: Programs, cloudflow: CommandLine, desk: tuple[Desk, Web]
) -> None:
    site, web = desk
    programs.write(
        chain(MANUAL, post("open", web.url("/tickets")), result("{{ input.body }}")), "lowest"
    )
    programs.write(chain(MANUAL, call("below", "lowest"), result()), "middle")
    programs.write(chain(MANUAL, call("below", "middle"), result()), "highest")
    killed(programs, cloudflow, site, "highest")
    first = programs.runs_of("highest")[-1].run_id
    asks = resume(cloudflow, first)
    assert asks["nodes"]["below"]["error"]["code"] == "MaybeDone"
    still_asks = resume(cloudflow, asks["run_id"])
    assert still_asks["nodes"]["below"]["error"]["code"] == "MaybeDone"
    asking = programs.runs_of("lowest")
    assert len(asking) == 2, "nobody goes on with it while it only asks"

    # The command notes the answer, and is killed before it goes on.
    answered = Said.now("done", {"body": "ticket 7"})
    answers.answer(programs.project, asking[-1].run_id, "open", None, answered)
    ended = resume(cloudflow, still_asks["run_id"])

    assert (ended["status"], ended["result"]) == ("success", "ticket 7")
    assert site.opened == ["/tickets"]


def test_without_an_answer_it_stops_with_one_sentence_and_a_way_out(
    programs: Programs, cloudflow: CommandLine, desk: tuple[Desk, Web]
) -> None:
    site, web = desk
    nodes = [post("open", web.url("/a")), result()]
    programs.write(chain(MANUAL, nodes[0] | {"on_error": "continue"}, nodes[1]), "stops")
    run = killed(programs, cloudflow, site, "stops")
    summary = resume(cloudflow, run)

    assert summary["status"] == "failure"
    assert summary["nodes"]["end"]["status"] == "not_run"
    error = summary["nodes"]["open"]["error"]
    assert error["code"] == "MaybeDone"
    command = f"`cloudflow answer {summary['run_id']} open again`"
    assert command in error["message"]
    said = cloudflow("answer", summary["run_id"], "open", "again", "--format", "json")
    assert said.json["status"] == "success", said.err
    assert site.opened == ["/a", "/a"]


def test_items_of_a_loop_are_answered_one_by_one(
    programs: Programs, cloudflow: CommandLine, desk: tuple[Desk, Web]
) -> None:
    site, web = desk
    body = post("open", web.url("/{{ item }}"))
    programs.write(over(["a", "b", "c"], body, concurrency=1), "items")
    run = killed(programs, cloudflow, site, "items")
    summary = resume(cloudflow, run)
    assert summary["nodes"]["each"]["error"]["code"] == "MaybeDone"
    word = ["answer", summary["run_id"], "open", "done", "--item", "0"]
    ended = cloudflow(*word, "--format", "json").json

    assert [r and r["body"] for r in ended["result"]["results"]] == [None, "ticket 7", "ticket 7"]
    assert site.opened == ["/a", "/b", "/c"]


def test_with_an_idempotency_header_nobody_is_asked(
    programs: Programs, cloudflow: CommandLine, desk: tuple[Desk, Web]
) -> None:
    site, web = desk
    node = post("open", web.url("/once"), idempotency_header="Idempotency-Key")
    programs.write(chain(MANUAL, node, result("{{ input.body }}")), "header")
    run = killed(programs, cloudflow, site, "header")
    summary = resume(cloudflow, run)

    assert summary["result"] == "ticket 7", summary["nodes"]
    assert site.opened == ["/once"]
    assert len(site.keys) == 2
    assert len(set(site.keys)) == 1


def full(process: subprocess.Popen[str]) -> None:
    """Let a process write nothing more to any file, as on a disk without space."""
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))


def test_a_disk_that_is_full_after_the_call_was_made_makes_nothing_twice(
    programs: Programs, cloudflow: CommandLine, desk: tuple[Desk, Web]
) -> None:
    site, web = desk
    once = post("once", web.url("/once"), idempotency_header="Idempotency-Key")
    other = post("other", web.url("/other"))
    programs.write(chain(MANUAL, once, other, result("{{ input.body }}")), "full")

    def run(*words: str) -> tuple[str, str]:
        """Run until a call's answer cannot be stored; return the run and what was said of it."""
        process = cloudflow.start(*words, "--format", "json")
        site.meanwhile = lambda: full(process)
        _, said = process.communicate(timeout=120)
        assert process.returncode in {1, 2}
        site.meanwhile = lambda: None
        return programs.runs_of("full")[-1].run_id, said

    first, said = run("run", "full")
    assert "ulimit -f" in said
    assert "Traceback" not in said
    assert site.opened == ["/once"]
    # There is space, the first is settled by its token, and the disk is full again.
    site.passes = 1
    second, _ = run("runs", "retry", first)
    assert site.opened == ["/once", "/other"]
    asked = resume(cloudflow, second)
    assert asked["nodes"]["other"]["error"]["code"] == "MaybeDone"
    said_so = ["answer", asked["run_id"], "other", "done", "--output", '{"body": "ticket 8"}']
    ended = cloudflow(*said_so, "--format", "json").json

    assert (ended["status"], ended["result"]) == ("success", "ticket 8")
    assert site.opened == ["/once", "/other"]
    assert site.keys[0] == site.keys[1] is not None


def test_records_that_another_process_holds_for_a_while_lose_nothing(
    programs: Programs, cloudflow: CommandLine, desk: tuple[Desk, Web]
) -> None:
    site, web = desk
    nodes = [post(name, web.url(f"/{name}")) for name in ("a", "b")]
    programs.write(chain(MANUAL, *nodes, result("{{ nodes.a.body & nodes.b.body }}")), "held")
    records = programs.project.state / "records.sqlite"
    held: list[threading.Thread] = []

    def hold() -> None:
        with closing(sqlite3.connect(records, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            taken.set()
            time.sleep(2)
            other.execute("ROLLBACK")

    def take() -> None:
        taken.clear()
        held.append(threading.Thread(target=hold))
        held[-1].start()
        assert taken.wait(60)

    taken = threading.Event()
    site.meanwhile = take
    ended = cloudflow("run", "held", "--format", "json").json
    for thread in held:
        thread.join()

    assert (ended["status"], ended["result"]) == ("success", "ticket 7ticket 7")
    assert site.opened == ["/a", "/b"]
    assert len(held) == 2
