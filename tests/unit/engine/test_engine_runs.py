"""Flows run as Dagster runs, by the rules of "When a node runs"."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
import pytest

from cloudflow_dagster.engine.run_flow import CannotStart, run_flow
from cloudflow_dagster.project import Project
from tests.unit.engine.conftest import Flows, breaks, statuses, value

MANUAL = {"id": "start", "type": "trigger.manual"}


def if_(id: str, condition: str) -> dict[str, object]:
    return {"id": id, "type": "logic.if", "config": {"condition": condition}}


def test_a_branch_that_is_not_taken_is_skipped_and_joins_again(flows: Flows) -> None:
    flows.write(
        "f",
        [
            MANUAL,
            if_("ask", "{{ params.n > 1 }}"),
            value("yes", "y"),
            value("no", "n"),
            value("after_no", 1),
            {"id": "end", "type": "flow.result", "config": {"value": "{{ input }}"}},
        ],
        [
            "start > ask",
            "ask.true > yes",
            "ask.false > no",
            "no > after_no",
            "yes > end",
            "after_no > end",
        ],
        params={"type": "object", "properties": {"n": {"type": "integer", "default": 2}}},
    )
    summary = flows.run("f")

    assert summary["status"] == "success"
    assert summary["result"] == "y"
    assert statuses(summary) == {
        "start": "success",
        "ask": "success",
        "yes": "success",
        "no": "skipped",
        "after_no": "skipped",
        "end": "success",
    }
    assert ("no", "skipped") in flows.told
    assert ("end", "success") in flows.told
    assert flows.run("f", params={"n": 1})["result"] == 1


def test_a_failure_fails_the_run_and_independent_branches_are_finished(flows: Flows) -> None:
    flows.write(
        "f",
        [MANUAL, breaks("bad"), value("after_bad", 1), value("good", 1), value("join", 1)],
        ["start > bad", "bad > after_bad", "start > good", "after_bad > join", "good > join"],
    )
    summary = flows.run("f")

    assert summary["status"] == "failure"
    assert statuses(summary) == {
        "start": "success",
        "bad": "failure",
        "after_bad": "not_run",
        "good": "success",
        "join": "not_run",
    }
    assert summary["nodes"]["bad"]["error"]["code"]
    assert ("bad", "failure") in flows.told


def test_a_failure_beside_a_skipped_branch_ends(flows: Flows) -> None:
    flows.write(
        "f",
        [
            MANUAL,
            if_("ask", "{{ false }}"),
            value("taken", 1),
            value("not_taken", 1),
            breaks("bad"),
            value("join", 1),
        ],
        [
            "start > ask",
            "ask.true > not_taken",
            "ask.false > taken",
            "taken > bad",
            "bad > join",
            "not_taken > join",
        ],
    )

    assert statuses(flows.run("f"))["join"] == "not_run"


def test_a_caught_failure_goes_on_at_the_error_port(
    flows: Flows, instance: dg.DagsterInstance
) -> None:
    flows.write(
        "f",
        [
            MANUAL,
            breaks("bad"),
            value("rest", 1),
            {"id": "end", "type": "flow.result", "config": {"value": "{{ input.node }}"}},
        ],
        ["start > bad", "bad > rest", "bad.error > end"],
    )
    summary = flows.run("f")

    assert summary["status"] == "success"
    assert summary["result"] == "bad"
    assert statuses(summary)["bad"] == "failure"
    assert statuses(summary)["rest"] == "skipped"
    shown = _metadata(instance, summary["run_id"], "bad")
    assert "failure caught" in shown
    assert shown["error"].value["node"] == "bad"


def test_on_error_continue_goes_on_with_null(flows: Flows) -> None:
    flows.write(
        "f",
        [
            MANUAL,
            breaks("bad", on_error="continue"),
            {"id": "end", "type": "flow.result", "config": {"value": {"v": "{{ nodes.bad }}"}}},
        ],
        ["start > bad", "bad > end"],
    )
    summary = flows.run("f")

    assert summary["status"] == "success"
    assert summary["result"] == {"v": None}
    assert summary["nodes"]["bad"]["error"]["node"] == "bad"


def test_a_disabled_node_hands_on_what_came_in(flows: Flows) -> None:
    flows.write(
        "f",
        [
            MANUAL,
            value("one", 1),
            breaks("off", disabled=True),
            {"id": "end", "type": "flow.result", "config": {"value": "{{ input }}"}},
        ],
        ["start > one", "one > off", "off > end"],
    )

    assert flows.run("f")["result"] == 1


def test_only_the_trigger_of_the_run_delivers(flows: Flows) -> None:
    flows.write(
        "f",
        [
            {"id": "cron", "type": "trigger.cron", "config": {"schedule": "0 0 * * *"}},
            MANUAL,
            value("by_cron", 1),
            value("by_hand", "{{ trigger.payload.x }}"),
            value("without_edge", 1),
        ],
        ["cron > by_cron", "start > by_hand"],
        params={"type": "object", "properties": {"x": {"type": "integer"}}},
    )
    summary = flows.run("f", params={"x": 7})

    assert statuses(summary) == {
        "cron": "skipped",
        "start": "success",
        "by_cron": "skipped",
        "by_hand": "success",
        "without_edge": "success",
    }
    assert summary["nodes"]["by_hand"]["output"] == 7


def test_names_that_dagster_refuses_are_allowed(flows: Flows) -> None:
    nodes = [MANUAL, *(value(n, n) for n in ("input", "type", "config", "class"))]
    flows.write(
        "input", nodes, ["start > input", "input > type", "type > config", "config > class"]
    )
    summary = flows.run("input")

    assert summary["status"] == "success"
    assert summary["nodes"]["class"]["output"] == "class"


def test_ports_that_dagster_refuses_are_allowed(flows: Flows) -> None:
    cases = [{"name": name, "when": "{{ true }}"} for name in ("input", "type", "None")]
    flows.write(
        "f",
        [
            MANUAL,
            {"id": "pick", "type": "logic.switch", "config": {"cases": cases}},
            value("a", 1),
            value("b", 1),
        ],
        ["start > pick", "pick.input > a", "pick.type > b"],
    )
    summary = flows.run("f")

    assert statuses(summary)["a"] == "success"
    assert statuses(summary)["b"] == "skipped"


def test_inputs_and_outputs_are_shown_in_dagster(
    flows: Flows, instance: dg.DagsterInstance
) -> None:
    flows.write(
        "f",
        [
            MANUAL,
            value("one", {"a": 1}),
            value("two", "{{ input.a + 1 }}"),
            value("big", "{{ $pad('', 30000, 'x') }}"),
        ],
        ["start > one", "one > two", "one > big"],
    )
    run_id = flows.run("f")["run_id"]

    shown = _metadata(instance, run_id, "two")
    assert shown["input"].value == {"a": 1}
    assert shown["output"].value == {"value": 2}
    assert len(str(_metadata(instance, run_id, "big")["output"].value)) < 25_000


def test_a_branch_that_nobody_follows_says_so_in_words_and_what_was_given(
    flows: Flows, instance: dg.DagsterInstance
) -> None:
    flows.write(
        "f",
        [MANUAL, value("one", "seen"), if_("ask", "{{ false }}"), value("yes", 1)],
        ["start > one", "one > ask", "ask.true > yes"],
    )
    run_id = flows.run("f")["run_id"]

    said = [e.user_message for e in instance.all_logs(run_id) if e.step_key == "ask"]
    assert "`false`: nothing is connected to that port." in said
    (told,) = (line for line in said if line.startswith("Nothing goes on from here"))
    assert told.splitlines()[1:] == ['input: {"value": "seen"}', 'output: {"value": "seen"}']


def test_a_run_is_listed_under_its_job(flows: Flows, instance: dg.DagsterInstance) -> None:
    flows.write("f", [MANUAL], [], tags={"team": "ops"})
    run = instance.get_run_by_id(flows.run("f")["run_id"])

    assert run is not None
    assert run.tags["team"] == "ops"
    assert run.remote_job_origin is not None
    label = {".dagster/repository": "__repository__@cloudflow"}
    assert instance.get_runs_count(dg.RunsFilter(tags=label)) == 1


def test_a_flow_outside_the_folder_runs_and_is_not_listed(
    flows: Flows, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    flows.write("f", [MANUAL], []).rename(tmp_path / "f.json")
    from cloudflow_dagster.compiler.pipeline import compile_flow

    plan = compile_flow(tmp_path / "f.json", project=flows.project)
    summary = run_flow(flows.project, plan)

    run = instance.get_run_by_id(str(summary["run_id"]))
    assert summary["status"] == "success"
    assert run is not None
    assert run.remote_job_origin is None


def test_params_that_do_not_fit_are_refused_before_anything_runs(
    flows: Flows, instance: dg.DagsterInstance
) -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer", "minimum": 3}, "s": {"type": "string"}},
        "required": ["s"],
    }
    flows.write("f", [MANUAL], [], params=schema)

    with pytest.raises(CannotStart, match=r"params\.n: 1 is less than the minimum"):
        flows.run("f", params={"n": 1, "s": "x"})
    with pytest.raises(CannotStart, match=r"(?s)'s' is a required property.*`--param s=…`"):
        flows.run("f")
    assert instance.get_runs_count() == 0


def test_large_whole_numbers_stay_exact(flows: Flows) -> None:
    flows.write(
        "f",
        [MANUAL, {"id": "end", "type": "flow.result", "config": {"value": "{{ params.n }}"}}],
        ["start > end"],
        params={"type": "object", "properties": {"n": {"type": "number"}}},
    )

    assert flows.run("f", params={"n": 2**53 + 1})["result"] == 2**53 + 1


def test_pins_stand_for_the_work_in_a_pinned_run_alone(flows: Flows) -> None:
    flows.write(
        "f",
        [
            MANUAL,
            breaks("bad", pin={"a": 1}),
            {"id": "end", "type": "flow.result", "config": {"value": "{{ nodes.bad.a }}"}},
        ],
        ["start > bad", "bad > end"],
    )

    assert flows.run("f")["status"] == "failure"
    assert flows.run("f", pinned=True)["result"] == 1


def test_one_node_runs_alone_with_what_an_earlier_run_gave(flows: Flows) -> None:
    nodes = [MANUAL, value("one", 20), value("two", "{{ nodes.one + 1 }}"), value("three", 1)]
    flows.write("f", nodes, ["start > one", "one > two", "two > three"])
    first = flows.run("f")
    summary = flows.run("f", only="two", earlier=first["run_id"])

    assert summary["status"] == "success"
    assert summary["nodes"]["two"]["output"] == 21
    assert statuses(summary)["three"] == "not_run"
    with pytest.raises(CannotStart, match="neither a pin nor an output"):
        flows.run("f", only="two")
    with pytest.raises(CannotStart, match="no run `nonsense`"):
        flows.run("f", only="two", earlier="nonsense")


def test_a_loop_runs_alone(flows: Flows) -> None:
    flows.write(
        "f",
        [
            MANUAL,
            value("list", [1, 2], pin=[5, 6, 7]),
            {"id": "each", "type": "logic.loop", "config": {"items": "{{ nodes.list }}"}},
            value("twice", "{{ item * 2 }}"),
        ],
        ["start > list", "list > each", "each.item > twice"],
    )
    summary = flows.run("f", only="each", pinned=True)

    assert summary["nodes"]["each"]["output"]["results"] == [10, 12, 14]


def test_a_run_that_takes_too_long_fails(flows: Flows) -> None:
    flows.write(
        "f",
        [MANUAL, value("endless", 1, until={"condition": "{{ false }}"})],
        ["start > endless"],
        timeout=0.5,
    )
    summary = flows.run("f")

    assert summary["status"] == "failure"
    assert statuses(summary)["endless"] == "canceled"


def test_what_a_run_did_is_in_the_history(
    flows: Flows, project: Project, instance: dg.DagsterInstance
) -> None:
    flows.write("f", [MANUAL, breaks("bad")], ["start > bad"])
    run_id = flows.run("f")["run_id"]

    record = instance.get_run_record_by_id(run_id)
    assert record is not None
    assert record.dagster_run.status is dg.DagsterRunStatus.FAILURE
    failure = next(
        e
        for e in instance.all_logs(run_id)
        if e.is_dagster_event and e.get_dagster_event().is_step_failure
    )
    assert "bad" in str(json.dumps(str(failure)))


def _metadata(instance: dg.DagsterInstance, run_id: str, step: str) -> dict[str, dg.MetadataValue]:
    found: dict[str, dg.MetadataValue] = {}
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_OUTPUT):
        if entry.step_key == step:
            found |= entry.get_dagster_event().step_output_data.metadata
    return found
