"""Every sentence of "When a node runs"."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from cloudflow_dagster.nodes.errors import Canceled, NodeError


def fails(code: str = "Boom", **more: Any) -> Any:
    def work(call: Any, config: dict[str, Any]) -> Any:
        raise NodeError(code, "It broke.", **more)

    return work


def test_nodes_run_in_order_and_see_what_came_in(stage: Any) -> None:
    played = stage.flow(
        {"id": "a", "config": {"value": 1}},
        {"id": "b", "config": {"value": "{{ input + 1 }}"}},
        {"id": "c", "config": {"value": "{{ nodes.a + nodes.b }}"}},
        edges=["a -> b", "b -> c"],
    )
    assert played.summary["status"] == "success"
    assert [played.output(id) for id in "abc"] == [1, 2, 3]


def test_a_run_starts_at_one_trigger_and_the_others_do_not_deliver(stage: Any) -> None:
    played = stage.flow(
        {"id": "by_hand", "type": "trigger.manual"},
        {"id": "night", "type": "trigger.cron", "config": {"schedule": "0 2 * * *"}},
        {"id": "a"},
        {"id": "b"},
        edges=["by_hand -> a", "night -> b"],
    )
    assert played.statuses == {
        "by_hand": "success",
        "night": "skipped",
        "a": "success",
        "b": "skipped",
    }
    assert played.output("by_hand")["payload"] == {"size": 3}


def test_nodes_without_an_edge_into_them_start_with_the_run(stage: Any) -> None:
    played = stage.flow(
        {"id": "by_hand", "type": "trigger.manual"},
        {"id": "alone", "config": {"value": 1}},
        {"id": "a"},
        edges=["by_hand -> a"],
    )
    assert played.statuses["alone"] == "success"


def test_a_branch_that_is_not_taken_is_skipped_with_what_hangs_on_it(stage: Any) -> None:
    played = stage.flow(
        {"id": "a", "config": {"value": 5}},
        {"id": "big", "type": "logic.if", "config": {"condition": "{{ nodes.a > 3 }}"}},
        {"id": "yes"},
        {"id": "no"},
        {"id": "after_no"},
        edges=["a -> big", "big.true -> yes", "big.false -> no", "no -> after_no"],
    )
    assert played.statuses == {
        "a": "success",
        "big": "success",
        "yes": "success",
        "no": "skipped",
        "after_no": "skipped",
    }
    assert stage.called("no") == 0


def test_branches_join_again_without_a_special_node(stage: Any) -> None:
    played = stage.flow(
        {"id": "way", "type": "test.pick", "config": {"port": "right"}},
        {"id": "l"},
        {"id": "r", "config": {"value": "from r"}},
        {"id": "join", "config": {"value": "{{ input }}"}},
        edges=["way.left -> l", "way.right -> r", "l -> join", "r -> join"],
    )
    assert played.statuses["l"] == "skipped"
    assert played.output("join") == "from r"


def test_what_hangs_on_skipped_nodes_alone_is_skipped(stage: Any) -> None:
    played = stage.flow(
        {"id": "way", "type": "test.pick", "config": {"port": "right"}},
        {"id": "x"},
        {"id": "y"},
        {"id": "join"},
        edges=["way.left -> x", "way.left -> y", "x -> join", "y -> join"],
    )
    assert played.statuses["join"] == "skipped"


def test_a_node_waits_until_every_edge_into_it_is_decided(stage: Any) -> None:
    slow_done = threading.Event()

    def slow(call: Any, config: Any) -> Any:
        assert fast_done.wait(10)
        slow_done.set()
        return "slow"

    fast_done = threading.Event()
    stage.on["slow"] = slow
    stage.on["fast"] = lambda call, config: fast_done.set()
    stage.on["join"] = lambda call, config: slow_done.is_set()
    played = stage.flow(
        {"id": "slow"}, {"id": "fast"}, {"id": "join"}, edges=["slow -> join", "fast -> join"]
    )
    assert played.output("join") is True


def test_independent_branches_run_at_the_same_time(stage: Any) -> None:
    together = threading.Barrier(5, timeout=10)
    names = [f"n{n}" for n in range(5)]
    for name in names:
        stage.on[name] = lambda call, config: together.wait() >= 0
    played = stage.flow(
        {"id": "start"},
        *({"id": name} for name in names),
        edges=[f"start -> {name}" for name in names],
    )
    assert set(played.statuses.values()) == {"success"}


def test_branches_that_come_later_run_beside_those_that_go_on(stage: Any) -> None:
    """`slow` runs while `a`, `b` and `c` follow each other."""
    reached = threading.Event()
    stage.on["slow"] = lambda call, config: reached.wait(10)
    stage.on["c"] = lambda call, config: reached.set()
    played = stage.flow(
        {"id": "slow"}, {"id": "a"}, {"id": "b"}, {"id": "c"}, edges=["a -> b", "b -> c"]
    )
    assert played.output("slow") is True


def test_a_disabled_edge_does_not_deliver(stage: Any) -> None:
    plan = stage.plan({"id": "a"}, {"id": "b"}, {"id": "c"}, edges=["a -> b", "b -> c"])
    assert [edge.source for edge in plan.step("c").inputs] == ["b"]
    data = {"version": 1, "id": "f", "nodes": [{"id": i, "type": "test.do"} for i in "ab"]}
    from cloudflow_dagster.compiler.pipeline import compile_flow
    from cloudflow_dagster.flow.model import Flow

    edge = {"source": "a", "target": "b", "disabled": True}
    flow = Flow.model_validate({**data, "edges": [edge]})
    played = stage.play(compile_flow(flow, registry=stage.registry))
    assert played.statuses == {"a": "success", "b": "success"}
    assert stage.calls[-1].call.input is None


class TestFailure:
    def test_the_run_fails_and_independent_branches_are_finished(self, stage: Any) -> None:
        stage.on["bad"] = fails()
        played = stage.flow(
            {"id": "start"},
            {"id": "bad"},
            {"id": "after_bad"},
            {"id": "good"},
            {"id": "after_good"},
            edges=["start -> bad", "bad -> after_bad", "start -> good", "good -> after_good"],
        )
        assert played.summary["status"] == "failure"
        assert played.statuses == {
            "start": "success",
            "bad": "failure",
            "after_bad": "not_run",
            "good": "success",
            "after_good": "success",
        }
        assert played.error("bad") == {
            "node": "bad",
            "code": "Boom",
            "message": "It broke.",
            "provider_request_id": None,
            "attempts": 1,
        }

    def test_nothing_downstream_runs_even_if_another_edge_delivered(self, stage: Any) -> None:
        stage.on["bad"] = fails()
        played = stage.flow(
            {"id": "bad"},
            {"id": "good"},
            {"id": "join"},
            {"id": "after"},
            edges=["bad -> join", "good -> join", "join -> after"],
        )
        assert played.statuses["join"] == "not_run"
        assert played.statuses["after"] == "not_run"
        assert stage.called("join") == 0

    def test_a_failure_beside_a_skipped_branch_is_no_problem(self, stage: Any) -> None:
        stage.on["bad"] = fails()
        played = stage.flow(
            {"id": "way", "type": "test.pick", "config": {"port": "left"}},
            {"id": "bad"},
            {"id": "skipped"},
            {"id": "join"},
            {"id": "after_skipped"},
            edges=[
                "way.left -> bad",
                "way.right -> skipped",
                "bad -> join",
                "skipped -> join",
                "skipped -> after_skipped",
            ],
        )
        assert played.statuses == {
            "way": "success",
            "bad": "failure",
            "skipped": "skipped",
            "join": "not_run",
            "after_skipped": "skipped",
        }

    def test_an_error_edge_carries_the_error_and_the_run_may_succeed(self, stage: Any) -> None:
        stage.on["bad"] = fails("Denied", provider_request_id="req-1")
        played = stage.flow(
            {"id": "bad"},
            {"id": "cure", "config": {"value": "{{ input }}"}},
            {"id": "out"},
            edges=["bad.error -> cure", "bad -> out"],
        )
        assert played.summary["status"] == "success"
        assert played.statuses == {"bad": "failure", "cure": "success", "out": "skipped"}
        assert played.output("cure") == {
            "node": "bad",
            "code": "Denied",
            "message": "It broke.",
            "provider_request_id": "req-1",
            "attempts": 1,
        }

    def test_after_a_failure_the_node_is_absent(self, stage: Any) -> None:
        stage.on["bad"] = fails()
        played = stage.flow(
            {"id": "bad"},
            {"id": "cure", "config": {"value": "{{ $exists(nodes.bad) }}", "x": "{{ nodes.bad }}"}},
            edges=["bad.error -> cure"],
        )
        assert played.output("cure") is False
        assert "x" not in stage.calls[-1].config

    def test_the_error_port_of_a_node_that_succeeded_does_not_deliver(self, stage: Any) -> None:
        played = stage.flow({"id": "a"}, {"id": "cure"}, edges=["a.error -> cure"])
        assert played.statuses["cure"] == "skipped"

    def test_the_other_ports_of_a_node_that_failed_do_not_deliver(self, stage: Any) -> None:
        stage.on["bad"] = fails()
        played = stage.flow(
            {"id": "bad"},
            {"id": "cure"},
            {"id": "by_out"},
            {"id": "by_field"},
            edges=["bad.error -> cure", "bad.out -> by_out", "bad.a -> by_field"],
        )
        assert played.statuses["by_out"] == played.statuses["by_field"] == "skipped"

    def test_on_error_continue_gives_null_and_delivers_out(self, stage: Any) -> None:
        stage.on["bad"] = fails()
        played = stage.flow(
            {"id": "bad", "on_error": "continue"},
            {"id": "next", "config": {"value": "{{ nodes.bad = null and $exists(nodes.bad) }}"}},
            {"id": "by_field"},
            edges=["bad -> next", "bad.a -> by_field"],
        )
        assert played.summary["status"] == "success"
        assert played.statuses == {"bad": "failure", "next": "success", "by_field": "skipped"}
        assert played.output("next") is True
        assert stage.calls[-1].call.input is None
        assert played.error("bad")["code"] == "Boom"

    def test_on_error_continue_wins_over_an_error_edge(self, stage: Any) -> None:
        from cloudflow_dagster.plan import Plan

        stage.on["bad"] = fails()
        plan = stage.plan(
            {"id": "bad"},
            {"id": "next"},
            {"id": "cure"},
            edges=["bad -> next", "bad.error -> cure"],
        )
        data = plan.model_dump()
        data["steps"][0]["on_error"] = "continue"
        assert data["steps"][0]["id"] == "bad"
        played = stage.play(Plan.model_validate(data))
        assert played.statuses == {"bad": "failure", "next": "success", "cure": "skipped"}

    def test_a_condition_that_fails_takes_no_branch(self, stage: Any) -> None:
        played = stage.flow(
            {
                "id": "check",
                "type": "logic.if",
                "config": {"condition": "{{ $error('no') }}"},
                "on_error": "continue",
            },
            {"id": "yes"},
            {"id": "no"},
            edges=["check.true -> yes", "check.false -> no"],
        )
        assert played.statuses == {"check": "failure", "yes": "skipped", "no": "skipped"}

    def test_an_exception_of_the_handler_is_an_error_without_a_traceback(self, stage: Any) -> None:
        def broken(call: Any, config: Any) -> Any:
            return {}["missing"]

        stage.on["bad"] = broken
        played = stage.flow({"id": "bad"})
        assert played.error("bad")["code"] == "KeyError"
        assert played.error("bad")["message"] == "KeyError: 'missing'"

    def test_an_output_that_is_no_json_is_an_error(self, stage: Any) -> None:
        for value in (object(), float("nan"), {1, 2}):
            stage.on["bad"] = lambda call, config, value=value: value
            played = stage.flow({"id": "bad"})
            assert played.error("bad")["code"] == "InvalidOutput"

    def test_a_node_type_that_is_gone_is_an_error(self, stage: Any) -> None:
        from cloudflow_dagster.plan import Plan

        data = stage.plan({"id": "a"}).model_dump()
        data["steps"][0]["type"] = "test.gone"
        played = stage.play(Plan.model_validate(data))
        assert played.error("a")["code"] == "UnknownNodeType"


class TestPorts:
    def test_a_field_port_delivers_if_the_field_is_present(self, stage: Any) -> None:
        stage.on["make"] = lambda call, config: {"a": None, "c": 1}
        played = stage.flow(
            {"id": "make"},
            {"id": "by_a", "config": {"value": "{{ input }}"}},
            {"id": "by_b"},
            edges=["make.a -> by_a", "make.b -> by_b"],
        )
        assert played.statuses == {"make": "success", "by_a": "success", "by_b": "skipped"}
        assert played.output("by_a") is None

    def test_an_edge_into_a_config_field_feeds_it(self, stage: Any) -> None:
        stage.on["make"] = lambda call, config: {"a": 7}
        stage.flow(
            {"id": "make"}, {"id": "use", "config": {"other": 1}}, edges=["make.a -> use.size"]
        )
        assert stage.calls[-1].config == {"other": 1, "size": 7}
        assert stage.calls[-1].call.input == 7

    def test_a_condition_passes_on_what_came_in(self, stage: Any) -> None:
        played = stage.flow(
            {"id": "a", "config": {"value": {"n": 2**70}}},
            {"id": "check", "type": "logic.if", "config": {"condition": True}},
            {"id": "yes", "config": {"value": "{{ input }}"}},
            edges=["a -> check", "check.true -> yes"],
        )
        assert played.output("check") == played.output("yes") == {"n": 2**70}

    def test_a_switch_goes_on_at_the_first_case_that_holds(self, stage: Any) -> None:
        cases = [
            {"name": "huge", "when": "{{ input > 100 }}"},
            {"name": "big", "when": "{{ input > 10 }}"},
            {"name": "never", "when": "{{ $error('later cases are not evaluated') }}"},
        ]
        played = stage.flow(
            {"id": "a", "config": {"value": 50}},
            {"id": "way", "type": "logic.switch", "config": {"cases": cases}},
            *({"id": i} for i in ("h", "b", "n", "d")),
            edges=[
                "a -> way",
                "way.huge -> h",
                "way.big -> b",
                "way.never -> n",
                "way.default -> d",
            ],
        )
        assert {i: s for i, s in played.statuses.items() if s == "success"}.keys() == {
            "a",
            "way",
            "b",
        }

    @pytest.mark.parametrize(
        ("edges", "expected"),
        [
            (["one -> join"], 1),
            (["one -> join", "two -> join"], {"one": 1, "two": {"a": 2, "b": 3}}),
            (["two.a -> join", "two.b -> join"], {"two": {"a": 2, "b": 3}}),
            (["one -> join", "two.a -> join"], {"one": 1, "two": 2}),
            (["two -> join", "two -> join.extra"], {"a": 2, "b": 3}),
            (["one -> join", "no -> join"], 1),
        ],
    )
    def test_what_came_in(self, stage: Any, edges: list[str], expected: Any) -> None:
        stage.on["two"] = lambda call, config: {"a": 2, "b": 3}
        played = stage.flow(
            {"id": "one", "config": {"value": 1}},
            {"id": "two"},
            {"id": "way", "type": "test.pick", "config": {"port": "left"}},
            {"id": "no"},
            {"id": "join", "config": {"value": "{{ input }}"}},
            edges=[*edges, "way.right -> no"],
        )
        assert played.output("join") == expected
        assert next(c for c in stage.calls if c.node == "join").call.input == expected

    def test_a_handler_cannot_change_what_others_read(self, stage: Any) -> None:
        def spoil(call: Any, config: dict[str, Any]) -> Any:
            call.input["list"].append("spoilt")
            config["value"]["list"].append("spoilt")
            config["fixed"].append("spoilt")
            return None

        stage.on["spoil"] = spoil
        plan = stage.plan(
            {"id": "a", "config": {"value": {"list": [1]}}},
            {"id": "spoil", "config": {"value": "{{ nodes.a }}", "fixed": []}},
            {"id": "after", "config": {"value": "{{ nodes.a }}"}},
            edges=["a -> spoil", "spoil -> after"],
        )
        for _ in range(2):
            assert stage.play(plan).output("after") == {"list": [1]}
            assert len(stage.calls[-2].config["fixed"]) == 1


class TestDisabled:
    def test_a_disabled_node_hands_on_its_input(self, stage: Any) -> None:
        played = stage.flow(
            {"id": "a", "config": {"value": 4}},
            {"id": "off", "disabled": True},
            {"id": "b", "config": {"value": "{{ [input, nodes.off] }}"}},
            {"id": "c"},
            edges=["a -> off", "off -> b", "off.error -> c"],
        )
        assert stage.called("off") == 0
        assert played.output("b") == [4, 4]
        assert played.statuses["c"] == "skipped"

    def test_a_disabled_condition_goes_on_at_its_first_port(self, stage: Any) -> None:
        played = stage.flow(
            {"id": "a", "config": {"value": 4}},
            {"id": "off", "type": "logic.if", "config": {"condition": False}, "disabled": True},
            {"id": "yes", "config": {"value": "{{ input }}"}},
            {"id": "no"},
            edges=["a -> off", "off.true -> yes", "off.false -> no"],
        )
        assert played.output("yes") == 4
        assert played.statuses["no"] == "skipped"

    def test_a_disabled_node_that_nothing_came_into_is_skipped(self, stage: Any) -> None:
        played = stage.flow(
            {"id": "way", "type": "test.pick", "config": {"port": "left"}},
            {"id": "off", "disabled": True},
            {"id": "b"},
            edges=["way.right -> off", "off -> b"],
        )
        assert played.statuses["off"] == played.statuses["b"] == "skipped"

    def test_a_disabled_loop_hands_its_input_to_what_was_its_body(self, stage: Any) -> None:
        played = stage.flow(
            {"id": "a", "config": {"value": [1, 2]}},
            {
                "id": "each",
                "type": "logic.loop",
                "config": {"items": "{{ input }}"},
                "disabled": True,
            },
            {"id": "body", "config": {"value": "{{ input }}"}},
            {"id": "after"},
            edges=["a -> each", "each.item -> body", "each.done -> after"],
        )
        assert played.output("body") == [1, 2]
        assert played.statuses["after"] == "skipped"


class TestPinned:
    def test_a_pin_stands_for_the_output_and_nothing_is_called(self, stage: Any) -> None:
        plan = stage.plan(
            {"id": "a", "pin": {"a": 9}},
            {"id": "b", "config": {"value": "{{ nodes.a.a }}"}},
            {"id": "c"},
            edges=["a.a -> b", "a.b -> c"],
        )
        played = stage.play(plan, pinned=True)
        assert stage.called("a") == 0
        assert played.output("b") == 9
        assert played.statuses["c"] == "skipped"

    def test_a_pin_may_be_null(self, stage: Any) -> None:
        plan = stage.plan({"id": "a", "pin": None})
        played = stage.play(plan, pinned=True)
        assert stage.called("a") == 0
        assert played.nodes["a"] == {
            "status": "success",
            "output": None,
            "error": None,
            "attempts": 0,
        }

    def test_a_pinned_condition_still_decides_and_carries_its_pin(self, stage: Any) -> None:
        plan = stage.plan(
            {"id": "a", "config": {"value": 5}},
            {"id": "big", "type": "logic.if", "config": {"condition": "{{ input > 3 }}"}, "pin": 1},
            {"id": "yes", "config": {"value": "{{ input }}"}},
            {"id": "no"},
            edges=["a -> big", "big.true -> yes", "big.false -> no"],
        )
        played = stage.play(plan, pinned=True)
        assert played.output("yes") == 1
        assert played.statuses["no"] == "skipped"

    def test_pins_mean_nothing_in_other_runs(self, stage: Any) -> None:
        played = stage.flow({"id": "a", "pin": 9, "config": {"value": 1}})
        assert played.output("a") == 1

    def test_a_pinned_trigger_is_the_event(self, stage: Any) -> None:
        event = {"type": "trigger.manual", "time": "2020-01-01T00:00:00Z", "payload": {"x": 1}}
        plan = stage.plan(
            {"id": "start", "type": "trigger.manual", "pin": event},
            {"id": "a", "config": {"value": "{{ trigger.payload.x }}"}},
            edges=["start -> a"],
        )
        assert stage.play(plan, pinned=True).output("a") == 1

    def test_a_pinned_loop_gives_its_pin_and_does_not_run_its_body(self, stage: Any) -> None:
        plan = stage.plan(
            {
                "id": "each",
                "type": "logic.loop",
                "config": {"items": [1]},
                "pin": {"results": ["p"], "errors": [], "count": 1},
            },
            {"id": "body"},
            {"id": "after", "config": {"value": "{{ nodes.each.results }}"}},
            edges=["each.item -> body", "each.done -> after"],
        )
        played = stage.play(plan, pinned=True)
        assert stage.called("body") == 0
        assert played.output("after") == ["p"]


class TestStopping:
    def test_a_run_that_is_told_to_stop_starts_nothing_more(self, stage: Any) -> None:
        plan = stage.plan({"id": "a"}, {"id": "b"}, edges=["a -> b"])
        stop = threading.Event()
        stage.on["a"] = lambda call, config: stop.set()
        run = stage.run(plan, "stopped", stop=stop)
        from cloudflow_dagster.runtime.summary import summarise
        from cloudflow_dagster.runtime.whole import run_plan

        with pytest.raises(Canceled):
            run_plan(run, lambda _step, _indices: None)
        summary = summarise(plan, run.records)
        assert summary["status"] == "canceled"
        assert summary["nodes"]["a"]["status"] == "success"
        assert summary["nodes"]["b"]["status"] == "canceled"


def test_the_result_is_that_of_the_last_result_node_that_ran(stage: Any) -> None:
    nodes = [
        {"id": "way", "type": "test.pick", "config": {"port": "left"}},
        {"id": "first", "type": "flow.result", "config": {"value": "{{ 1 + 1 }}"}},
        {"id": "second", "type": "flow.result", "config": {"value": 3}},
        {"id": "third", "type": "flow.result", "config": {"value": 4}},
    ]
    edges = ["way.left -> first", "way.left -> second", "way.right -> third"]
    assert stage.flow(*nodes, edges=edges).summary["result"] == 3
    assert stage.flow({"id": "a"}).summary["result"] is None
