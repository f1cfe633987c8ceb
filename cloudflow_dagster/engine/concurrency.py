"""How many runs of a flow may go on at the same time, and what becomes of one too many.

A run that needs a place takes it under a lock, before its first step, whoever started it: the UI,
a schedule, the CLI, another flow. The coordinator (`coordinator.py`) keeps runs in Dagster's queue
where they are seen, and decides `skip` and `cancel_oldest` early; the place is what counts.
"""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any, Literal, cast

import dagster as dg
from dagster._core.storage.tags import RETRY_NUMBER_TAG

from cloudflow_dagster.engine import tags
from cloudflow_dagster.engine.calls import ancestors_of
from cloudflow_dagster.engine.this_process import process_is_gone
from cloudflow_dagster.expressions import parse_template, render_text

_POLL = 0.5
_PLACES = "cloudflow-places.lock"
_PLACES_LOCK = 7_240_312_002
"""The same on a server: a number that nobody else has."""

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.SUSPENDED,
    dg.DagsterRunStatus.CANCELING,
]


@dataclass(frozen=True)
class Rule:
    """A flow's `concurrency`, for one run of it.

    Attributes:
        slot: The flow and the value of its key: runs with the same slot count together.
        limit: How many may go on.
        when_full: What becomes of one too many.
    """

    slot: str
    limit: int
    when_full: Literal["queue", "skip", "cancel_oldest"]


class Verdict(Enum):
    """What becomes of a run that asks for a place."""

    GO = auto()
    WAIT = auto()
    SKIP = auto()


def rule_of(run: dg.DagsterRun) -> Rule | None:
    """Return the rule that a run falls under, if its flow has any."""
    if tags.LIMIT not in run.tags:
        return None
    written: dict[str, Any] = json.loads(run.tags[tags.LIMIT])
    key = ""
    if written.get("key"):
        given = cast("dict[str, Any]", run.run_config.get("params") or {})
        params = {**written["defaults"], **given}
        key = render_text(parse_template(written["key"]), {"params": params})
    flow = run.tags.get(tags.FLOW, run.job_name)
    return Rule(f"{flow}:{key}" if key else flow, written["limit"], written["when_full"])


def ask_for_place(
    instance: dg.DagsterInstance, run: dg.DagsterRun, rule: Rule, *, in_turn: bool = False
) -> Verdict:
    """Take a place for a run if there is one; else say what becomes of it.

    With `cancel_oldest` the oldest run that holds a place is told to end, and this one waits.

    Args:
        instance: Where the runs are kept.
        run: The run.
        rule: What it falls under.
        in_turn: Whether it goes to the end of the queue if others wait there.
    """
    with _lock(instance):
        now = instance.get_run_by_id(run.run_id)
        if now is None or _has_place(now):
            return Verdict.GO
        holders = _holders(instance, rule, run)
        if len(holders) < rule.limit and not (in_turn and _others_wait(instance, rule)):
            instance.add_run_tags(run.run_id, {tags.SLOT: rule.slot, tags.ADMITTED: run.run_id})
            return Verdict.GO
        instance.add_run_tags(run.run_id, {tags.SLOT: rule.slot})
        if RETRY_NUMBER_TAG in now.tags:
            # By it Dagster's daemon goes on with another run. Not skipped: that one was not when it
            # began. But what a newer run has replaced is over.
            return Verdict.SKIP if rule.when_full == "cancel_oldest" else Verdict.WAIT
        if rule.when_full == "skip":
            return Verdict.SKIP
        if rule.when_full == "cancel_oldest":
            _make_room(instance, rule, holders)
        return Verdict.WAIT


def wait_for_place(
    instance: dg.DagsterInstance,
    run: dg.DagsterRun,
    stopped: Callable[[], bool],
) -> Iterator[str]:
    """Wait until a run has its place; yield what people should know meanwhile.

    Raises:
        DagsterExecutionInterruptedError: The run was stopped while it waited, or is skipped.
    """
    rule = rule_of(run)
    if rule is None:
        return
    told = False
    while True:
        match ask_for_place(instance, run, rule):
            case Verdict.GO:
                return
            case Verdict.SKIP:
                yield skipped(rule)
                instance.report_run_canceling(run, message=skipped(rule))
                raise dg.DagsterExecutionInterruptedError(skipped(rule))
            case Verdict.WAIT:
                if not told:
                    yield f"Waiting for a place: {_full(rule)}"
                told = True
        until = time.monotonic() + _POLL
        while time.monotonic() < until:
            if stopped():
                raise dg.DagsterExecutionInterruptedError("The run was stopped while it waited.")
            time.sleep(0.05)


