"""`flow.call` and `on_failure`: runs that other runs start."""

from __future__ import annotations

from threading import Event
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from cloudflow_dagster.engine import tags
from cloudflow_dagster.engine.children import DagsterChildRuns, _result
from cloudflow_dagster.engine.in_process import NewRun, create_run
from cloudflow_dagster.engine.jobs import job_for
from cloudflow_dagster.engine.run_flow import retry_flow
from cloudflow_dagster.engine.this_process import this_process
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.runtime.run import ChildCall
from tests.fixtures.calls import Lines
from tests.unit.engine.conftest import Flows, breaks, value

MANUAL = {"id": "start", "type": "trigger.manual"}
DOUBLE = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def call(flow: str, **more: Any) -> dict[str, Any]:
    return {"id": "call", "type": "flow.call", "config": {"flow": flow, **more}}


def result(value: Any) -> dict[str, Any]:
    return {"id": "end", "type": "flow.result", "config": {"value": value}}


def double(flows: Flows) -> None:
    flows.write("double", [MANUAL, result("{{ params.n * 2 }}")], ["start > end"], params=DOUBLE)


def test_a_called_flow_gives_its_result(flows: Flows, instance: dg.DagsterInstance) -> None:
    double(flows)
    nodes = [MANUAL, call("double", params={"n": 21}), result("{{ nodes.call }}")]
    flows.write("f", nodes, ["start > call", "call > end"])
    summary = flows.run("f")

    assert summary["result"] == 42
    (child,) = instance.get_runs(dg.RunsFilter(job_name="double"))
    assert child.tags[tags.PARENT_RUN] == summary["run_id"]
    assert child.status is dg.DagsterRunStatus.SUCCESS
    said = [e.user_message for e in instance.all_logs(summary["run_id"]) if e.step_key == "call"]
    assert f"Runs the flow `double`: run {child.run_id}." in said
    assert any(f"The run {child.run_id} of `double`: success after " in line for line in said)


def test_called_flows_run_side_by_side(flows: Flows) -> None:
    double(flows)
    each = {"id": "each", "type": "logic.loop", "config": {"items": [1, 2, 3, 4]}}
    nodes = [
        MANUAL,
        each,
        call("double", params={"n": "{{ item }}"}),
        result("{{ input.results }}"),
    ]
    flows.write("f", nodes, ["start > each", "each.item > call", "each.done > end"])

    assert flows.run("f")["result"] == [2, 4, 6, 8]


def test_a_called_flow_that_fails_fails_the_call(flows: Flows) -> None:
    flows.write("bad", [MANUAL, breaks("node")], ["start > node"])
    flows.write("f", [MANUAL, call("bad")], ["start > call"])
    error = flows.run("f")["nodes"]["call"]["error"]

    assert error["code"] == "ChildFailed"
    assert "`node`" in error["message"]


def test_params_that_do_not_fit_the_called_flow_fail_the_call(flows: Flows) -> None:
    double(flows)
    flows.write("f", [MANUAL, call("double", params={"n": "{{ 'x' & '' }}"})], ["start > call"])
    error = flows.run("f")["nodes"]["call"]["error"]

    assert error["code"] == "InvalidParams"
    assert "params.n" in error["message"]


def test_a_flow_that_is_not_there_or_broken_fails_the_call(flows: Flows) -> None:
    names = value("name", "{{ params.name }}")
    params = {"type": "object", "properties": {"name": {"type": "string"}}}
    node = call("{{ params.name }}", max_depth=2)
    flows.write("f", [MANUAL, names, node], ["start > name", "name > call"], params=params)
    flows.write("broken", [{"id": "x", "type": "no.such"}], [])

    missing = flows.run("f", params={"name": "brokn"})["nodes"]["call"]["error"]
    assert missing["code"] == "UnknownFlow"
    assert "broken" in missing["message"]
    assert (
        flows.run("f", params={"name": "broken"})["nodes"]["call"]["error"]["code"] == "BrokenFlow"
    )


def test_a_flow_reaches_itself_as_deep_as_the_call_says(
    flows: Flows, instance: dg.DagsterInstance
) -> None:
    more = {"id": "more", "type": "logic.if", "config": {"condition": "{{ params.n > 0 }}"}}
    nodes = [MANUAL, more, call("f", params={"n": "{{ params.n - 1 }}"}, max_depth=3), result(1)]
    edges = ["start > more", "more.true > call", "call > end", "more.false > end"]
    flows.write("f", nodes, edges, params=DOUBLE)

    assert flows.run("f", params={"n": 2})["status"] == "success"
    assert instance.get_runs_count() == 3
    deep = flows.run("f", params={"n": 5})
    assert "MaxDepth" in deep["nodes"]["call"]["error"]["message"]


