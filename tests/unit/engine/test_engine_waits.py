"""Waits of more than a minute: the run is suspended, and goes on in another process."""

from __future__ import annotations

import time
from pathlib import Path

import dagster as dg
from tests.unit.engine.conftest import Flows, breaks, statuses, value

from cloudflow_dagster.engine.flow_runs import go_on
from cloudflow_dagster.engine.run_resource import database_of
from cloudflow_dagster.project import Project
from cloudflow_dagster.runtime.waits import Wait, Waits


def ask(id: str, **more: object) -> dict[str, object]:
    config = {"approval": {"message": "Go on?", "approvers": ["ada"]}}
    return {"id": id, "type": "logic.wait", "config": config, **more}


def waits_of(project: Project, run: str) -> list[Wait]:
    return Waits(database_of(project)).of_run(run)


def answer(project: Project, run: str, value: object = True) -> None:
    waits = Waits(database_of(project))
    for wait in waits.of_run(run):
        assert waits.answer(wait, {"approved": value}, "ada")


def test_a_run_that_waits_for_an_approval_is_suspended_and_goes_on(
    flows: Flows, project: Project, instance: dg.DagsterInstance
) -> None:
    flows.write(
        "f",
        [value("before", 1), ask("ask"), value("after", "{{ nodes.ask.approved }}")],
        ["before > ask", "ask > after"],
    )
    summary = flows.run("f")
    run = summary["run_id"]
    assert summary["status"] == "waiting"
    assert statuses(summary) == {"before": "success", "ask": "waiting", "after": "not_run"}
    stored = instance.get_run_by_id(run)
    assert stored and stored.status is dg.DagsterRunStatus.SUSPENDED
    answer(project, run)
    assert Waits(database_of(project)).due(time.time(), 10) == [run]
    done = go_on(project, instance, run)
    assert done is not None
    assert done["status"] == "success"
    assert done["nodes"]["after"]["output"] is True
    starts = [
        e.dagster_event.step_key
        for e in instance.all_logs(run, of_type=dg.DagsterEventType.STEP_START)
        if e.dagster_event
    ]
    assert starts.count("before") == 1
