"""One line of runs: started, killed, gone on with in the way that belongs to each kill, ended."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from cloudflow_dagster.engine.answers import unsettled
from cloudflow_dagster.engine.dead_runs import goes_on_by_itself
from cloudflow_dagster.engine.flow_runs import summary_of
from cloudflow_dagster.engine.lineage import lineage_of
from cloudflow_dagster.engine.run_resource import records_of
from cloudflow_dagster.plan import Plan
from cloudflow_dagster.runtime.intents import Intent
from cloudflow_dagster.runtime.waits import Waits
from tests.chaos.deployment import Deployment
from tests.chaos.kills import Kill, Striker
from tests.chaos.moments import Moments
from tests.chaos.project import CHILD, FLOW
from tests.chaos.truth import Truth

_LOOK = 0.2
_IN_PAGES = 0.7
"""Share of the lines whose first run is launched in the pages; the others begin in a terminal."""
_PATIENCE = 120.0
"""Seconds without any progress after which a line is stuck."""
_MOST_RUNS = 30
"""Runs that go on with each other without a kill between them, after which a line is stuck."""
_Status = dg.DagsterRunStatus


class StuckError(Exception):
    """Nothing happens any more; the message says how things stand."""


@dataclass
class Line:
    """A run and what goes on with it.

    Attributes:
        name: Of the line, in all that it makes.
        deployment: Where it runs.
        instance: Its history.
        plan: The flow's.
        child: Of the flow that it calls.
        moments: The calls that it makes.
        truth: What they have made.
        random: What answers depend on.
        say: Is told each kill.
        root: Id of the first run.
        killed: How many kills there were.
        failures: Errors that no kill explains.
        worked: Seconds in which somebody executed a run of it.
    """

    name: str
    deployment: Deployment
    instance: dg.DagsterInstance
    plan: Plan
    child: Plan
    moments: Moments
    truth: Truth
    random: random.Random
    say: Callable[[str], None] = lambda _: None
    root: str = ""
    killed: int = 0
    failures: list[str] = field(default_factory=list[str])
    worked: float = 0.0
    _seen: set[str] = field(default_factory=set[str])

    def run(self, kills: Iterator[Kill]) -> Any:
        """Run to the end with these kills; return the result of the flow.

        Raises:
            StuckError: It did not come to an end.
        """
        self.deployment.up()
        patient = self.random.random() < 0.5
        self.root = self._begin()
        striker = Striker(self.deployment, self.moments, self._newest, kills)
        before, since = "", time.monotonic()
        runs: set[str] = set()
        try:
            while (newest := self._newest()).status is not _Status.SUCCESS:
                killed = striker.turn()
                runs.add(newest.run_id)
                if killed is not None:
                    runs.clear()
                    self.killed += 1
                    self.say(killed)
                    self.deployment.up()
                now = self._how_it_stands(newest)
                if now != before or killed:
                    before, since = now, time.monotonic()
                if time.monotonic() - since > _PATIENCE or len(runs) > _MOST_RUNS:
                    raise StuckError(now)
                self.deployment.up()
                self.worked += _LOOK * (self.deployment.worker(newest.run_id) is not None)
                self._help(newest, patient=patient)
                time.sleep(_LOOK)
        finally:
            striker.stop()
        self._wait_for_the_others()
        summary = summary_of(self.deployment.project, self.instance, self.plan, newest.run_id)
        return summary["result"]

    def _begin(self) -> str:
        """Start the first run, as the pages do or in a terminal; return its id."""
        if self.random.random() < _IN_PAGES:
            return self.deployment.launch(FLOW, {"line": self.name})
        self.deployment.open_terminal("run", FLOW, "--param", f"line={self.name}")
        give_up = time.monotonic() + _PATIENCE
        while time.monotonic() < give_up:
            for run in self._runs_of(FLOW):
                return run.run_id
            time.sleep(_LOOK)
        raise StuckError(f"{self.name} did not begin in a terminal.")

    def _runs_of(self, flow: str) -> list[dg.DagsterRun]:
        """Return the line's runs of a flow, the newest first."""
        runs = self.instance.get_runs(dg.RunsFilter(job_name=flow), limit=100)
        return [run for run in runs if run.run_config["params"]["line"] == self.name]

    def _newest(self) -> dg.DagsterRun:
        """Return the last run of the line."""
        line = dg.RunsFilter(tags={"dagster/root_run_id": self.root})
        found = self.instance.get_runs(line, limit=1)
        first = self.instance.get_run_by_id(self.root)
        assert first is not None
        return found[0] if found else first

    def _how_it_stands(self, run: dg.DagsterRun) -> str:
        busy = ", and a command goes on" if self.deployment.busy else ""
        return (
            f"{self.name}: run {run.run_id} is {run.status.value} after {len(self.moments.calls)} "
            f"calls{busy}; tags {dict(sorted(run.tags.items()))}"
        )

    def _wait_for_the_others(self) -> None:
        """Wait until nothing goes on any more, whoever started it."""
        under_way = [_Status.STARTING, _Status.STARTED, _Status.QUEUED, _Status.CANCELING]
        give_up = time.monotonic() + _PATIENCE
        while self.instance.get_runs(dg.RunsFilter(statuses=under_way)):
            if time.monotonic() > give_up:
                raise StuckError(f"{self.name} has ended, but not all of its runs have.")
            time.sleep(_LOOK)

    # What people do

    def _help(self, run: dg.DagsterRun, *, patient: bool) -> None:
        """Do what only a person can, or must after this kind of kill."""
        if self.deployment.busy:
            return
        match run.status:
            case _Status.SUSPENDED:
                self._approve(run)
            case _Status.STARTED if not patient:
                self._approve(run)
            case _Status.FAILURE if not goes_on_by_itself(self.instance, run.run_id):
                self._go_on(run)
            case _Status.CANCELED:
                self.deployment.open_terminal("runs", "retry", run.run_id)
            case _:
                pass

    def _approve(self, run: dg.DagsterRun) -> None:
        waits = Waits(self.deployment.project.records).of_run(run.run_id)
        if any(wait.way == "approval" and wait.answer is None for wait in waits):
            self.deployment.open_terminal("approve", run.run_id)

    def _go_on(self, run: dg.DagsterRun) -> None:
        for asking, plan in ((run, self.plan), *self._child()):
            asked = self._asked(asking, plan)
            if asked:
                self._answer(asking, asked[0])
                return
        self._note_failures(run)
        self.deployment.open_terminal("runs", "retry", run.run_id)

    def _child(self) -> list[tuple[dg.DagsterRun, Plan]]:
        """Return the run that was called last, if it may ask something."""
        (child, *_), plan = [*self._runs_of(CHILD), None], self.child
        asks = child is not None and child.status is _Status.FAILURE
        return [(child, plan)] if child is not None and asks else []

    def _asked(self, run: dg.DagsterRun, plan: Plan) -> list[Intent]:
        lineage = lineage_of(self.instance, run)
        with records_of(self.deployment.project, run.run_id, lineage) as records:
            calls = unsettled(plan, records)
            return [call for call in calls if call.state == "asked" and call.answer is None]

    def _answer(self, run: dg.DagsterRun, call: Intent) -> None:
        """Say what the cloud says."""
        item = ".".join(map(str, call.key.indices))
        text = f"item {item}" if item else {"letter": "alone", "report": "child"}[call.key.node]
        which = ["--item", item] if item else []
        ids = [id for found, id in self.truth.messages(self.name) if found == text]
        said = ["done", "--output", json.dumps({"MessageId": ids[0]})] if ids else ["again"]
        self.say(f"    asked about `{call.key.node}` {item}: {said[0]}")
        self.deployment.open_terminal("answer", run.run_id, call.key.node, *said, *which)

    def _note_failures(self, run: dg.DagsterRun) -> None:
        """Note errors that no kill explains."""
        if run.run_id in self._seen:
            return
        self._seen.add(run.run_id)
        summary = summary_of(self.deployment.project, self.instance, self.plan, run.run_id)
        for id, node in summary["nodes"].items():
            error = node["error"]
            if node["status"] == "failure" and error and error["code"] != "MaybeDone":
                failure = f"run {run.run_id}: `{id}`: {error['code']}: {error['message']}"
                self.say(f"    FAILED {failure}")
                self.failures.append(failure)
