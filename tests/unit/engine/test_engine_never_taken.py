"""A run of which whoever was to launch it was killed before a process had taken it."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.tags import GRPC_INFO_TAG

from cloudflow_dagster.engine import dead_runs
from cloudflow_dagster.engine.dead_runs import found_dead
from cloudflow_dagster.engine.jobs import job_for
from cloudflow_dagster.engine.warm.notes import Notes
from cloudflow_dagster.project import Project
from tests.unit.engine.conftest import Flows


@pytest.fixture
def run(flows: Flows, project: Project, instance: dg.DagsterInstance) -> dg.DagsterRun:
    """A run at the moment at which Dagster hands it to the launcher."""
    flows.write("f", [{"id": "start", "type": "trigger.manual"}], [])
    run = instance.create_run_for_job(job_for(flows.plan("f"), project))
    starting = dg.DagsterEvent(dg.DagsterEventType.PIPELINE_STARTING.value, job_name="f")
    instance.report_dagster_event(starting, run_id=run.run_id)
    return now(instance, run)


def now(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRun:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found


@pytest.fixture
def long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_runs, "_TAKEN", -1.0)


@pytest.mark.usefixtures("long_ago")
def test_it_is_reported_as_failed_and_is_not_executed_any_more(
    project: Project, instance: dg.DagsterInstance, run: dg.DagsterRun
) -> None:
    assert found_dead(project, instance, run)
    assert now(instance, run).status is dg.DagsterRunStatus.FAILURE
    said = [e.dagster_event.message or "" for e in instance.all_logs(run.run_id) if e.dagster_event]
    assert any("no process has taken it" in each for each in said)
    assert not found_dead(project, instance, now(instance, run))


def test_it_is_left_alone_for_a_while(
    project: Project, instance: dg.DagsterInstance, run: dg.DagsterRun
) -> None:
    assert run.status is dg.DagsterRunStatus.STARTING
    assert not found_dead(project, instance, run)


@pytest.mark.usefixtures("long_ago")
def test_one_that_was_taken_is_left_alone(
    project: Project, instance: dg.DagsterInstance, run: dg.DagsterRun
) -> None:
    Notes(Path(instance.root_directory)).accept(run.run_id)
    assert not found_dead(project, instance, run)


@pytest.mark.usefixtures("long_ago")
def test_one_that_dagster_has_launched_is_left_alone(
    project: Project, instance: dg.DagsterInstance, run: dg.DagsterRun
) -> None:
    instance.add_run_tags(run.run_id, {GRPC_INFO_TAG: "{}"})
    assert not found_dead(project, instance, now(instance, run))
