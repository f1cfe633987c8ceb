"""A call that changes something is made once, whatever becomes of the run that makes it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.spec import Found, Repeat
from cloudflow_dagster.runtime.intents import Answer, CallKey, TakenOver
from cloudflow_dagster.runtime.outcome import MAYBE_DONE, Done, Ending
from cloudflow_dagster.runtime.step import execute_step
from tests.fixtures.beside_sqlite import contents_of_all


class Killed(BaseException):
    """Ends everything where it is raised, as a kill does: nothing catches it."""


class Cloud:
    """Counts what it made; drops the answer, or dies before or after it did the work."""

    def __init__(self) -> None:
        self.made: list[Any] = []
        self.dies: str | None = None
        self.tokens: list[str] = []

    def __call__(self, call: Any, config: dict[str, Any]) -> Any:
        self.tokens.append(call.token)
        if self.dies == "before":
            raise Killed
        self.made.append(config["item"])
        if self.dies == "after":
            raise Killed
        return f"made {config['item']}"


def plan_of(stage: Any, repeat: str, **more: Any) -> Any:
    node = {"id": "make", "type": f"test.{repeat}", "config": {"item": "{{ $millis() }}"}, **more}
    return stage.plan(node, {"id": "after", "type": "test.read"}, edges=["make -> after"])


def kill(stage: Any, plan: Any, log: Any, cloud: Cloud, when: str) -> None:
    cloud.dies = when
    with pytest.raises(Killed):
        execute_step(stage.run(plan, "r0"), plan.step("make"), 1, log)
    cloud.dies = None


LINE = [("r0", frozenset({"make", "after"}), True)]


def resumed(stage: Any, plan: Any, log: Any, run: str = "r1", line: Any = None) -> Done:
    done = execute_step(stage.run(plan, run, line or LINE), plan.step("make"), 1, log)
    assert isinstance(done, Done)
    return done


@pytest.fixture
def cloud(stage: Any) -> Cloud:
    made = stage.on["make"] = Cloud()
    return made


@pytest.mark.parametrize("repeat", [Repeat.TOKEN, Repeat.SAFE])
def test_the_very_same_is_asked_for_again(
    stage: Any, log: Any, cloud: Cloud, repeat: Repeat
) -> None:
    plan = plan_of(stage, repeat)
    kill(stage, plan, log, cloud, "after")
    done = resumed(stage, plan, log)

    assert done.ending is Ending.OK
    # The time was another one when the config was evaluated again.
    assert len(set(cloud.made)) == 1
    assert len(set(cloud.tokens)) == 1
    assert [call.call.repeated for call in stage.calls] == [False, True]


def test_what_only_reads_leaves_no_intent(stage: Any, log: Any, cloud: Cloud) -> None:
    plan = plan_of(stage, Repeat.READ)
    kill(stage, plan, log, cloud, "after")

    assert stage.records("r0").intents.unsettled("r0") == []
    assert resumed(stage, plan, log).ending is Ending.OK


def test_the_intent_is_on_the_disk_before_the_call(stage: Any, log: Any, tmp_path: Path) -> None:
    seen: list[Any] = []

    def work(call: Any, config: Any) -> str:
        # Another connection: what it sees is committed.
        with closing(sqlite3.connect(tmp_path / "records.sqlite")) as other:
            seen.extend(other.execute("SELECT node, items, state, action FROM intents").fetchall())
        return "made"

    stage.on["make"] = work
    plan = plan_of(stage, Repeat.ASK)
    execute_step(stage.run(plan, "r0"), plan.step("make"), 1, log)

    assert seen == [("make", "", "open", "test.ask")]
    found = stage.records("r0").intents.find(CallKey("r0", "make"))
    assert (found.state, found.run, found.request) == ("done", "r0", None)


@pytest.mark.parametrize("there", [True, False])
def test_what_may_have_been_made_is_looked_for(
    stage: Any, log: Any, cloud: Cloud, there: bool
) -> None:
    plan = plan_of(stage, Repeat.LOOKUP)
    kill(stage, plan, log, cloud, "after" if there else "before")
    if there:
        stage.found["make"] = Found("found")
    done = resumed(stage, plan, log)

    assert len(cloud.made) == 1
    assert stage.looked_for == [("make", {"item": stage.calls[0].config["item"]})]
    assert done.record.output == ("found" if there else f"made {cloud.made[0]}")


class TestAsking:
    @pytest.fixture
    def plan(self, stage: Any) -> Any:
        return plan_of(
            stage, Repeat.ASK, on_error="continue", retry={"max_attempts": 5, "on": [MAYBE_DONE]}
        )

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_the_run_stops_and_says_what_to_do(
        self, stage: Any, log: Any, cloud: Cloud, plan: Any, when: str
    ) -> None:
        kill(stage, plan, log, cloud, when)
        done = resumed(stage, plan, log)

        assert done.ending is Ending.FAILED
        assert done.record.error is not None
        assert done.record.error["code"] == MAYBE_DONE
        message = done.record.error["message"]
        assert "`test.ask`" in message
        assert "the run r0 asked for it at 20" in message
        assert "`cloudflow answer r1 make done`" in message
        assert '{"item": 1' in message
        assert len(cloud.tokens) == 1

    def test_it_asks_until_somebody_answers(
        self, stage: Any, log: Any, cloud: Cloud, plan: Any
    ) -> None:
        kill(stage, plan, log, cloud, "after")
        resumed(stage, plan, log)
        line = [("r1", frozenset({"make", "after"}), True), *LINE]
        assert resumed(stage, plan, log, "r2", line).ending is Ending.FAILED
        records = stage.records("r2", line)
        (open_call,) = records.intents.unsettled("r0")
        records.intents.answer(open_call.key, Answer.now("done", {"id": 7}))
        line.insert(0, ("r2", frozenset({"make", "after"}), True))
        done = resumed(stage, plan, log, "r3", line)

        assert done.record.output == {"id": 7}
        assert "`done`, said" in log.text
        assert len(cloud.tokens) == 1
        assert stage.records("r3", line).intents.unsettled("r0") == []

    def test_again_makes_it_again_and_asks_anew_after_another_kill(
        self, stage: Any, log: Any, cloud: Cloud, plan: Any
    ) -> None:
        kill(stage, plan, log, cloud, "before")
        stage.records("r0").intents.answer(CallKey("r0", "make"), Answer.now("again"))
        cloud.dies = "after"
        with pytest.raises(Killed):
            resumed(stage, plan, log)
        cloud.dies = None
        line = [("r1", frozenset({"make", "after"}), True), *LINE]

        assert resumed(stage, plan, log, "r2", line).ending is Ending.FAILED
        assert len(cloud.made) == 1

    def test_in_a_loop_that_collects_errors_the_loop_fails_all_the_same(
        self, stage: Any, log: Any, cloud: Cloud
    ) -> None:
        plan = stage.plan(
            {
                "id": "each",
                "type": "logic.loop",
                "config": {"items": ["a", "b"], "on_item_error": "collect", "concurrency": 1},
            },
            {"id": "make", "type": "test.ask", "config": {"item": "{{ item }}"}},
            edges=["each.item -> make"],
        )
        cloud.dies = "after"
        with pytest.raises(Killed):
            execute_step(stage.run(plan, "r0"), plan.step("each"), 1, log)
        cloud.dies = None
        line = [("r0", frozenset({"each"}), True)]
        done = execute_step(stage.run(plan, "r1", line), plan.step("each"), 1, log)

        assert isinstance(done, Done)
        assert done.ending is Ending.FAILED
        assert done.record.error is not None
        assert done.record.error["code"] == MAYBE_DONE
        assert "`cloudflow answer r1 make --item 0 done`" in done.record.error["message"]
        assert cloud.made == ["a", "b"]


class TestErrors:
    def error(self, stage: Any, plan: Any, log: Any, **more: Any) -> None:
        def work(call: Any, config: Any) -> Any:
            raise NodeError("Busy", "No.", **more)

        stage.on["make"] = work
        execute_step(stage.run(plan, "r0"), plan.step("make"), 1, log)

    def test_what_was_refused_is_asked_for_again(self, stage: Any, log: Any) -> None:
        plan = plan_of(stage, Repeat.ASK)
        self.error(stage, plan, log)
        stage.on["make"] = lambda call, config: "made"

        assert resumed(stage, plan, log).record.output == "made"

    def test_after_a_lost_answer_a_person_is_asked(self, stage: Any, log: Any) -> None:
        plan = plan_of(stage, Repeat.ASK)
        self.error(stage, plan, log, unsure=True)
        stage.on["make"] = lambda call, config: "made"

        assert resumed(stage, plan, log).ending is Ending.FAILED

    @pytest.mark.parametrize(
        ("repeat", "retry", "calls"),
        [
            (Repeat.ASK, {}, 1),
            (Repeat.ASK, {"on": ["Busy"]}, 2),
            (Repeat.TOKEN, {}, 2),
            (Repeat.SAFE, {}, 2),
        ],
    )
    def test_a_retry_does_nothing_twice_unless_it_names_the_error(
        self, stage: Any, repeat: Repeat, retry: dict[str, Any], calls: int
    ) -> None:
        def work(call: Any, config: Any) -> Any:
            if stage.called("make") == 1:
                raise NodeError("Busy", "The answer was lost.", unsure=True)
            return "made"

        stage.on["make"] = work
        plan = plan_of(stage, repeat, retry={"max_attempts": 2, "delay": 0, **retry})
        stage.play(plan, "r0")

        assert stage.called("make") == calls


class TestUntil:
    def plan(self, stage: Any) -> Any:
        until = {"condition": "{{ output >= 3 }}", "interval": 0.01, "timeout": 60}
        return plan_of(stage, Repeat.ASK, until=until)

    def test_rounds_that_ended_are_not_done_again(self, stage: Any, log: Any) -> None:
        count = 0

        def work(call: Any, config: Any) -> Any:
            nonlocal count
            if count == 2:
                raise Killed
            count += 1
            return count

        stage.on["make"] = work
        plan = self.plan(stage)
        with pytest.raises(Killed):
            execute_step(stage.run(plan, "r0"), plan.step("make"), 1, log)
        assert resumed(stage, plan, log).ending is Ending.FAILED
        (open_call,) = stage.records("r0").intents.unsettled("r0")
        assert open_call.key.round == 2
        stage.records("r0").intents.answer(open_call.key, Answer.now("done", 3))

        assert resumed(stage, plan, log, "r2").record.output == 3
        assert count == 2


class TestOtherRuns:
    def test_a_step_that_ended_is_not_done_again_though_the_history_lost_it(
        self, stage: Any, log: Any, cloud: Cloud
    ) -> None:
        plan = plan_of(stage, Repeat.ASK)
        execute_step(stage.run(plan, "r0"), plan.step("make"), 1, log)
        done = resumed(stage, plan, log)

        assert done.record.output == f"made {cloud.made[0]}"
        assert len(cloud.made) == 1

    def test_two_runs_that_go_on_with_one_do_nothing_twice(
        self, stage: Any, log: Any, cloud: Cloud
    ) -> None:
        plan = plan_of(stage, Repeat.ASK)
        stage.run(plan, "r0")
        first = resumed(stage, plan, log, "r1")
        second = resumed(stage, plan, log, "r2")

        assert first.record.output == second.record.output
        assert len(cloud.made) == 1

    def test_doing_everything_again_on_purpose_does_it_again(
        self, stage: Any, log: Any, cloud: Cloud
    ) -> None:
        plan = plan_of(stage, Repeat.ASK)
        kill(stage, plan, log, cloud, "after")
        resumed(stage, plan, log, "r1", [("r0", None, False)])

        assert len(cloud.made) == 2
        assert len(set(cloud.tokens)) == 2

    def test_a_run_that_was_taken_for_dead_changes_nothing_more(
        self, stage: Any, log: Any, cloud: Cloud
    ) -> None:
        plan = plan_of(stage, Repeat.SAFE)
        run = stage.run(plan, "r0")
        stage.records("r1", LINE).claim("here")

        with pytest.raises(TakenOver, match="r1 goes on with it"):
            execute_step(run, plan.step("make"), 1, log)
        assert cloud.made == []
        assert resumed(stage, plan, log).ending is Ending.OK


def test_secrets_do_not_get_into_intents_and_what_held_one_is_compared(
    stage: Any, log: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cloudflow.yaml").write_text("secrets: {key: {env: ONCE_KEY}}\n")
    monkeypatch.setenv("ONCE_KEY", "hush-4711-hush")
    cloud = stage.on["make"] = Cloud()
    config = {"item": "{{ $secret('key') }}", "n": "{{ params.n }}"}
    params = {"type": "object", "properties": {"n": {"type": "integer"}}}
    plan = stage.plan({"id": "make", "type": "test.token", "config": config}, params=params)

    def play(run: str, n: int, line: Any = ()) -> Done:
        done = execute_step(stage.run(plan, run, line, params={"n": n}), plan.step("make"), 1, log)
        assert isinstance(done, Done)
        return done

    cloud.dies = "after"
    with pytest.raises(Killed):
        play("r0", 1)
    cloud.dies = None
    line = [("r0", frozenset({"make"}), True)]
    assert b"hush-4711" not in contents_of_all(tmp_path, "records.sqlite*")
    other = play("r1", 2, line)

    assert other.record.error is not None
    assert "what is asked for now is not the same" in other.record.error["message"]
    assert play("r2", 1, line).ending is Ending.OK


def test_records_of_the_version_before_are_brought_up_to_date(tmp_path: Path, stage: Any) -> None:
    from cloudflow_dagster.runtime import database

    path = tmp_path / "records.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        old.executescript(f"{database._VERSION_1}PRAGMA user_version=1;")
        old.execute("INSERT INTO runs (id, facts) VALUES ('r0', NULL)")
    records = stage.records("r1", LINE)

    assert records.intents.unsettled("r0") == []
    with closing(sqlite3.connect(path)) as now:
        assert now.execute("PRAGMA user_version").fetchone()[0] == database.SCHEMA_VERSION
        assert now.execute("SELECT id FROM runs").fetchall() == [("r0",), ("r1",)]


class TestTokensThatAreForgotten:
    """A provider remembers a token for a while; nobody relies on it for longer."""

    @pytest.mark.parametrize("moved", [-3601.0, 3601.0])
    def test_a_person_is_asked_when_the_token_may_be_forgotten(
        self, stage: Any, log: Any, cloud: Cloud, moved: float
    ) -> None:
        plan = plan_of(stage, Repeat.TOKEN)
        kill(stage, plan, log, cloud, "after")
        set_back(stage, moved)
        done = resumed(stage, plan, log)

        assert done.ending is Ending.FAILED
        assert done.record.error is not None
        assert done.record.error["code"] == MAYBE_DONE
        message = done.record.error["message"]
        assert "its idempotency token is certain to be remembered for 1 hour only" in message
        assert "`cloudflow answer r1 make done`" in message
        assert len(cloud.made) == 1

        stage.records("r1").intents.answer(CallKey("r0", "make"), Answer.now("again"))
        line = [("r1", frozenset({"make", "after"}), True), *LINE]
        assert resumed(stage, plan, log, "r2", line).ending is Ending.OK
        assert len(cloud.made) == 2

    def test_the_token_is_relied_on_for_as_long_as_it_is_remembered(
        self, stage: Any, log: Any, cloud: Cloud
    ) -> None:
        plan = plan_of(stage, Repeat.TOKEN)
        kill(stage, plan, log, cloud, "after")
        set_back(stage, -3000.0)

        assert resumed(stage, plan, log).ending is Ending.OK
        assert len(set(cloud.tokens)) == 1


def set_back(stage: Any, seconds: float) -> None:
    """Let all calls have begun at another time."""
    began = datetime.now(UTC) + timedelta(seconds=seconds)
    with closing(sqlite3.connect(stage.folder / "records.sqlite")) as records:
        records.execute("UPDATE intents SET began = ?", (began.isoformat(),))
        records.commit()
