"""A run that is killed while another flow runs for it goes on with what that one has done."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import pytest

from cloudflow_dagster.engine import tags
from tests.fixtures.programs import MANUAL, CommandLine, Programs, call, chain, get, result
from tests.fixtures.web import Answer, Asked, serving

pytestmark = pytest.mark.integration


@dataclass
class Shop:
    """Notes each order, and kills who makes a certain one before it answers."""

    url: str = ""
    victim: int | None = None
    kills_at: str = ""
    orders: list[str] = field(default_factory=list[str])

    def __call__(self, asked: Asked) -> Answer:
        self.orders.append(asked.path)
        if self.victim is not None and asked.path == self.kills_at:
            os.kill(self.victim, signal.SIGKILL)
            self.victim = None
        return Answer(201, '"ordered"', {"Content-Type": "application/json"})


@pytest.fixture
def shop() -> Iterator[Shop]:
    site = Shop()
    with serving(site) as web:
        site.url = web.url()
        yield site


def order(shop: Shop, id: str, method: str) -> dict[str, Any]:
    return get(id, f"{shop.url}{id}", {"method": method, "json": {}})


def killed(
    programs: Programs, cloudflow: CommandLine, shop: Shop, at: str
) -> tuple[dg.DagsterRun, dg.DagsterRun]:
    """Run `parent`, which calls `child`, until the shop kills it; return both runs."""
    before = {run.run_id for run in programs.instance.get_runs()}
    process = cloudflow.start("run", "parent", "--format", "json")
    shop.kills_at, shop.victim = f"/{at}", process.pid
    assert process.wait(120) == -signal.SIGKILL
    for stream in (process.stdout, process.stderr):
        assert stream is not None
        stream.close()
    new = [run for run in programs.instance.get_runs() if run.run_id not in before]
    (parent,) = (run for run in new if run.job_name == "parent")
    (child,) = (run for run in new if run.job_name == "child")
    return parent, child


def write(programs: Programs, *nodes: dict[str, Any]) -> None:
    programs.write(chain(MANUAL, *nodes, result("{{ input.body }}")), "child")
    programs.write(chain(MANUAL, call("call", "child"), result()), "parent")


def test_the_child_run_that_it_began_goes_on_and_no_second_one_begins(
    programs: Programs, cloudflow: CommandLine, shop: Shop
) -> None:
    write(programs, order(shop, "first", "POST"), order(shop, "second", "PUT"))
    parent, child = killed(programs, cloudflow, shop, "second")
    again = cloudflow("runs", "retry", parent.run_id, "--format", "json").json

    assert (again["status"], again["result"]) == ("success", "ordered")
    # The first is not made again; the second is, because twice is the same as once.
    assert shop.orders == ["/first", "/second", "/second"]
    runs = programs.instance.get_runs(dg.RunsFilter(tags={tags.CALL: child.tags[tags.CALL]}))
    assert [run.parent_run_id for run in runs] == [child.run_id, None]
    assert runs[0].tags[tags.PARENT_RUN] == again["run_id"]
    first = programs.instance.get_run_by_id(child.run_id)
    assert first is not None
    assert first.status is dg.DagsterRunStatus.FAILURE
    # Only whoever goes on with the parent goes on with it.
    assert first.tags["dagster/will_retry"] == "false"


def test_what_the_child_run_asks_is_answered_there_and_then_the_parent_goes_on(
    programs: Programs, cloudflow: CommandLine, shop: Shop
) -> None:
    write(programs, order(shop, "first", "POST"), order(shop, "second", "POST"))
    parent, _ = killed(programs, cloudflow, shop, "second")
    asks = cloudflow("runs", "retry", parent.run_id, "--format", "json").json
    error = asks["nodes"]["call"]["error"]
    (child, *_) = programs.instance.get_runs(dg.RunsFilter(job_name="child"), limit=1)

    assert error["code"] == "MaybeDone"
    assert f"`cloudflow answer {child.run_id} second done`" in error["message"]
    said = cloudflow(
        "answer", child.run_id, "second", "done", "--output", '{"body": "seen"}', "--format", "json"
    )
    assert said.json["result"] == "seen", said.err
    ended = cloudflow("runs", "retry", asks["run_id"], "--format", "json").json
    assert (ended["status"], ended["result"]) == ("success", "seen")
    assert shop.orders == ["/first", "/second"]