def skipped(rule: Rule) -> str:
    """Say why a run is skipped."""
    return f"Skipped: {_full(rule)}"


def _full(rule: Rule) -> str:
    runs = "1 run goes" if rule.limit == 1 else f"{rule.limit} runs go"
    return f"{runs} on already, and no more may (concurrency `{rule.slot}`)."


def _has_place(run: dg.DagsterRun) -> bool:
    """Return whether a run has taken a place; one that does it again has a copy of its tags."""
    return run.tags.get(tags.ADMITTED) == run.run_id


def _others_wait(instance: dg.DagsterInstance, rule: Rule) -> bool:
    queued = dg.RunsFilter(tags={tags.SLOT: rule.slot}, statuses=[dg.DagsterRunStatus.QUEUED])
    return instance.get_runs_count(queued) > 0


def _holders(
    instance: dg.DagsterInstance, rule: Rule, asking: dg.DagsterRun
) -> list[dg.DagsterRun]:
    """Return the runs that hold a place, the oldest first.

    Those that wait for the run that asks (`flow.call`) do not count: they would wait forever.
    """
    records = instance.get_run_records(
        dg.RunsFilter(tags={tags.SLOT: rule.slot}, statuses=UNFINISHED),
        ascending=True,
    )
    ours = {asking.run_id, *ancestors_of(asking)}
    found = [r.dagster_run for r in records if _has_place(r.dagster_run)]
    runs = [run for run in found if run.run_id not in ours]
    return [run for run in runs if not _found_dead(instance, run)]


def _found_dead(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Report a run whose process was killed as failed, or it would hold its place forever."""
    mark = run.tags.get(tags.IN_PROCESS)
    if run.status is dg.DagsterRunStatus.SUSPENDED:
        return False
    if not mark or not process_is_gone(mark):
        return False
    instance.report_run_failed(run, "The process that executed the run is gone.")
    return True


def _make_room(instance: dg.DagsterInstance, rule: Rule, holders: list[dg.DagsterRun]) -> None:
    ending = [run for run in holders if run.status is dg.DagsterRunStatus.CANCELING]
    too_many = len(holders) - len(ending) - rule.limit + 1
    for run in [run for run in holders if run not in ending][:too_many]:
        if run.status is dg.DagsterRunStatus.SUSPENDED:
            instance.report_run_canceled(run, message="A newer run of the flow takes its place.")
        elif run.tags.get(tags.IN_PROCESS):
            instance.report_run_canceling(run, message="A newer run of the flow takes its place.")
        else:
            instance.run_launcher.terminate(run.run_id)


@contextmanager
def _lock(instance: dg.DagsterInstance) -> Generator[None]:
    """Let one process at a time take places, on all machines that share the history."""
    if type(instance.run_storage).__module__.startswith("dagster_postgres."):
        with _lock_of_server(instance.run_storage):
            yield
        return
    with (Path(instance.root_directory) / _PLACES).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _lock_of_server(storage: Any) -> Generator[None]:
    """Hold a lock of the database server, which ends with the connection at the latest."""
    with storage.connect() as connection:
        connection.exec_driver_sql(f"SELECT pg_advisory_lock({_PLACES_LOCK})")
        try:
            yield
        finally:
            connection.exec_driver_sql(f"SELECT pg_advisory_unlock({_PLACES_LOCK})")


def queued_limits(runs: list[dg.DagsterRun]) -> list[Mapping[str, Any]]:
    """Return the limits that Dagster's queue has to keep to, for the runs that wait in it."""
    rules = {rule.slot: rule.limit for run in runs if (rule := rule_of(run))}
    return [{"key": tags.SLOT, "value": slot, "limit": limit} for slot, limit in rules.items()]
