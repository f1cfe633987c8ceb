"""Loops as three ops: what the steps do, and what is done again after a failure."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import dagster as dg
import pytest
from dagster._core.execution.api import create_execution_plan
from dagster._core.execution.plan.state import KnownExecutionState

from cloudflow_dagster.engine.flow_runs import summary_of
from cloudflow_dagster.engine.in_process import execute
from cloudflow_dagster.engine.jobs import job_for
from cloudflow_dagster.engine.run_flow import retry_flow
from tests.unit.engine.conftest import Flows, breaks, statuses, value

MANUAL = {"id": "start", "type": "trigger.manual"}
END = {"id": "end", "type": "flow.result", "config": {"value": "{{ nodes.each }}"}}
EDGES = ["start > each", "each.item > body", "each.done > end"]
BODY = value("body", "{{ item = 2 and params.bad ? $error('two') : item * 10 }}")
PARAMS = {
    "type": "object",
    "properties": {
        "bad": {"type": "boolean", "default": False},
        "items": {"type": "array", "default": [1, 2, 3]},
    },
}


def loop(**config: Any) -> dict[str, Any]:
    return {
        "id": "each",
        "type": "logic.loop",
        "config": {"items": "{{ params.items }}", **config},
    }


def ends(instance: dg.DagsterInstance, run_id: str) -> dict[str, str]:
    kinds = {
        dg.DagsterEventType.STEP_SUCCESS: "success",
        dg.DagsterEventType.STEP_FAILURE: "failure",
        dg.DagsterEventType.STEP_SKIPPED: "skipped",
    }
    return {
        str(entry.step_key): kinds[entry.get_dagster_event().event_type]
        for entry in instance.all_logs(run_id, of_type=set(kinds))
    }


def again(flows: Flows, instance: dg.DagsterInstance, run_id: str) -> dict[str, Any]:
    """Run a flow again from the point of failure, as Dagster's pages do it."""
    plan = flows.plan("f")
    job = job_for(plan, flows.project)
    parent = instance.get_run_by_id(run_id)
    assert parent is not None
    keys, state = KnownExecutionState.build_resume_retry_reexecution(instance, parent)
    execution = create_execution_plan(
        job, parent.run_config, step_keys_to_execute=keys, known_state=state
    )
    run = instance.create_run_for_job(
        job,
        execution_plan=execution,
        run_config=parent.run_config,
        parent_run_id=run_id,
        root_run_id=parent.root_run_id or run_id,
        tags={**parent.tags, "dagster/is_resume_retry": "true"},
    )
    for _ in execute(instance, job, run):
        pass
    return summary_of(flows.project, instance, plan, run.run_id)


def test_a_loop_gives_its_results_in_order(flows: Flows, instance: dg.DagsterInstance) -> None:
    flows.write("f", [MANUAL, loop(), BODY, END], EDGES, params=PARAMS)
    summary = flows.run("f")

    assert summary["result"] == {"results": [10, 20, 30], "errors": [], "count": 3}
    assert ends(instance, summary["run_id"]) == {
        "start": "success",
        "each": "success",
        "each__item[0]": "success",
        "each__item[1]": "success",
        "each__item[2]": "success",
        "each__done": "success",
        "end": "success",
    }
    assert flows.told == [("start", "success"), ("each", "success"), ("end", "success")]


def test_an_empty_list_still_gives_done(flows: Flows) -> None:
    flows.write("f", [MANUAL, loop(), BODY, END], EDGES, params=PARAMS)

    assert flows.run("f", params={"items": []})["result"] == {
        "results": [],
        "errors": [],
        "count": 0,
    }


def test_a_loop_that_nothing_reaches_is_skipped_as_a_whole(
    flows: Flows, instance: dg.DagsterInstance
) -> None:
    ask = {"id": "ask", "type": "logic.if", "config": {"condition": "{{ false }}"}}
    edges = ["start > ask", "ask.true > each", *EDGES[1:]]
    flows.write("f", [MANUAL, ask, loop(), BODY, END], edges, params=PARAMS)
    summary = flows.run("f")

    assert summary["status"] == "success"
    assert {id: s for id, s in statuses(summary).items() if s == "skipped"}.keys() == {
        "each",
        "body",
        "end",
    }
    assert ends(instance, summary["run_id"])["each__done"] == "skipped"


