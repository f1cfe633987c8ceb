"""What Dagster's pages tell of the nodes in a loop's body, which have no ops of their own."""

from __future__ import annotations

import json
from typing import Any

import dagster as dg
import pytest

from cloudflow_dagster.engine.jobs import job_for
from cloudflow_dagster.project import find_project
from tests.unit.engine.conftest import Flows, breaks, value

MANUAL = {"id": "start", "type": "trigger.manual"}
EDGES = ["start > each", "each.item > first", "first > second"]


def loop(id: str = "each", items: Any = "{{ [10, 20] }}", **config: Any) -> dict[str, Any]:
    return {"id": id, "type": "logic.loop", "config": {"items": items, **config}}


def told(instance: dg.DagsterInstance, run_id: str) -> dict[str, dict[str, Any]]:
    """Return the metadata of each step that ran items, as plain values."""
    kinds = {dg.DagsterEventType.STEP_OUTPUT, dg.DagsterEventType.STEP_FAILURE}
    found: dict[str, dict[str, Any]] = {}
    for entry in instance.all_logs(run_id, of_type=kinds):
        event = entry.get_dagster_event()
        if "__item" not in str(entry.step_key):
            continue
        if event.event_type is dg.DagsterEventType.STEP_OUTPUT:
            metadata = event.step_output_data.metadata
        else:
            failure = event.step_failure_data.user_failure_data
            metadata = failure.metadata if failure else {}
        found[str(entry.step_key)] = {name: value.value for name, value in metadata.items()}
    return found


def test_the_op_of_the_items_names_the_nodes_of_the_body(flows: Flows) -> None:
    first = value("first", "{{ item }}", label="Twice", notes="Because once\nis not enough.")
    inner = loop("inner", "{{ [1] }}")
    edges = ["start > each", "each.item > first", "first > inner", "inner.item > deep"]
    flows.write("f", [MANUAL, loop(), first, inner, value("deep", 1)], edges)
    job = job_for(flows.plan("f"), flows.project)

    description = job.graph.node_named("each__item").definition.description
    assert description is not None
    assert description.splitlines() == [
        "For each item: `first`, `inner`",
        "",
        "- `first` generic.transform: Twice. Because once is not enough",
        "- `inner` logic.loop",
        "  - `deep` generic.transform",
        "",
        "logic.loop",
    ]


def test_a_label_comes_before_the_nodes(flows: Flows) -> None:
    flows.write("f", [MANUAL, {**loop(), "label": "Every volume"}, value("first", 1)], EDGES[:2])
    description = job_for(flows.plan("f"), flows.project).graph.node_named("each__item").definition
    assert (description.description or "").startswith("Every volume\n\nFor each item: `first`")


def test_two_loops_with_different_bodies_have_different_descriptions(flows: Flows) -> None:
    flows.write("f", [MANUAL, loop(), value("first", 1)], EDGES[:2])
    flows.write("g", [MANUAL, loop(), value("other", 1)], ["start > each", "each.item > other"])
    bodies = {
        job_for(flows.plan(id), flows.project).graph.node_named("each__item").definition.description
        for id in ("f", "g")
    }
    assert len(bodies) == 2


def test_the_step_of_an_item_shows_what_its_nodes_got_and_gave(
    flows: Flows, instance: dg.DagsterInstance
) -> None:
    nodes = [MANUAL, loop(), value("first", "{{ item + 1 }}"), value("second", "{{ input * 2 }}")]
    flows.write("f", nodes, EDGES)
    shown = told(instance, flows.run("f")["run_id"])

    assert shown["each__item[0]"] == {
        "items": 1,
        "nodes": "first: success, second: success",
        "item 0": {
            "item": 10,
            "nodes": {
                "first": {"status": "success", "input": 10, "output": 11},
                "second": {"status": "success", "input": 11, "output": 22},
            },
        },
    }
    assert shown["each__item[1]"]["item 1"]["nodes"]["second"]["output"] == 42


def test_an_item_that_failed_shows_which_node_and_why(
    flows: Flows, instance: dg.DagsterInstance
) -> None:
    flows.write("f", [MANUAL, loop(concurrency=1), breaks("first"), value("second", 1)], EDGES)
    shown = told(instance, flows.run("f")["run_id"])
    nodes = shown["each__item[0]"]["item 0"]["nodes"]
    assert nodes["first"]["status"] == "failure"
    assert nodes["first"]["error"]["code"] == "ExpressionError"
    assert nodes["second"] == {"status": "not_run"}


def test_of_many_items_the_first_and_the_failed_ones_are_shown(
    flows: Flows, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloudflow_dagster.runtime.loops.MOST_RANGES", 2)
    body = value("first", "{{ item in [7, 30] ? $error('no') : item }}")
    each = loop(items="{{ [1..40] }}", on_item_error="collect")
    flows.write("f", [MANUAL, each, body], EDGES[:2])
    shown = told(instance, flows.run("f")["run_id"])

    assert [n for n in shown["each__item[0_19]"] if n.startswith("item ")] == [
        "item 0",
        "item 1",
        "item 2",
        "item 6",
    ]
    assert "item 29" in shown["each__item[20_39]"]


def test_large_values_are_cut_and_all_of_them_are_bounded(
    flows: Flows, instance: dg.DagsterInstance
) -> None:
    each = loop(items="{{ [$join([1..9000].('é-' & $))] }}")
    many = [value(f"n{i}", "{{ item }}") for i in range(40)]
    edges = ["start > each", *(f"each.item > n{i}" for i in range(40))]
    flows.write("f", [MANUAL, each, *many], edges)
    shown = told(instance, flows.run("f")["run_id"])["each__item[0]"]
    assert len(json.dumps(shown["item 0"], ensure_ascii=False)) < 25_000
    assert shown["item 0"]["item"].endswith(" …")
    assert shown["item 0"]["nodes"]["n39"]["status"] == "success"


def test_a_secret_is_not_shown_although_it_was_known_only_after_it_was_stored(
    flows: Flows, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ITEM_TOKEN", "canary-4711-xyzzy")
    (flows.project.root / "cloudflow.yaml").write_text("secrets:\n  token: {env: ITEM_TOKEN}\n")
    flows.project = find_project(flows.project.root)
    ask = {
        "id": "first",
        "type": "generic.http.request",
        "config": {
            "url": "http://127.0.0.1:9/{{ item }}",
            "headers": {"x": "{{ $secret('token') }}"},
        },
    }
    flows.write("f", [MANUAL, loop(items="{{ ['canary-4711-xyzzy'] }}"), ask], EDGES[:2])
    shown = told(instance, flows.run("f")["run_id"])["each__item[0]"]
    assert shown["item 0"]["item"] == "***"
    assert "canary-4711" not in json.dumps(shown)
