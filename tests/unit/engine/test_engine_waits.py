"""Waits of more than a minute: the run is suspended, and goes on in another process."""

from __future__ import annotations

import socket
import time

import dagster as dg
import pytest

from cloudflow_dagster.engine.flow_runs import go_on
from cloudflow_dagster.engine.resuming import Resumer
from cloudflow_dagster.nodes.waits import Wait as Asked
from cloudflow_dagster.project import Project
from cloudflow_dagster.runtime.waits import Wait, WaitKey, Waits
from tests.unit.engine.conftest import Flows, breaks, statuses, value


def ask(id: str, **more: object) -> dict[str, object]:
    config = {"approval": {"message": "Go on?", "approvers": ["ada"]}}
    return {"id": id, "type": "logic.wait", "config": config, **more}


def waits_of(project: Project, run: str) -> list[Wait]:
    return Waits(project.records).of_run(run)


def answer(project: Project, run: str, value: object = True) -> None:
    waits = Waits(project.records)
    for wait in waits.of_run(run):
        assert waits.answer(wait, {"approved": value}, "ada")


def status_of(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


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
    assert stored
    assert stored.status is dg.DagsterRunStatus.SUSPENDED
    answer(project, run)
    assert Waits(project.records).due(time.time(), 10) == [run]
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


def test_what_runs_beside_a_wait_runs_to_its_end_first(
    flows: Flows, project: Project, instance: dg.DagsterInstance
) -> None:
    flows.write(
        "f",
        [
            value("start", 1),
            ask("ask"),
            {"id": "pause", "type": "logic.wait", "config": {"seconds": 1.5}},
            value("beside", 2),
            value("both", "{{ [nodes.ask.approved, nodes.beside] }}"),
        ],
        ["start > ask", "start > pause", "pause > beside", "ask > both", "beside > both"],
    )
    summary = flows.run("f")
    assert statuses(summary)["beside"] == "success"
    assert statuses(summary)["both"] == "not_run"
    answer(project, summary["run_id"], value=False)
    done = go_on(project, instance, summary["run_id"])
    assert done
    assert done["nodes"]["both"]["output"] == [False, 2]


def test_what_had_failed_before_stays_failed_and_is_not_done_again(
    flows: Flows, project: Project, instance: dg.DagsterInstance
) -> None:
    flows.write(
        "f",
        [breaks("bad"), value("never", 1), ask("ask"), value("after", 3)],
        ["bad > never", "ask > after"],
    )
    run = flows.run("f")["run_id"]
    answer(project, run)
    done = go_on(project, instance, run)
    assert done is not None
    assert done["status"] == "failure"
    assert statuses(done) == {
        "bad": "failure",
        "never": "not_run",
        "ask": "success",
        "after": "success",
    }
    failures = instance.all_logs(run, of_type=dg.DagsterEventType.STEP_FAILURE)
    assert len(failures) == 1


def test_branches_that_were_skipped_stay_skipped(
    flows: Flows, project: Project, instance: dg.DagsterInstance
) -> None:
    flows.write(
        "f",
        [
            {"id": "which", "type": "logic.if", "config": {"condition": "{{ true }}"}},
            value("no", 1),
            ask("ask"),
            value("join", "{{ nodes.ask.approved }}"),
        ],
        ["which.false > no", "which.true > ask", "no > join", "ask > join"],
    )
    run = flows.run("f")["run_id"]
    answer(project, run)
    done = go_on(project, instance, run)
    assert done
    assert statuses(done)["no"] == "skipped"
    assert done["nodes"]["join"]["output"] is True
    assert len(instance.all_logs(run, of_type=dg.DagsterEventType.STEP_SKIPPED)) == 1


def test_items_of_a_loop_wait_each_for_their_own_answer_and_none_is_done_twice(
    flows: Flows, project: Project, instance: dg.DagsterInstance
) -> None:
    (project.root / "done").mkdir()
    flows.write(
        "f",
        [
            {"id": "each", "type": "logic.loop", "config": {"items": [0, 1, 2, 3, 4]}},
            value("first", "{{ item * 10 }}"),
            ask("ask"),
            value("last", "{{ [item, nodes.ask.approved] }}"),
            value("after", "{{ nodes.each.results }}"),
        ],
        ["each.item > first", "first > ask", "ask > last", "each.done > after"],
    )
    summary = flows.run("f")
    run = summary["run_id"]
    assert statuses(summary) == {
        "each": "waiting",
        "first": "success",
        "ask": "waiting",
        "last": "not_run",
        "after": "not_run",
    }
    waits = Waits(project.records)
    open_ = waits.of_run(run)
    assert sorted(wait.items for wait in open_) == [(0,), (1,), (2,), (3,), (4,)]
    for wait in open_[:2]:
        waits.answer(wait, {"approved": "early"}, "ada")
    again = go_on(project, instance, run)
    assert again
    assert again["status"] == "waiting"
    assert len(waits.of_run(run)) == 3
    answer(project, run, value="late")
    done = go_on(project, instance, run)
    assert done is not None
    assert done["status"] == "success"
    answers = {wait.items[0] for wait in open_[:2]}
    assert done["nodes"]["after"]["output"] == [
        [n, "early" if n in answers else "late"] for n in range(5)
    ]
    logs = [e.user_message for e in instance.all_logs(run)]
    assert sum("first[0]" in line for line in logs) <= 1


def test_a_flow_that_changes_meanwhile_goes_on_as_it_was(
    flows: Flows, project: Project, instance: dg.DagsterInstance
) -> None:
    flows.write("f", [ask("ask"), value("after", "old")], ["ask > after"])
    run = flows.run("f")["run_id"]
    flows.write("f", [value("after", "new"), value("more", 1)], [])
    answer(project, run)
    done = go_on(project, instance, run)
    assert done
    assert done["nodes"]["after"]["output"] == "old"
    assert list(done["nodes"]) == ["ask", "after"]


def test_a_call_waits_with_the_flow_that_it_called(
    flows: Flows, project: Project, instance: dg.DagsterInstance
) -> None:
    result = {"id": "r", "type": "flow.result", "config": {"value": "{{ nodes.ask.approved }}"}}
    flows.write("child", [ask("ask"), result], ["ask > r"])
    call = {"id": "call", "type": "flow.call", "config": {"flow": "child"}}
    flows.write("f", [call, value("after", "{{ nodes.call }}")], ["call > after"])
    summary = flows.run("f")
    assert summary["status"] == "waiting"
    assert statuses(summary) == {"call": "waiting", "after": "not_run"}
    waits = Waits(project.records)
    (wait,) = waits.of_run(summary["run_id"])
    assert wait.way == "run"
    child = wait.child or ""
    answer(project, child)
    done = go_on(project, instance, child)
    assert done
    assert done["status"] == "success"
    resumer = Resumer(project, instance)
    resumer.note_ended_children(waits)
    assert waits.due(time.time(), 5) == [summary["run_id"]]
    done = go_on(project, instance, summary["run_id"])
    assert done
    assert done["nodes"]["after"]["output"] is True
    children = instance.get_runs(dg.RunsFilter(job_name="child"))
    assert len(children) == 1


def test_nobody_waits_longer_than_the_nodes_timeout(
    flows: Flows, project: Project, instance: dg.DagsterInstance
) -> None:
    flows.write(
        "f",
        [ask("ask", timeout=70, retry=None), value("late", "{{ nodes.ask }}")],
        ["ask.error > late"],
    )
    run = flows.run("f")["run_id"]
    waits = Waits(project.records)
    (wait,) = waits.of_run(run)
    assert wait.expires is not None
    assert 60 < wait.expires - time.time() <= 70
    assert waits.due(wait.expires - 1, 5) == []
    assert waits.due(wait.expires + 1, 5) == [run]


def test_a_run_that_is_canceled_while_it_waits_does_not_go_on(
    flows: Flows, project: Project, instance: dg.DagsterInstance
) -> None:
    flows.write("f", [ask("ask"), value("after", 1)], ["ask > after"])
    run_id = flows.run("f")["run_id"]
    run = instance.get_run_by_id(run_id)
    assert run is not None
    instance.report_run_canceled(run)
    Resumer(project, instance).tidy(Waits(project.records))
    assert Waits(project.records).all_open() == []
    assert go_on(project, instance, run_id) is None
    now = instance.get_run_by_id(run_id)
    assert now
    assert now.status is dg.DagsterRunStatus.CANCELED


def test_one_process_alone_goes_on_with_a_run(flows: Flows, project: Project) -> None:
    flows.write("f", [ask("ask")], [])
    run = flows.run("f")["run_id"]
    answer(project, run)
    waits = Waits(project.records)
    assert waits.claim(run, "first")
    assert not waits.claim(run, "second")
    assert waits.due(time.time(), 5) == []
    waits.release(run, "first")
    assert waits.due(time.time(), 5) == [run]


def test_for_one_run_that_is_due_one_process_is_started(
    flows: Flows, project: Project, instance: dg.DagsterInstance
) -> None:
    flows.write("f", [ask("ask")], [])
    answer(project, flows.run("f")["run_id"])
    resumer = Resumer(project, instance)
    try:
        # The first needs seconds to start, and the run is due all the while.
        for _ in range(5):
            resumer.look()
        assert resumer._started == 1
    finally:
        resumer.stop()


def test_another_child_run_is_waited_for_anew(project: Project) -> None:
    waits, key = Waits(project.records), WaitKey("r", "call")
    first = waits.begin(key, Asked(way="run", run="child"), "r", None)
    assert waits.answer(first, None, "")
    again = waits.begin(key, Asked(way="run", run="child"), "r", None)
    assert again.answer is not None

    other = waits.begin(key, Asked(way="run", run="other"), "r", None)
    assert (other.child, other.answer) == ("other", None)


def test_what_cannot_be_gone_on_with_is_told_once_and_tried_ever_more_seldom(
    flows: Flows,
    project: Project,
    instance: dg.DagsterInstance,
    caplog: pytest.LogCaptureFixture,
) -> None:
    flows.write("f", [ask("ask"), value("after", 1)], ["ask > after"])
    run = flows.run("f")["run_id"]
    answer(project, run)
    settings = project.root / "cloudflow.yaml"
    mended = settings.read_text() if settings.exists() else "{}\n"
    settings.write_text("no such setting: 1\n")
    clock = [1000.0]
    resumer = Resumer(project, instance, now=lambda: clock[0])

    def look_until_the_process_has_ended() -> int:
        resumer.look()
        for worker in resumer.workers:
            worker.process.wait(60)
        resumer.look()
        return resumer._started

    try:
        # Nothing is due again before the pause is over, which doubles.
        for expected, seconds in ((1, 0.9), (1, 0.2), (2, 1.9), (2, 0.2)):
            assert look_until_the_process_has_ended() == expected
            clock[0] += seconds
        assert status_of(instance, run) is dg.DagsterRunStatus.SUSPENDED
        told = [e.message for e in instance.all_logs(run) if "cannot be gone on" in e.message]
        assert len(told) == 1
        assert "ended with status" in told[0]
        assert "waits_1.log" in told[0]
        assert caplog.text.count("cannot be gone on with yet") == 1

        settings.write_text(mended)
        look_until_the_process_has_ended()
    finally:
        resumer.stop()
    assert status_of(instance, run) is dg.DagsterRunStatus.SUCCESS


def test_thousands_of_waiting_runs_are_tidied_in_a_handful_of_queries(
    flows: Flows, project: Project, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    flows.write("f", [ask("ask")], [])
    still, gone = (flows.run("f")["run_id"] for _ in range(2))
    ended = instance.get_run_by_id(gone)
    assert ended
    instance.report_run_canceled(ended)
    waits = Waits(project.records)
    for n in range(3_000):
        waits.suspend(f"deleted{n}", 0.0)
    assert waits.claim(still, f"{socket.gethostname()}:1:no such process")
    queries: list[object] = []
    storage = type(instance.run_storage)
    for name in ("get_run_ids", "get_runs", "get_run_records"):
        counted = getattr(storage, name)
        monkeypatch.setattr(
            storage,
            name,
            lambda *a, counted=counted, **k: (queries.append(a), counted(*a, **k))[1],
        )

    Resumer(project, instance).tidy(waits)
    assert len(queries) <= 5
    assert waits.suspended() == {still: None}
