"""Real Dagster runs that this process executes itself: for the CLI, for child runs, after failures.

`dg.execute_job` is the public way, but it knows neither an origin nor the steps to execute nor does
it give events while the run goes on. Checked on Dagster 1.13.27.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import create_execution_plan

from cloudflow_dagster.engine import stops, tags
from cloudflow_dagster.engine.execution import run_events
from cloudflow_dagster.engine.origins import job_origin
from cloudflow_dagster.engine.this_process import this_process
from cloudflow_dagster.flow.model import Json

_LOOK = 1.0
"""Seconds between two looks at whether somebody cancelled the run in Dagster's pages."""


@dataclass(frozen=True, kw_only=True)
class NewRun:
    """What to run.

    Attributes:
        config: The run's config, as one would write it in the Launchpad.
        tags: Beside those of the job.
        steps: Keys of the steps to execute; None for all.
        listed: Whether the code location has the job, so that Dagster's pages can show it there.
    """

    config: Mapping[str, Json]
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    steps: Sequence[str] | None = None
    listed: bool = True


def create_run(instance: dg.DagsterInstance, job: dg.JobDefinition, new: NewRun) -> dg.DagsterRun:
    """Record a run that has not started yet."""
    plan = create_execution_plan(job, new.config, step_keys_to_execute=new.steps)
    return instance.create_run_for_job(
        job,
        execution_plan=plan,
        run_config=new.config,
        tags={**job.run_tags, **new.tags, tags.IN_PROCESS: this_process()},
        remote_job_origin=job_origin(job.name) if new.listed else None,
    )


def execute(
    instance: dg.DagsterInstance,
    job: dg.JobDefinition,
    run: dg.DagsterRun,
    parent: str | None = None,
    *,
    goes_on: bool = False,
) -> Iterator[dg.DagsterEvent]:
    """Execute a run in this thread; yield its events, which are in the history already.

    Args:
        instance: Where the run is kept.
        job: The job.
        run: As `create_run` gave it.
        parent: Id of the run that waits for this one: it is stopped with it.
        goes_on: Whether the run was suspended and is gone on with.
    """
    _keep_logging_as_it_is(instance)
    if parent:
        stops.link(parent, run.run_id)
    with _watched(instance, run.run_id):
        yield from run_events(InMemoryJob(job), run, instance, goes_on=goes_on)


def _keep_logging_as_it_is(instance: dg.DagsterInstance) -> None:
    """Keep Dagster from setting up Python's logging anew for each run.

    It does so even where `dagster.yaml` configures nothing. With several runs in one process it
    ends in a deadlock: the setting up holds logging's own lock and waits for the handler of another
    run, which writes an event and waits for logging's lock.
    """
    # Dagster's type for it is partly unknown.
    if not cast("Any", instance).get_python_log_dagster_handler_config():
        vars(instance)["get_yaml_python_handlers"] = list[logging.Handler]


@contextmanager
def _watched(instance: dg.DagsterInstance, run_id: str) -> Generator[None]:
    """Stop the run when somebody cancels it in Dagster's pages.

    Dagster's launcher cannot reach a run that it did not launch; it only notes that the run is to
    be cancelled.
    """
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(_LOOK):
            run = instance.get_run_by_id(run_id)
            if run is None or run.status in {
                dg.DagsterRunStatus.CANCELING,
                dg.DagsterRunStatus.CANCELED,
            }:
                stops.stop(run_id)
                return

    thread = threading.Thread(target=look, name=f"watch {run_id}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        stops.forget(run_id)
