"""Retries, timeouts, `until`, tokens, and what a handler is given."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from cloudflow_dagster.flow.model import Retry
from cloudflow_dagster.nodes.errors import Canceled, NodeError
from cloudflow_dagster.runtime.outcome import Again, Done, Ending
from cloudflow_dagster.runtime.records import RecordKey
from cloudflow_dagster.runtime.retry import next_delay
from cloudflow_dagster.runtime.step import execute_step

BUSY = NodeError("Busy", "Later.")
OTHER = NodeError("Other", "Never.")


def retry(**fields: Any) -> Retry:
    return Retry.model_validate({"jitter": "none", "delay": 2, "max_attempts": 9, **fields})


class TestDelays:
    @pytest.mark.parametrize(
        ("backoff", "delays"),
        [
            ("constant", [2, 2, 2, 2]),
            ("linear", [2, 4, 6, 8]),
            ("exponential", [2, 4, 8, 16]),
        ],
    )
    def test_backoff(self, backoff: str, delays: list[float]) -> None:
        found = [
            next_delay(retry(backoff=backoff), BUSY, n, frozenset({"Busy"})) for n in range(1, 5)
        ]
        assert found == delays

    @pytest.mark.parametrize(
        ("jitter", "low", "high"), [("none", 8, 8), ("full", 0, 8), ("plus_minus", 6, 10)]
    )
    def test_jitter(self, jitter: str, low: float, high: float) -> None:
        for chance, expected in ((0.0, low), (1.0, high)):
            delay = next_delay(
                retry(jitter=jitter), BUSY, 3, frozenset({"Busy"}), lambda chance=chance: chance
            )
            assert delay == expected

    def test_no_delay_is_longer_than_a_day(self) -> None:
        rule = retry(delay=86_400, max_attempts=100)
        assert next_delay(rule, BUSY, 99, frozenset({"Busy"})) == 86_400

    def test_nothing_is_retried_without_being_asked(self) -> None:
        assert next_delay(None, BUSY, 1, frozenset({"Busy"})) is None

    def test_max_attempts_count_the_first_one(self) -> None:
        rule = retry(max_attempts=3, backoff="constant")
        transient = frozenset({"Busy"})
        assert next_delay(rule, BUSY, 2, transient) == 2
        assert next_delay(rule, BUSY, 3, transient) is None

    def test_without_on_the_transient_codes_of_the_node_type_count(self) -> None:
        assert next_delay(retry(), BUSY, 1, frozenset({"Busy"})) == 2
        assert next_delay(retry(), OTHER, 1, frozenset({"Busy"})) is None

    def test_an_error_may_know_better(self) -> None:
        assert next_delay(retry(), NodeError("X", "…", transient=True), 1) == 2
        busy = NodeError("Busy", "…", transient=False)
        assert next_delay(retry(), busy, 1, frozenset({"Busy"})) is None

    def test_on_says_which_codes_are_retried_and_no_others(self) -> None:
        rule = retry(on=["Other"])
        assert next_delay(rule, OTHER, 1, frozenset({"Busy"})) == 2
        assert next_delay(rule, BUSY, 1, frozenset({"Busy"})) is None
        assert next_delay(rule, NodeError("Other", "…", transient=False), 1) == 2

    def test_retry_after_wins_if_it_is_longer(self) -> None:
        for after, expected in ((1.0, 2), (30.0, 30)):
            error = NodeError("Busy", "…", retry_after=after)
            assert next_delay(retry(), error, 1, frozenset({"Busy"})) == expected

    def test_a_timeout_is_transient(self) -> None:
        assert next_delay(retry(), NodeError("Timeout", "…"), 1) == 2

    def test_until_timeout_is_never_retried(self) -> None:
        error = NodeError("UntilTimeout", "…")
        assert next_delay(retry(on=["UntilTimeout"]), error, 1) is None


class TestStep:
    def test_again_is_returned_while_attempts_are_left(self, stage: Any, log: Any) -> None:
        def work(call: Any, config: Any) -> Any:
            raise NodeError("Busy", "Later.", retry_after=7)

        stage.on["a"] = work
        plan = stage.plan({"id": "a", "retry": {"max_attempts": 2}})
        run = stage.run(plan)
        step = plan.step("a")
        first = execute_step(run, step, 1, log)
        assert isinstance(first, Again)
        assert first.delay == 7
        assert first.record.attempts == 1
        assert "Attempt 1 failed with Busy: Later. The next one starts in 7 s." in log.text
        last = execute_step(run, step, 2, log)
        assert isinstance(last, Done)
        assert last.ending is Ending.FAILED
        assert last.record.error is not None
        assert last.record.error["attempts"] == last.record.attempts == 2

    def test_a_success_after_failures_counts_its_attempts(self, stage: Any) -> None:
        attempts = iter([BUSY, BUSY, None])

        def work(call: Any, config: Any) -> Any:
            if error := next(attempts):
                raise error
            return "ok"

        stage.on["a"] = work
        played = stage.flow({"id": "a", "retry": {"max_attempts": 3, "delay": 0.01}})
        assert played.nodes["a"] == {
            "status": "success",
            "output": "ok",
            "error": None,
            "attempts": 3,
        }

    def test_the_error_port_delivers_after_the_last_attempt_alone(self, stage: Any) -> None:
        def work(call: Any, config: Any) -> Any:
            raise BUSY

        stage.on["a"] = work
        played = stage.flow(
            {"id": "a", "retry": {"max_attempts": 3, "delay": 0}},
            {"id": "cure", "config": {"value": "{{ input.attempts }}"}},
            edges=["a.error -> cure"],
        )
        assert stage.called("a") == 3
        assert stage.called("cure") == 1
        assert played.output("cure") == 3

    def test_expressions_are_evaluated_anew_but_not_retried_when_they_fail(
        self, stage: Any
    ) -> None:
        played = stage.flow(
            {
                "id": "a",
                "config": {"value": "{{ $error('x') }}"},
                "retry": {"max_attempts": 3, "delay": 0},
            }
        )
        assert played.nodes["a"]["attempts"] == 1
        assert stage.called("a") == 0


class TestTimeout:
    def test_the_handler_knows_its_deadline(self, stage: Any) -> None:
        stage.on["a"] = lambda call, config: call.deadline - time.monotonic()
        stage.on["b"] = lambda call, config: [call.deadline, call.remaining(5)]
        played = stage.flow({"id": "a", "timeout": 50}, {"id": "b"})
        assert 40 < played.output("a") <= 50
        assert played.output("b") == [None, 5]

    def test_sleeping_past_the_deadline_is_a_timeout(self, stage: Any) -> None:
        stage.on["a"] = lambda call, config: call.sleep(60)
        played = stage.flow({"id": "a", "timeout": 0.1})
        assert played.error("a")["code"] == "Timeout"
        assert played.error("a")["message"] == "The attempt ran out of its time of 0.1 s."

    def test_a_handler_that_does_not_keep_its_time_is_given_up(self, stage: Any) -> None:
        release = threading.Event()
        ended = threading.Event()

        def work(call: Any, config: Any) -> Any:
            release.wait(30)
            call.log.info("too late")
            ended.set()

        stage.on["a"] = work
        played = stage.flow({"id": "a", "timeout": 0.05})
        assert played.error("a")["code"] == "Timeout"
        release.set()
        assert ended.wait(10)
        assert "too late" not in played.log.text
        assert "given up" in played.log.text

    def test_a_timed_out_attempt_may_be_retried(self, stage: Any) -> None:
        tried = []

        def work(call: Any, config: Any) -> Any:
            tried.append(1)
            if len(tried) == 1:
                call.sleep(60)
            return "ok"

        stage.on["a"] = work
        retries = {"max_attempts": 2, "delay": 0}
        played = stage.flow({"id": "a", "timeout": 0.2, "retry": retries})
        assert played.output("a") == "ok"

    def test_errors_in_time_are_as_without_a_limit(self, stage: Any) -> None:
        def work(call: Any, config: Any) -> Any:
            raise OTHER

        stage.on["a"] = work
        assert stage.flow({"id": "a", "timeout": 50}).error("a")["code"] == "Other"

    def test_stopping_ends_a_sleep_at_once(self, stage: Any, log: Any) -> None:
        stop = threading.Event()

        def work(call: Any, config: Any) -> Any:
            threading.Timer(0.05, stop.set).start()
            call.sleep(60)

        stage.on["a"] = work
        for timeout in ({}, {"timeout": 50}):
            stop.clear()
            plan = stage.plan({"id": "a", **timeout})
            run = stage.run(plan, stop=stop)
            with pytest.raises(Canceled):
                execute_step(run, plan.step("a"), 1, log)
            record = run.records.read(RecordKey("a"))
            assert record is not None
            assert record.status == "canceled"


class TestUntil:
    def test_it_is_done_again_until_the_condition_holds(self, stage: Any) -> None:
        rounds = iter([1, 2, 3, 4])
        stage.on["a"] = lambda call, config: {"n": next(rounds)}
        played = stage.flow(
            {"id": "a", "until": {"condition": "{{ output.n = 3 }}", "interval": 0.01}}
        )
        assert played.output("a") == {"n": 3}
        assert played.nodes["a"]["attempts"] == 1
        assert len({call.token for call in stage.calls}) == 3

    def test_the_condition_sees_what_the_config_sees(self, stage: Any) -> None:
        stage.on["b"] = lambda call, config: 5
        played = stage.flow(
            {"id": "a", "config": {"value": 5}},
            {"id": "b", "until": {"condition": "{{ output = nodes.a and output = input }}"}},
            edges=["a -> b"],
        )
        assert played.output("b") == 5

    def test_running_out_of_time_is_an_error_that_is_not_retried(self, stage: Any) -> None:
        played = stage.flow(
            {
                "id": "a",
                "until": {"condition": "{{ false }}", "interval": 0.2, "timeout": 1},
                "retry": {"max_attempts": 5, "delay": 0, "on": ["UntilTimeout"]},
            }
        )
        assert played.error("a")["code"] == "UntilTimeout"
        assert played.nodes["a"]["attempts"] == 1
        assert 2 <= stage.called("a") <= 6

    def test_a_round_that_hangs_ends_with_the_time_of_all_rounds(self, stage: Any) -> None:
        stage.on["a"] = lambda call, config: call.sleep(60)
        played = stage.flow({"id": "a", "until": {"condition": "{{ true }}", "timeout": 0.1}})
        assert played.error("a")["code"] == "UntilTimeout"

    def test_a_round_may_have_a_time_of_its_own(self, stage: Any) -> None:
        stage.on["a"] = lambda call, config: call.sleep(60)
        played = stage.flow(
            {"id": "a", "timeout": 0.1, "until": {"condition": "{{ true }}", "timeout": 50}}
        )
        assert played.error("a")["code"] == "Timeout"

    def test_another_attempt_goes_on_with_the_rounds(self, stage: Any, log: Any) -> None:
        outcomes = iter([{"n": 1}, BUSY, {"n": 2}])

        def work(call: Any, config: Any) -> Any:
            outcome = next(outcomes)
            if isinstance(outcome, NodeError):
                raise outcome
            return outcome

        stage.on["a"] = work
        plan = stage.plan(
            {
                "id": "a",
                "until": {"condition": "{{ output.n = 2 }}", "interval": 0.01, "timeout": 50},
                "retry": {"max_attempts": 2, "delay": 0},
            }
        )
        run = stage.run(plan)
        again = execute_step(run, plan.step("a"), 1, log)
        assert isinstance(again, Again)
        assert again.record.state is not None
        assert again.record.state["round"] == 1
        # Another process takes the next attempt.
        done = execute_step(stage.run(plan, run.id), plan.step("a"), 2, log)
        assert isinstance(done, Done)
        assert done.record.output == {"n": 2}
        tokens = [call.token for call in stage.calls]
        assert tokens[0] != tokens[1] == tokens[2]

    def test_a_condition_that_fails_is_an_error(self, stage: Any) -> None:
        played = stage.flow({"id": "a", "until": {"condition": "{{ $error('x') }}"}})
        assert played.error("a")["code"] == "ExpressionError"
        assert "until.condition" in played.error("a")["message"]

    def test_stopping_ends_the_interval(self, stage: Any, log: Any) -> None:
        stop = threading.Event()
        plan = stage.plan({"id": "a", "until": {"condition": "{{ false }}", "interval": 60}})
        run = stage.run(plan, stop=stop)
        threading.Timer(0.1, stop.set).start()
        with pytest.raises(Canceled):
            execute_step(run, plan.step("a"), 1, log)


class TestTokens:
    def token(self, stage: Any, plan: Any, run: Any, log: Any, attempt: int = 1) -> str:
        execute_step(run, plan.step("a"), attempt, log)
        return stage.calls[-1].token

    def test_the_same_for_each_attempt_and_different_otherwise(self, stage: Any, log: Any) -> None:
        plan = stage.plan({"id": "a"}, {"id": "b"})
        run = stage.run(plan, "one")
        token = self.token(stage, plan, run, log)
        assert len(token) == 64
        assert set(token) <= set("0123456789abcdef")
        assert self.token(stage, plan, run, log, 2) == token
        assert self.token(stage, plan, stage.run(plan, "two"), log) != token
        execute_step(run, plan.step("b"), 1, log)
        assert stage.calls[-1].token != token

    def test_the_same_when_the_run_is_resumed(self, stage: Any, log: Any) -> None:
        plan = stage.plan({"id": "a"})
        token = self.token(stage, plan, stage.run(plan, "one"), log)
        line = [("one", frozenset({"a"}), True)]
        assert self.token(stage, plan, stage.run(plan, "two", line), log) == token
        line = [("two", frozenset({"a"}), True), *line]
        assert self.token(stage, plan, stage.run(plan, "three", line), log) == token

    def test_different_when_it_is_done_again_on_purpose(self, stage: Any, log: Any) -> None:
        plan = stage.plan({"id": "a"})
        token = self.token(stage, plan, stage.run(plan, "one"), log)
        line = [("one", frozenset({"a"}), False)]
        assert self.token(stage, plan, stage.run(plan, "two", line), log) != token

    def test_each_item_has_its_own(self, stage: Any) -> None:
        stage.flow(
            {"id": "outer", "type": "logic.loop", "config": {"items": [1, 2]}},
            {"id": "inner", "type": "logic.loop", "config": {"items": [1, 2]}},
            {"id": "a"},
            edges=["outer.item -> inner", "inner.item -> a"],
        )
        assert len({call.token for call in stage.calls}) == 4


class TestCall:
    def test_what_a_handler_is_given(self, stage: Any) -> None:
        def work(call: Any, config: Any) -> Any:
            assert call.files.is_dir()
            assert call.settings.code_nodes is True
            return [call.node, call.region]

        stage.on["a"] = work
        assert stage.flow({"id": "a"}).output("a") == ["a", None]

    def test_a_login_is_that_of_the_nodes_credential_and_region(
        self, stage: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CLOUDFLOW_SIMULATED_AWS", "http://127.0.0.1:9")
        stage.on["a"] = lambda call, config: call.login("aws").region
        from cloudflow_dagster.plan import Plan

        data = stage.plan({"id": "a"}).model_dump()
        data["steps"][0]["region"] = "eu-west-3"
        assert stage.play(Plan.model_validate(data)).output("a") == "eu-west-3"

    def test_a_credential_that_cannot_be_used_is_an_error_of_the_node(self, stage: Any) -> None:
        stage.on["a"] = lambda call, config: call.login("gcp")
        played = stage.flow({"id": "a"})
        assert played.statuses["a"] == "failure"
        assert played.error("a")["message"]

    def test_running_a_flow_asks_the_runner_of_child_runs(self, stage: Any) -> None:
        asked: list[Any] = []

        class Children:
            def run_flow(self, call: Any, parent: Any, *, log: Any) -> Any:
                log.info("Runs it.")
                asked.append((call.flow, call.params, call.max_depth, parent.id))
                return {"answer": 42}

        plan = stage.plan(
            {
                "id": "a",
                "type": "flow.call",
                "config": {"flow": "other", "params": {"x": "{{ 1 + 1 }}"}, "max_depth": 2},
            }
        )
        played = stage.play(plan, "parent", children=Children())
        assert played.output("a") == {"answer": 42}
        assert asked == [("other", {"x": 2}, 2, "parent")]
        assert stage.play(plan).error("a")["code"] == "NoChildRuns"

    def test_code_nodes_can_be_turned_off_for_a_project(self, stage: Any) -> None:
        (stage.folder / "cloudflow.yaml").write_text("settings:\n  code_nodes: false\n")
        code = "def main(inputs):\n    return inputs\n"
        played = stage.flow({"id": "a", "type": "generic.code", "config": {"code": code}})
        assert played.error("a")["code"] == "CodeNotAllowed"
