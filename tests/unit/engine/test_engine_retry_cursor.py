"""A run that will be retried, and whose failure Dagster's daemon has read too early."""

from __future__ import annotations

from datetime import timedelta

import dagster as dg
import pytest
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG

from cloudflow_dagster.engine import retry_cursor
from cloudflow_dagster.engine.jobs import job_for
from cloudflow_dagster.engine.retry_cursor import see_again
from cloudflow_dagster.project import Project
from tests.unit.engine.conftest import Flows

CURSOR = "EVENT_LOG_CONSUMER_CURSOR-PIPELINE_FAILURE"


@pytest.fixture(autouse=True)
def long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry_cursor, "_PATIENCE", timedelta(seconds=-1))


@pytest.fixture
def run(flows: Flows, project: Project, instance: dg.DagsterInstance) -> dg.DagsterRun:
    """A run whose process was killed."""
    flows.write("f", [{"id": "start", "type": "trigger.manual"}], [])
    job = job_for(flows.plan("f"), project)
    run = instance.create_run_for_job(job, tags=dict(job.run_tags))
    instance.report_run_failed(run, "It was killed.")
    return run


def read_up_to(instance: dg.DagsterInstance, number: int) -> None:
    instance.daemon_cursor_storage.set_cursor_values({CURSOR: str(number)})


def last(instance: dg.DagsterInstance) -> int:
    number = instance.event_log_storage.get_maximum_record_id()
    assert number
    return number


def still_read(instance: dg.DagsterInstance) -> set[str]:
    """Return the runs whose failures the daemon will read."""
    after = int(instance.daemon_cursor_storage.get_cursor_values({CURSOR})[CURSOR])
    found = instance.event_log_storage.get_logs_for_all_runs_by_log_id(
        after_cursor=after, dagster_event_type={dg.DagsterEventType.RUN_FAILURE}
    )
    return {event.run_id for event in found.values()}


def test_the_daemon_reads_it_again_once(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    read_up_to(instance, last(instance))
    assert still_read(instance) == set()
    shown = set[str]()
    see_again(instance, shown)
    assert (still_read(instance), shown) == ({run.run_id}, {run.run_id})

    read_up_to(instance, last(instance))
    see_again(instance, shown)
    assert still_read(instance) == set()


def test_one_that_the_daemon_has_yet_to_read_is_left_to_it(
    instance: dg.DagsterInstance, run: dg.DagsterRun
) -> None:
    read_up_to(instance, 0)
    shown = set[str]()
    see_again(instance, shown)
    assert (still_read(instance), shown) == ({run.run_id}, set())


def test_one_that_was_retried_is_not_read_again(
    instance: dg.DagsterInstance, run: dg.DagsterRun
) -> None:
    instance.add_run_tags(run.run_id, {AUTO_RETRY_RUN_ID_TAG: "another"})
    read_up_to(instance, last(instance))
    see_again(instance, set())
    assert still_read(instance) == set()


def test_one_that_is_left_alone_by_its_flow_is_not_read_again(
    flows: Flows, project: Project, instance: dg.DagsterInstance
) -> None:
    flows.write("f", [{"id": "start", "type": "trigger.manual"}], [], resumes=0)
    job = job_for(flows.plan("f"), project)
    run = instance.create_run_for_job(job, tags=dict(job.run_tags))
    instance.report_run_failed(run, "It was killed.")
    read_up_to(instance, last(instance))
    see_again(instance, set())
    assert still_read(instance) == set()
