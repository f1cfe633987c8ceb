"""Runs whose process died: they are found, reported as failed, and go on by themselves.

A launcher that watches its workers reports them itself, and sooner. This finds the rest: runs of
the terminal, and those of which everything that knew them was killed too. Who executes a run is
noted in its records before its first step; a mark of the process tells it from a later one with the
same number. Of a process on another machine it is known when it was last heard (`beats.py`).

Going on is Dagster's: its daemon does a failed run again, from the failure, as often as tags of the
run say, and not if a step failed by itself (`run_retries` in `dagster.yaml`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import dagster as dg
from dagster._core.storage.tags import (
    GRPC_INFO_TAG,
    MAX_RETRIES_TAG,
    RETRY_ON_ASSET_OR_OP_FAILURE_TAG,
    RETRY_STRATEGY_TAG,
    WILL_RETRY_TAG,
)

from cloudflow_dagster.engine import tags
from cloudflow_dagster.engine.beats import is_silent
from cloudflow_dagster.engine.ended_well import report_ended_well
from cloudflow_dagster.engine.launcher import WarmRunLauncher
from cloudflow_dagster.engine.retry_cursor import see_again
from cloudflow_dagster.engine.this_process import pid_of, process_is_gone
from cloudflow_dagster.project import Project
from cloudflow_dagster.runtime.records import worker_in

_GONE = "The process that executed the run is gone."
_UNDER_WAY = [
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_EVERY = 3
"""Seconds between two looks."""
_LEFT = 30.0
"""Seconds after which a run that was recorded has been submitted, or never will be."""
_TAKEN = 60.0
"""Seconds after which a run that was to be launched has been taken, or never will be."""
_NOT_TAKEN = (
    f"The run was to be launched {_TAKEN:.0f} s ago, and no process has taken it: the one that was "
    "to launch it is gone."
)


def resumed_by_itself(times: int) -> dict[str, str]:
    """Return the tags by which Dagster's daemon goes on with a run whose process died.

    Args:
        times: How often it may.
    """
    return {
        MAX_RETRIES_TAG: str(times),
        RETRY_STRATEGY_TAG: "FROM_FAILURE",
        RETRY_ON_ASSET_OR_OP_FAILURE_TAG: "false",
    }


def goes_on_by_itself(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Return whether Dagster's daemon goes on with a run that failed."""
    run = instance.get_run_by_id(run_id)
    return run is not None and run.tags.get(WILL_RETRY_TAG) == "true"


def found_dead(project: Project, instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Report a run as ended whose process is gone; say whether it was."""
    if run.status not in _UNDER_WAY and not _was_left(instance, run):
        return False
    mark = worker_in(project.records, run.run_id) or run.tags.get(tags.IN_PROCESS)
    if not mark:
        if not _was_never_taken(instance, run):
            return False
    elif not process_is_gone(mark) and not _is_silent_elsewhere(project, run.run_id, mark):
        return False
    # Looked at again: it may have ended well a moment before its process did.
    now = instance.get_run_by_id(run.run_id)
    if now is None or now.is_finished:
        return False
    if now.status is dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, message=_GONE)
    elif not report_ended_well(instance, now):
        instance.report_run_failed(run, _GONE if mark else _NOT_TAKEN)
    return True


def _was_left(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Return whether a run was recorded long ago by a process that was to execute it itself.

    A re-execution that Dagster records has the mark of the run before it until it is submitted.
    """
    if run.status is not dg.DagsterRunStatus.NOT_STARTED or not run.tags.get(tags.IN_PROCESS):
        return False
    record = instance.get_run_record_by_id(run.run_id)
    return record is not None and _since(record.create_timestamp) > _LEFT


def _was_never_taken(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Return whether a run was about to be launched long ago and no process answers for it.

    Our launcher has a note of each run that a process has taken. Whoever was killed just before
    that leaves a run of which nobody knows; one that Dagster's own launcher has launched has a tag
    that says so. Should it be taken after all, it is not executed: who takes a run that has failed
    sees that it has.
    """
    launcher = instance.run_launcher
    if run.status is not dg.DagsterRunStatus.STARTING or GRPC_INFO_TAG in run.tags:
        return False
    if not isinstance(launcher, WarmRunLauncher) or launcher.answers_for(run.run_id):
        return False
    record = instance.get_run_record_by_id(run.run_id)
    return record is not None and _since(record.update_timestamp) > _TAKEN


def _since(then: datetime) -> float:
    return (datetime.now(UTC) - then).total_seconds()


def _is_silent_elsewhere(project: Project, run_id: str, mark: str) -> bool:
    """Return whether a process of another machine, which is not seen from here, is not heard."""
    return pid_of(mark) is None and is_silent(project, run_id)


def dead_runs_sensor(project: Project) -> dg.SensorDefinition:
    """Return what looks for dead runs in the daemon, and for those that nobody goes on with."""
    shown = set[str]()

    def evaluate(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        statuses = [*_UNDER_WAY, dg.DagsterRunStatus.NOT_STARTED]
        runs = context.instance.get_runs(dg.RunsFilter(statuses=statuses))
        dead = [run.run_id for run in runs if found_dead(project, context.instance, run)]
        see_again(context.instance, shown)
        return dg.SkipReason(f"Dead: {', '.join(dead)}." if dead else "All live.")

    # Dagster's types for it are partly unknown.
    return cast("Any", dg).sensor(
        name="cloudflow__dead_runs",
        description="Reports runs whose process was killed as failed, so that they go on.",
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=_EVERY,
    )(evaluate)