def test_with_collect_the_loop_succeeds_and_lists_the_errors(flows: Flows) -> None:
    nodes = [MANUAL, loop(on_item_error="collect"), BODY, END]
    flows.write("f", nodes, EDGES, params=PARAMS)
    result = flows.run("f", params={"bad": True})["result"]

    assert result["results"] == [10, None, 30]
    assert [(e["index"], e["node"]) for e in result["errors"]] == [(1, "body")]


def test_with_fail_no_new_iteration_starts_and_the_loop_fails(
    flows: Flows, instance: dg.DagsterInstance
) -> None:
    flows.write("f", [MANUAL, loop(concurrency=1), BODY, END], EDGES, params=PARAMS)
    summary = flows.run("f", params={"bad": True, "items": [1, 2, 3, 4]})

    assert summary["status"] == "failure"
    assert statuses(summary) == {
        "start": "success",
        "each": "failure",
        "body": "failure",
        "end": "not_run",
    }
    assert ends(instance, summary["run_id"]) == {
        "start": "success",
        "each": "success",
        "each__item[0]": "success",
        "each__item[1]": "failure",
    }
    assert ("each", "failure") in flows.told


def test_a_caught_failure_of_a_loop_leaves_at_its_error_port(flows: Flows) -> None:
    caught = {"id": "caught", "type": "flow.result", "config": {"value": "{{ input.code }}"}}
    flows.write(
        "f",
        [MANUAL, loop(), BODY, END, caught],
        [*EDGES, "each.error > caught"],
        params=PARAMS,
    )
    summary = flows.run("f", params={"bad": True})

    assert summary["status"] == "success"
    assert summary["result"] == summary["nodes"]["each"]["error"]["code"]
    assert statuses(summary)["each"] == "failure"


def test_items_that_cannot_be_evaluated_fail_the_loop(flows: Flows) -> None:
    nodes = [MANUAL, loop(items="{{ $error('no items') }}"), BODY, END]
    flows.write("f", nodes, EDGES, params=PARAMS)
    summary = flows.run("f")
    assert statuses(summary)["each"] == "failure"
    assert summary["status"] == "failure"

    caught = {"id": "caught", "type": "flow.result", "config": {"value": "caught"}}
    flows.write("f", [*nodes, caught], [*EDGES, "each.error > caught"], params=PARAMS)
    assert flows.run("f")["result"] == "caught"


def test_after_a_failure_only_failed_and_not_started_items_run_again(
    flows: Flows, instance: dg.DagsterInstance
) -> None:
    flows.write("f", [MANUAL, loop(concurrency=1), BODY, END], EDGES, params=PARAMS)
    first = flows.run("f", params={"bad": True, "items": [1, 2, 3, 4]})
    # Put right; what succeeded before would now give something else.
    body = value("body", "{{ item * 100 }}")
    flows.write("f", [MANUAL, loop(concurrency=1), body, END], EDGES, params=PARAMS)
    second = again(flows, instance, first["run_id"])

    assert second["status"] == "success"
    assert second["result"] == {"results": [10, 200, 300, 400], "errors": [], "count": 4}
    assert "each" not in ends(instance, second["run_id"])
    assert "each__item[0]" not in ends(instance, second["run_id"])


def test_what_succeeded_before_a_failure_is_not_run_again(
    flows: Flows, instance: dg.DagsterInstance
) -> None:
    edges = ["start > one", "one > bad", "bad > end"]
    end = {"id": "end", "type": "flow.result", "config": {"value": "{{ run.attempt }}"}}
    flows.write("f", [MANUAL, value("one", 1), breaks("bad"), end], edges)
    first = flows.run("f")
    flows.write("f", [MANUAL, value("one", 2), value("bad", "{{ nodes.one }}"), end], edges)
    second = again(flows, instance, first["run_id"])

    assert second["status"] == "success"
    assert second["nodes"]["bad"]["output"] == 1
    assert second["result"] == 2
    assert ends(instance, second["run_id"]) == {"bad": "success", "end": "success"}


