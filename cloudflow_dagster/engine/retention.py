"""Which runs are not kept any longer, by the project's `settings.retention`.

Only finished runs of flows are deleted, and never one that another run still needs: what a
re-execution goes on from is kept as long as it is, and what a run that has not ended was called
by, calls or was started after.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import dagster as dg

from cloudflow_dagster.engine import names, tags
from cloudflow_dagster.engine.disk_space import databases_of, give_back_space
from cloudflow_dagster.engine.run_list import FINISHED, known_flows, time_text
from cloudflow_dagster.engine.run_removal import RunRemoval
from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.project import Project
from cloudflow_dagster.project.settings import Keep
from cloudflow_dagster.runtime.remembered import Remembered, StoredRun

JUST_ENDED = timedelta(minutes=1)
"""What watches for the end of a run may not have looked yet."""
_PAGE = 200
_AT_A_TIME = 25
_DAY = 86_400
_FINISHED = list(FINISHED)


@dataclass(frozen=True)
class OldRun:
    """A run that is not kept any longer.

    Attributes:
        run_id: Its id.
        flow: Its flow.
        ended_at: When it ended, ISO 8601.
        why: `age`, `number`, or `remains` of a run that the history does not have any more.
    """

    run_id: str
    flow: str
    ended_at: str | None
    why: str

    def as_json(self) -> dict[str, Json]:
        """Return what `--format json` prints."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass
class Pruned:
    """What came of it.

    Attributes:
        runs: What was deleted, or would be.
        complete: Whether all was done that was due; else the time was up.
        busy: Whether another process does it already, so that this one did nothing.
    """

    runs: list[OldRun] = field(default_factory=list[OldRun])
    complete: bool = True
    busy: bool = False


def prune(
    project: Project,
    instance: dg.DagsterInstance,
    *,
    dry_run: bool = False,
    now: datetime | None = None,
    seconds: float | None = None,
) -> Pruned:
    """Delete the runs that are not kept any longer.

    Args:
        project: The project.
        instance: Its history.
        dry_run: Only find out which these are.
        now: The time by which age is told.
        seconds: Begin with no more of them after so long.
    """
    now = now or datetime.now(UTC)
    until = time.monotonic() + seconds if seconds is not None else float("inf")
    if dry_run:
        return Pruned(list(old_runs(project, instance, now)))
    with _alone(project) as alone:
        if not alone:
            return Pruned(busy=True, complete=False)
        removal = RunRemoval(project, instance)
        removal.finish()
        done = Pruned()
        waiting = list(old_runs(project, instance, now))
        while waiting and time.monotonic() < until:
            batch, waiting = waiting[:_AT_A_TIME], waiting[_AT_A_TIME:]
            # Somebody may have begun to do one of them again since they were found.
            again = _done_again(instance, [run.run_id for run in batch], living=True)
            still = [run for run in batch if run.run_id not in again]
            removal.remove([run.run_id for run in still])
            done.runs += still
        done.complete = not waiting
        give_back_space(databases_of(project.state))
        return done


def old_runs(project: Project, instance: dg.DagsterInstance, now: datetime) -> Iterator[OldRun]:
    """Yield the runs that are not kept any longer, of each flow the newest first."""
    for flow in known_flows(instance):
        keep = project.settings.retention.of(flow)
        yield from _OldOfFlow(instance, flow, keep, now).find()
    yield from _remains(project, instance, now)


