"""The history of runs: listed, found by the beginning of an id, shown, read."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from cloudflow_dagster.engine import tags
from cloudflow_dagster.engine.run_details import RunDetails, ShownNode, details_of
from cloudflow_dagster.engine.run_list import (
    STATUSES,
    HistoryError,
    find_run,
    known_flows,
    list_runs,
)
from cloudflow_dagster.engine.run_logs import log_lines
from cloudflow_dagster.project import Project
from tests.unit.engine.conftest import Flows, breaks, value

MANUAL = {"id": "start", "type": "trigger.manual"}


def recorded(instance: dg.DagsterInstance, run_id: str, job: str = "f", **more: str) -> None:
    """Put a run into the history that never started."""
    instance.add_run(dg.DagsterRun(job_name=job, run_id=run_id, tags={tags.FLOW: job, **more}))


def details(project: Project, instance: dg.DagsterInstance, run_id: str) -> RunDetails:
    return details_of(project, instance, find_run(instance, run_id))


def nodes(project: Project, instance: dg.DagsterInstance, run_id: str) -> dict[str, ShownNode]:
    return {node.id: node for node in details(project, instance, run_id).nodes}


def test_every_status_of_dagster_has_one_word() -> None:
    named = [status for statuses in STATUSES.values() for status in statuses]
    assert sorted(s.value for s in named) == sorted(s.value for s in dg.DagsterRunStatus)


def test_runs_are_listed_newest_first_and_by_flow_status_time_and_number(
    flows: Flows, instance: dg.DagsterInstance
) -> None:
    flows.write("good", [MANUAL, value("a", 1)], ["start > a"])
    flows.write("bad", [MANUAL, breaks("a")], ["start > a"])
    first, second, third = (flows.run(name)["run_id"] for name in ("good", "bad", "good"))

    assert [run.run_id for run in list_runs(instance)] == [third, second, first]
    assert [run.run_id for run in list_runs(instance, flow="good")] == [third, first]
    assert [run.run_id for run in list_runs(instance, statuses=["failure"])] == [second]
    assert len(list_runs(instance, statuses=["failure", "success"])) == 3
    assert [run.run_id for run in list_runs(instance, limit=1)] == [third]
    now = datetime.now(UTC)
    assert len(list_runs(instance, since=now - timedelta(minutes=10))) == 3
    assert list_runs(instance, since=now + timedelta(minutes=10)) == []
    (run,) = list_runs(instance, flow="bad")
    assert (run.flow, run.status, run.started_by) == ("bad", "failure", "terminal")
    assert run.seconds is not None
    assert run.seconds > 0
    assert known_flows(instance) == ["bad", "good"]


def test_a_flow_whose_name_dagster_refuses_is_listed_by_its_id(
    flows: Flows, instance: dg.DagsterInstance
) -> None:
    flows.write("input", [MANUAL], [])
    flows.run("input")
    assert [run.flow for run in list_runs(instance, flow="input")] == ["input"]


def test_a_run_is_found_by_the_beginning_of_its_id(instance: dg.DagsterInstance) -> None:
    for run_id in ("aa11", "aa22", "bb33"):
        recorded(instance, run_id)
    assert find_run(instance, "bb").dagster_run.run_id == "bb33"
    assert find_run(instance, " AA2 ").dagster_run.run_id == "aa22"
    assert find_run(instance, "aa11").dagster_run.run_id == "aa11"
    with pytest.raises(HistoryError, match="2 runs have ids that begin with `aa`: aa22, aa11"):
        find_run(instance, "aa")
    with pytest.raises(HistoryError, match="no run `bb34`"):
        find_run(instance, "bb34")
    with pytest.raises(HistoryError, match=r"no run ``\. `cloudflow runs list` shows them"):
        find_run(instance, "")


def test_an_id_that_begins_like_another_is_found_whole(instance: dg.DagsterInstance) -> None:
    recorded(instance, "aa11")
    recorded(instance, "aa1122")
    assert find_run(instance, "aa11").dagster_run.run_id == "aa11"


def test_an_empty_history_says_so(instance: dg.DagsterInstance) -> None:
    assert list_runs(instance) == []
    assert known_flows(instance) == []
    with pytest.raises(HistoryError, match="nothing has run in this project yet"):
        find_run(instance, "abc")


def test_each_node_is_shown_with_what_came_in_and_out(
    flows: Flows, project: Project, instance: dg.DagsterInstance
) -> None:
    ask = {"id": "ask", "type": "logic.if", "config": {"condition": "{{ false }}"}}
    flows.write(
        "f",
        [MANUAL, value("a", {"x": 1}), ask, value("yes", 1), breaks("b"), value("c", 1)],
        ["start > a", "a > ask", "ask.true > yes", "a > b", "b > c"],
    )
    run_id = flows.run("f")["run_id"]
    shown = details(project, instance, run_id)

    assert shown.run.run_id == run_id
    assert "no" in shown.message
    assert not shown.message.startswith("dagster.")
    found = {node.id: node for node in shown.nodes}
    assert {id: node.status for id, node in found.items()} == {
        "start": "success",
        "a": "success",
        "ask": "success",
        "yes": "skipped",
        "b": "failure",
        "c": "not_run",
    }
    assert list(found)[:2] == ["start", "a"]
    assert found["a"].output == {"x": 1}
    assert found["b"].input == {"x": 1}
    assert found["b"].error is not None
    assert found["b"].error["code"] == "ExpressionError"
    assert found["b"].seconds is not None
    assert not found["c"].has_output


def test_the_flow_may_be_gone(flows: Flows, project: Project, instance: dg.DagsterInstance) -> None:
    path = flows.write("f", [MANUAL, value("a", 1)], ["start > a"])
    run_id = flows.run("f")["run_id"]
    path.unlink()
    assert nodes(project, instance, run_id)["a"].output == 1


def test_of_a_loops_body_the_items_are_counted(
    flows: Flows, project: Project, instance: dg.DagsterInstance
) -> None:
    loop = {
        "id": "each",
        "type": "logic.loop",
        "config": {"items": "{{ [1,2,3] }}", "on_item_error": "collect"},
    }
    inner = value("inner", "{{ item = 2 ? $error('two') : item }}")
    flows.write(
        "f",
        [MANUAL, loop, inner, value("after", "{{ nodes.each.count }}")],
        ["start > each", "each.item > inner", "each.done > after"],
    )
    found = nodes(project, instance, flows.run("f")["run_id"])

    assert found["inner"].items == {"failure": 1, "success": 2}
    assert found["inner"].status == "failure"
    assert found["each"].status == "success"
    assert found["each"].output == {
        "results": [1, None, 3],
        "errors": [found["each"].output["errors"][0]],
        "count": 3,
    }
    assert list(found) == ["start", "each", "after", "inner"]


def test_a_run_that_never_started_and_one_without_records_are_shown(
    project: Project, instance: dg.DagsterInstance
) -> None:
    recorded(instance, "aa11")
    shown = details(project, instance, "aa11")
    assert (shown.run.status, shown.run.seconds, list(shown.nodes)) == ("starting", None, [])

    @dg.op
    def by_hand() -> int:
        return 1

    @dg.job
    def mine() -> None:
        by_hand()

    done = mine.execute_in_process(instance=instance)
    found = nodes(project, instance, done.run_id)
    assert found["by_hand"].status == "success"


def test_a_run_that_failed_before_its_process_took_it_is_shown(
    project: Project, instance: dg.DagsterInstance
) -> None:
    recorded(instance, "aa11")
    run = instance.get_run_by_id("aa11")
    assert run is not None
    instance.report_run_failed(run, "Nobody could start it.")

    shown = details(project, instance, "aa11")
    assert (shown.run.status, shown.message) == ("failure", "Nobody could start it.")
    assert "Nobody could start it." in [line.message for line in log_lines(instance, "aa11")]


def test_a_run_that_is_looked_at_leaves_no_record(
    flows: Flows, project: Project, instance: dg.DagsterInstance
) -> None:
    flows.write("f", [MANUAL], [])
    flows.run("f")
    recorded(instance, "aa11")
    details(project, instance, "aa11")
    from cloudflow_dagster.runtime.remembered import Remembered

    assert not Remembered(project.state / "records.sqlite").knows("aa11")


def test_runs_that_are_linked_are_named(
    flows: Flows, project: Project, instance: dg.DagsterInstance
) -> None:
    flows.write("child", [MANUAL, breaks("a")], ["start > a"])
    call = {"id": "call", "type": "flow.call", "config": {"flow": "child"}}
    flows.write("handler", [MANUAL], [])
    flows.write("parent", [MANUAL, call], ["start > call"], on_failure="handler")
    parent = flows.run("parent")["run_id"]
    (child,) = (run.run_id for run in list_runs(instance, flow="child"))
    (handler,) = (run.run_id for run in list_runs(instance, flow="handler"))

    of_parent = details(project, instance, parent)
    assert list(of_parent.calls) == [child]
    assert list(of_parent.on_failure) == [handler]
    of_child = details(project, instance, child).run
    assert (of_child.called_by, of_child.started_by) == (parent, "call")
    of_handler = details(project, instance, handler).run
    assert (of_handler.failure_of, of_handler.started_by) == (parent, "on_failure")


def test_logs_are_those_of_the_run_or_of_one_node(
    flows: Flows, instance: dg.DagsterInstance
) -> None:
    flows.write("f", [MANUAL, value("a", 1), breaks("b")], ["start > a", "a > b"])
    run_id = flows.run("f")["run_id"]
    lines = list(log_lines(instance, run_id))

    assert {line.node for line in lines} == {None, "start", "a", "b"}
    assert [line.time for line in lines] == sorted(line.time for line in lines)
    of_b = list(log_lines(instance, run_id, node="b"))
    assert {line.node for line in of_b} == {"b"}
    (failed,) = [line for line in of_b if line.kind == "STEP_FAILURE"]
    assert (failed.level, "ExpressionError" in failed.message) == ("error", True)
    assert "Traceback" not in "".join(line.message for line in lines)


def test_more_events_than_are_read_at_a_time_are_all_there(
    flows: Flows, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    flows.write("f", [MANUAL, value("a", 1)], ["start > a"])
    run_id = flows.run("f")["run_id"]
    everything = list(log_lines(instance, run_id))
    monkeypatch.setattr("cloudflow_dagster.engine.run_logs._AT_A_TIME", 3)
    assert list(log_lines(instance, run_id)) == everything


def test_following_goes_on_until_the_run_has_ended(
    flows: Flows, project: Project, instance: dg.DagsterInstance
) -> None:
    wait = {"id": "wait", "type": "logic.wait", "config": {"seconds": 1.5}}
    flows.write("f", [MANUAL, wait, value("a", 1)], ["start > wait", "wait > a"])
    run = threading.Thread(target=flows.run, args=("f",))
    run.start()
    give_up = time.monotonic() + 60
    while not (runs := list_runs(instance, statuses=["running"])):
        assert time.monotonic() < give_up
        time.sleep(0.05)
    run_id = runs[0].run_id
    (shown,) = [n for n in details(project, instance, run_id).nodes if n.id == "a"]
    lines = list(log_lines(instance, run_id, follow=True))
    run.join()

    assert shown.status == "pending"
    assert "RUN_SUCCESS" in {line.kind for line in lines}