def test_a_join_is_skipped_if_nothing_delivers_after_going_on(
    flows: Flows, instance: dg.DagsterInstance
) -> None:
    """Dagster counts only the steps of the new run, and would run it."""
    ask = {"id": "ask", "type": "logic.if", "config": {"condition": "{{ false }}"}}
    edges = ["start > ask", "start > bad", "ask.true > join", "bad.true > join"]
    fails = {"id": "bad", "type": "logic.if", "config": {"condition": "{{ $error('no') }}"}}
    flows.write("f", [MANUAL, ask, fails, value("join", 1)], edges)
    first = flows.run("f")
    assert statuses(first)["join"] == "not_run"
    fine = {"id": "bad", "type": "logic.if", "config": {"condition": "{{ false }}"}}
    flows.write("f", [MANUAL, ask, fine, value("join", 1)], edges)
    second = again(flows, instance, first["run_id"])

    assert second["status"] == "success"
    assert statuses(second)["join"] == "skipped"


class _Crowd(ThreadingHTTPServer):
    """Counts how many requests it has at the same time; fails the first ones if asked to."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.lock = threading.Lock()
        self.now = self.most = self.seen = self.failures = 0


class _Handler(BaseHTTPRequestHandler):
    server: _Crowd

    def do_GET(self) -> None:
        crowd = self.server
        with crowd.lock:
            crowd.now += 1
            crowd.seen += 1
            crowd.most = max(crowd.most, crowd.now)
            status = 503 if crowd.seen <= crowd.failures else 200
        time.sleep(0.15)
        with crowd.lock:
            crowd.now -= 1
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def crowd() -> Any:
    server = _Crowd()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("concurrency", [3, "{{ 1 + 2 }}"])
def test_as_many_items_at_a_time_as_the_loop_says(
    flows: Flows, crowd: _Crowd, concurrency: object
) -> None:
    url = f"http://127.0.0.1:{crowd.server_port}/"
    body = {"id": "body", "type": "generic.http.request", "config": {"url": url}}
    nodes = [MANUAL, loop(concurrency=concurrency), body, END]
    flows.write("f", nodes, EDGES, params=PARAMS)
    summary = flows.run("f", params={"items": list(range(9))})

    assert summary["status"] == "success"
    assert crowd.most == 3


def test_a_step_is_retried(flows: Flows, crowd: _Crowd, instance: dg.DagsterInstance) -> None:
    crowd.failures = 2
    url = f"http://127.0.0.1:{crowd.server_port}/"
    get = {
        "id": "get",
        "type": "generic.http.request",
        "config": {"url": url},
        "retry": {"max_attempts": 3, "delay": 0.1, "jitter": "none"},
    }
    flows.write("f", [MANUAL, get], ["start > get"])
    summary = flows.run("f")

    assert summary["status"] == "success"
    assert summary["nodes"]["get"]["attempts"] == 3
    assert flows.told.count(("get", "retry")) == 2
    retries = instance.all_logs(summary["run_id"], of_type=dg.DagsterEventType.STEP_UP_FOR_RETRY)
    assert len(list(retries)) == 2


def test_branches_run_at_the_same_time(flows: Flows, crowd: _Crowd) -> None:
    url = f"http://127.0.0.1:{crowd.server_port}/"
    gets = [
        {"id": f"get_{n}", "type": "generic.http.request", "config": {"url": url}} for n in range(5)
    ]
    flows.write("f", [MANUAL, *gets], [f"start > get_{n}" for n in range(5)])

    assert flows.run("f")["status"] == "success"
    assert crowd.most > 1


def test_an_item_that_failed_while_the_rest_was_run_is_run_again_too(flows: Flows) -> None:
    """Dagster has no step for such an item in any later run: each one ends the loop alone."""
    item = "{{ item >= run.attempt ? $error('not yet') : item }}"
    each = {"id": "each", "type": "logic.loop", "config": {"items": [1, 2, 3], "concurrency": 1}}
    flows.write("f", [MANUAL, each, value("in", item)], ["start > each", "each.item > in"])
    done = flows.run("f")
    for attempt in (2, 3, 4):
        assert done["status"] == "failure"
        assert f"Item {attempt - 2} failed" in done["nodes"]["each"]["error"]["message"]
        done = retry_flow(flows.project, flows.plan("f"), done["run_id"])

    assert done["status"] == "success", done
    assert done["nodes"]["each"]["output"]["results"] == [1, 2, 3]