class _OldOfFlow:
    """Finds those of one flow. What it costs depends on how many there are to delete."""

    def __init__(self, instance: dg.DagsterInstance, flow: str, keep: Keep, now: datetime) -> None:
        self._instance = instance
        self._flow = flow
        self._now = now
        self._filter = dg.RunsFilter(
            job_name=names.dagster_name(flow), tags={tags.FLOW: flow}, statuses=_FINISHED
        )
        self._keep = keep
        self._parents: dict[str, str | None] = {}

    def find(self) -> list[OldRun]:
        """Return them, the newest first."""
        old = self._by_rule()
        if old:
            for run_id in self._needed(old):
                old.pop(run_id, None)
        return list(reversed(old.values()))

    def _by_rule(self) -> dict[str, OldRun]:
        """Return those that age and number alone let go, the oldest first."""
        days, most = self._keep.days, self._keep.runs
        oldest = None if days is None else self._now - timedelta(days=days)
        count = self._instance.get_runs_count(self._filter) if most is not None else 0
        too_many = count - most if most is not None else 0
        old: dict[str, OldRun] = {}
        for place, record in enumerate(self._records()):
            created = record.create_timestamp
            if place >= too_many and (oldest is None or created > oldest):
                break
            ended = _ended(record)
            run = record.dagster_run
            self._parents[run.run_id] = _goes_on_from(run)
            aged = oldest is not None and ended < oldest
            if (aged or place < too_many) and ended < self._now - JUST_ENDED:
                old[run.run_id] = OldRun(
                    run.run_id,
                    self._flow,
                    time_text(ended.timestamp()),
                    "age" if aged else "number",
                )
        return old

    def _needed(self, old: dict[str, OldRun]) -> Iterator[str]:
        """Yield those that a run that is kept still needs."""
        kept = (
            record.dagster_run
            for record in self._records(all_of_them=True)
            if record.dagster_run.run_id not in old
        )
        needed = {_goes_on_from(run) for run in kept}
        needed |= set(_linked_to_living(self._instance, list(old)))
        while needed:
            run_id = needed.pop()
            if run_id in old:
                yield run_id
                needed.add(self._parents.get(run_id))

    def _records(self, *, all_of_them: bool = False) -> Iterator[dg.RunRecord]:
        """Yield the flow's finished runs (or all), the oldest first."""
        chosen = dg.RunsFilter(job_name=self._filter.job_name) if all_of_them else self._filter
        cursor: str | None = None
        while True:
            page = self._instance.get_run_records(
                chosen, limit=_PAGE, ascending=True, cursor=cursor
            )
            yield from page
            if len(page) < _PAGE:
                return
            cursor = page[-1].dagster_run.run_id


def _ended(record: dg.RunRecord) -> datetime:
    if record.end_time is None:
        return record.update_timestamp
    return datetime.fromtimestamp(record.end_time, UTC)


def _goes_on_from(run: dg.DagsterRun) -> str | None:
    """Return the run whose outputs a run uses."""
    return run.parent_run_id or run.tags.get(tags.FROM_RUN)


def _linked_to_living(instance: dg.DagsterInstance, runs: Sequence[str]) -> Iterator[str]:
    """Yield those of some runs that a run which has not ended is linked to.

    It was called by it, it waits for it, or it was started after its failure.
    """
    living = [
        run
        for page in _pages(runs)
        for tag in (tags.PARENT_RUN, tags.FAILURE_OF)
        for run in instance.get_runs(dg.RunsFilter(tags={tag: page}))
        if not run.is_finished
    ]
    for run in living:
        yield from (run.tags[tag] for tag in (tags.PARENT_RUN, tags.FAILURE_OF) if tag in run.tags)
    for page in _pages(runs):
        callers = {
            run.run_id: run.tags[tags.PARENT_RUN]
            for run in instance.get_runs(dg.RunsFilter(run_ids=page))
            if tags.PARENT_RUN in run.tags
        }
        if callers:
            called = instance.get_runs(dg.RunsFilter(run_ids=sorted(set(callers.values()))))
            waiting = {run.run_id for run in called if not run.is_finished}
            yield from (run_id for run_id, caller in callers.items() if caller in waiting)


def _pages(runs: Sequence[str]) -> Iterator[list[str]]:
    for first in range(0, len(runs), _PAGE):
        yield list(runs[first : first + _PAGE])


def _remains(project: Project, instance: dg.DagsterInstance, now: datetime) -> Iterator[OldRun]:
    """Yield what is stored of runs that somebody deleted in Dagster, once it is old enough.

    Not earlier: they may be in the history of another instance.
    """
    retention = project.settings.retention
    stored = Remembered(project.records).started_before(now)
    old = {run.id: run.flow for run in stored if _is_old(run, retention.of(run.flow), now)}
    for page in _pages(list(old)):
        known = set(instance.get_run_ids(dg.RunsFilter(run_ids=page)))
        needed = _done_again(instance, page)
        for run_id in page:
            if run_id not in known and run_id not in needed:
                yield OldRun(run_id, old[run_id], None, "remains")


def _is_old(run: StoredRun, keep: Keep, now: datetime) -> bool:
    return keep.days is not None and run.started_at < now - timedelta(days=keep.days)


def _done_again(
    instance: dg.DagsterInstance, runs: Sequence[str], *, living: bool = False
) -> set[str]:
    """Return those of some runs that (living) runs go on from."""
    tagged = (
        run
        for tag in ("dagster/parent_run_id", tags.FROM_RUN)
        for run in instance.get_runs(dg.RunsFilter(tags={tag: list(runs)}))
        if not (living and run.is_finished)
    )
    return {run_id for run in tagged if (run_id := _goes_on_from(run)) is not None}


@contextmanager
def _alone(project: Project) -> Generator[bool]:
    """Let one process at a time delete; tell whether it is this one."""
    project.state.mkdir(parents=True, exist_ok=True)
    with (project.state / "prune.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True
