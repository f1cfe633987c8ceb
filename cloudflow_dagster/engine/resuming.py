"""Goes on with suspended runs when what they wait for has come.

`Resumer` looks for such runs and starts processes for them; `python -m
cloudflow_dagster.engine.resuming`, in the project's folder with `DAGSTER_HOME` set, is such a
process. It goes on with one run after another until no more is due. Whoever claims a run first
(`Waits.claim`) goes on with it, so any number of these may be at work.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
from dagster._utils.interrupts import setup_interrupt_handlers

from cloudflow_dagster.engine import processes
from cloudflow_dagster.engine.concurrency import UNFINISHED
from cloudflow_dagster.engine.flow_runs import go_on
from cloudflow_dagster.engine.instance import dagster_home
from cloudflow_dagster.engine.processes import Child
from cloudflow_dagster.engine.stops import (
    leave_runs_when_told_to_stop,
    process_was_told_to_stop,
)
from cloudflow_dagster.engine.this_process import process_is_gone, this_process
from cloudflow_dagster.project import Project, find_project
from cloudflow_dagster.runtime.waits import Waits

MOST_WORKERS = 8
RUNS_A_WORKER = 200
_TIDY_SECONDS = 15.0
_CHILDREN_SECONDS = 2.0
_PATIENCE = 12.0
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 300.0
"""Seconds until another process is started after one that could not do its work."""
_log = logging.getLogger("cloudflow")


@dataclass
class Resumer:
    """Looks for suspended runs that can go on, for one project.

    Attributes:
        project: The project.
        instance: Where its runs are kept.
        now: Gives the time in seconds, from any beginning.
        workers: The processes that go on with runs.
    """

    project: Project
    instance: dg.DagsterInstance
    now: Callable[[], float] = time.monotonic
    workers: list[Child] = field(default_factory=list[Child])
    _tidied: float = -_TIDY_SECONDS
    _asked: float = -_CHILDREN_SECONDS
    _started: int = 0
    _pause: float = 0.0
    _not_before: float = 0.0
    _told: set[str] = field(default_factory=set[str])

    def look(self) -> None:
        """Start a process if a run is due and there are not too many already."""
        path = self.project.records
        if not path.exists():
            return
        waits, now = Waits(path), self.now()
        if now - self._asked > _CHILDREN_SECONDS:
            self._asked = now
            self.note_ended_children(waits)
        if now - self._tidied > _TIDY_SECONDS:
            self._tidied = now
            self.tidy(waits)
        self._take_leave(waits)
        if (
            len(self.workers) < MOST_WORKERS
            and self.now() >= self._not_before
            and self._too_few(waits)
        ):
            self._start(waits)

    def _start(self, waits: Waits) -> None:
        """Start a process that goes on with what is due."""
        self._started += 1
        name = f"waits {self._started % MOST_WORKERS}"
        try:
            worker = processes.start(
                name,
                [sys.executable, "-m", "cloudflow_dagster.engine.resuming"],
                logs=self.project.state / "logs",
                environment={"DAGSTER_HOME": str(dagster_home(self.project))},
                folder=self.project.root,
            )
        except OSError as error:
            self._failed(waits, f"a process for that cannot be started: {error}.")
        else:
            self.workers.append(worker)

    def _take_leave(self, waits: Waits) -> None:
        """See how the processes ended that have."""
        ended = [worker for worker in self.workers if worker.ended]
        self.workers = [worker for worker in self.workers if worker not in ended]
        for worker in ended:
            status = worker.process.returncode
            if status == 0:
                self._pause, self._not_before = 0.0, 0.0
                self._told.clear()
            else:
                words = worker.last_words().rpartition("\n")[2].strip()
                said = f"the process for that ended with status {status}, see {worker.log}."
                self._failed(waits, f"{said} The last that it said: {words}" if words else said)

    def _failed(self, waits: Waits, why: str) -> None:
        """Start no other process for a while, and tell people once what is wrong."""
        self._pause = min(_LONGEST_PAUSE, self._pause * 2 or _FIRST_PAUSE)
        self._not_before = self.now() + self._pause
        due = waits.due(time.time(), MOST_WORKERS)
        new = [run_id for run_id in due if run_id not in self._told]
        if not new:
            return
        message = (
            f"What was waited for has come, and the run cannot be gone on with yet: {why} This is "
            f"tried again, ever more seldom, every {_LONGEST_PAUSE / 60:.0f} minutes at last; "
            "once what is wrong there is mended the run goes on, at once if CloudFlow is started "
            "again."
        )
        if not self._told:
            _log.error("%s (Runs: %s.)", message, ", ".join(new))
        self._told.update(new)
        for run in self.instance.get_runs(dg.RunsFilter(run_ids=new)):
            self.instance.report_engine_event(message, run)

    def _too_few(self, waits: Waits) -> bool:
        """Return whether runs are due that no process is about to claim.

        A process needs seconds to start; until then the run that it was started for is still due.
        """
        due = len(waits.due(time.time(), MOST_WORKERS))
        return due > 0 and due + waits.claimed() > len(self.workers)

    def note_ended_children(self, waits: Waits) -> None:
        """Let runs go on that waited for another run which has ended."""
        children = waits.children()
        if not children:
            return
        going_on = self._with_status(UNFINISHED)
        for run_id in children.keys() - going_on:
            for wait in children[run_id]:
                waits.answer(wait, None, "")

    def tidy(self, waits: Waits) -> None:
        """Take runs back from processes that are gone, and forget those that have ended."""
        waits.follow_the_clock(time.time())
        nobodys = {
            run_id: worker
            for run_id, worker in waits.suspended().items()
            if worker is None or process_is_gone(worker)
        }
        if not nobodys:
            return
        for run_id in nobodys.keys() - self._with_status(UNFINISHED):
            waits.forget(run_id)
        left = {run_id: worker for run_id, worker in nobodys.items() if worker is not None}
        if left:
            for run_id in left.keys() & self._with_status([dg.DagsterRunStatus.SUSPENDED]):
                waits.release(run_id, left[run_id])

    def _with_status(self, statuses: list[dg.DagsterRunStatus]) -> set[str]:
        """Return the ids of all runs with such a status, in one query, and nothing else of them."""
        return set(self.instance.get_run_ids(dg.RunsFilter(statuses=statuses)))

    def stop(self) -> None:
        """End the processes; the runs that they execute are interrupted."""
        processes.stop(self.workers, _PATIENCE)


def go_on_with_all(project: Project, instance: dg.DagsterInstance) -> int:
    """Go on with suspended runs until no more is due; return how many that were."""
    waits, mark, count = Waits(project.records), this_process(), 0
    while not process_was_told_to_stop() and count < RUNS_A_WORKER:
        due = waits.due(time.time(), MOST_WORKERS * 2)
        mine = next((run for run in due if waits.claim(run, mark)), None)
        if mine is None:
            return count
        count += 1
        run = instance.get_run_by_id(mine)
        if run is not None and run.status is dg.DagsterRunStatus.STARTED:
            # It is being suspended at this moment.
            waits.release(mine, mark)
            time.sleep(0.2)
            continue
        summary = go_on(project, instance, mine)
        if summary is not None and summary["status"] == "waiting":
            # Threads of it stand in this process for good.
            return count
    return count


def main() -> None:
    """Go on with what is due in the project of the current directory."""
    setup_interrupt_handlers()
    leave_runs_when_told_to_stop()
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")
    with dg.DagsterInstance.from_config(os.environ["DAGSTER_HOME"]) as instance:
        go_on_with_all(find_project(Path.cwd()), instance)
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads that wait for long would keep Python from ending in order.
    os._exit(0)


if __name__ == "__main__":
    main()