def test_on_failure_starts_the_other_flow_once(flows: Flows, instance: dg.DagsterInstance) -> None:
    fields = {name: f"{{{{ params.{name} }}}}" for name in ("flow", "run_id", "node")}
    params = {
        "type": "object",
        "properties": {
            "flow": {"type": "string"},
            "run_id": {"type": "string"},
            "node": {"type": ["string", "null"]},
            "error": {"type": "object"},
        },
    }
    seen = result({**fields, "code": "{{ trigger.payload.error.code }}"})
    flows.write("alarm", [MANUAL, seen], ["start > end"], params=params)
    flows.write("f", [MANUAL, breaks("bad")], ["start > bad"], on_failure="alarm")
    summary = flows.run("f")

    (alarm,) = instance.get_runs(dg.RunsFilter(job_name="alarm"))
    assert alarm.status is dg.DagsterRunStatus.SUCCESS
    assert alarm.tags[tags.FAILURE_OF] == summary["run_id"]
    assert alarm.run_config["params"] == {
        "flow": "f",
        "run_id": summary["run_id"],
        "node": "bad",
        "error": summary["nodes"]["bad"]["error"],
    }


def test_on_failure_gets_only_the_params_that_a_closed_schema_has(
    flows: Flows, instance: dg.DagsterInstance
) -> None:
    params = {
        "type": "object",
        "properties": {"node": {"type": ["string", "null"]}},
        "additionalProperties": False,
    }
    flows.write("alarm", [MANUAL], [], params=params)
    flows.write("f", [MANUAL, breaks("bad")], ["start > bad"], on_failure="alarm")
    flows.run("f")

    (alarm,) = instance.get_runs(dg.RunsFilter(job_name="alarm"))
    assert alarm.run_config["params"] == {"node": "bad"}


def test_a_run_that_no_node_failed_has_an_error_too(
    flows: Flows, instance: dg.DagsterInstance
) -> None:
    flows.write("alarm", [MANUAL], [])
    endless = value("endless", 1, until={"condition": "{{ false }}"})
    flows.write("f", [MANUAL, endless], ["start > endless"], on_failure="alarm", timeout=0.3)
    flows.run("f")

    (alarm,) = instance.get_runs(dg.RunsFilter(job_name="alarm"))
    assert alarm.run_config["params"]["node"] is None
    assert "timeout of 0.3 s" in alarm.run_config["params"]["error"]["message"]


@pytest.fixture
def lines() -> Lines:
    return Lines()


def begin(flows: Flows, instance: dg.DagsterInstance) -> tuple[DagsterChildRuns, Any, ChildCall]:
    """Return what runs flows for a parent run, that one as it is passed, and a call."""
    double(flows)
    flows.write("f", [MANUAL], [])
    parent = instance.get_run_by_id(flows.run("f")["run_id"])
    assert parent is not None
    run = SimpleNamespace(plan=flows.plan("f"), stop=Event())
    return (
        DagsterChildRuns(flows.project, instance, parent),
        run,
        ChildCall("double", {"n": 21}, None, "a" * 64),
    )


def test_a_child_run_that_ended_before_its_parent_was_killed_gives_its_result(
    flows: Flows, instance: dg.DagsterInstance, lines: Any
) -> None:
    children, parent, call = begin(flows, instance)
    assert children.begun(call.token) is None
    assert children.run_flow(call, parent, log=lines) == 42
    begun = children.begun(call.token)

    assert begun is not None
    assert children.go_on(call, begun, parent, log=lines) == 42
    assert instance.get_runs_count(dg.RunsFilter(job_name="double")) == 1


def test_a_child_run_that_somebody_does_anew_is_another_one(
    flows: Flows, instance: dg.DagsterInstance, lines: Any
) -> None:
    children, parent, call = begin(flows, instance)
    children.run_flow(call, parent, log=lines)
    begun = children.begun(call.token)
    assert begun is not None
    retry_flow(flows.project, flows.plan("double"), begun, whole=True)

    assert children.begun(call.token) == begun


def test_a_child_run_that_was_canceled_is_gone_on_with(
    flows: Flows, instance: dg.DagsterInstance, lines: Any
) -> None:
    children, parent, call = begin(flows, instance)
    new = NewRun(config={"params": {"n": 4}}, tags={tags.CALL: call.token})
    job = job_for(flows.plan("double"), flows.project)
    instance.report_run_canceled(create_run(instance, job, new))
    begun = children.begun(call.token)
    assert begun is not None

    assert children.go_on(call, begun, parent, log=lines) == 8
    (again, first) = instance.get_runs(dg.RunsFilter(job_name="double"))
    assert again.parent_run_id == first.run_id == begun


def test_a_call_whose_child_run_was_canceled_may_have_done_something() -> None:
    summary = {"run_id": "r", "status": "canceled", "nodes": {}}
    with pytest.raises(NodeError) as error:
        _result("double", summary)
    assert (error.value.code, error.value.unsure) == ("ChildCanceled", True)


def test_a_child_run_that_was_recorded_and_never_began_goes_on(
    flows: Flows, instance: dg.DagsterInstance, lines: Any
) -> None:
    children, parent, call = begin(flows, instance)
    new = NewRun(config={"params": {"n": 4}}, tags={tags.CALL: call.token})
    left = create_run(instance, job_for(flows.plan("double"), flows.project), new)
    instance.add_run_tags(left.run_id, {tags.IN_PROCESS: this_process().rpartition(":")[0] + ":0"})

    assert children.go_on(call, left.run_id, parent, log=lines) == 8
    now = instance.get_run_by_id(left.run_id)
    assert now is not None
    assert now.status is dg.DagsterRunStatus.FAILURE
