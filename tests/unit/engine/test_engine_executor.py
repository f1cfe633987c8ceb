"""The executor has Dagster's semantics, on jobs that know nothing of flows."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.execution.api import create_execution_plan
from dagster._core.execution.plan.objects import StepSuccessData
from dagster._core.log_manager import LOG_RECORD_EVENT_ATTR

from cloudflow_dagster.engine import executor, stops
from cloudflow_dagster.engine.in_process import NewRun, create_run, execute
from cloudflow_dagster.engine.step_timeouts import Attempt
from tests.unit.engine import jobs_by_hand

Result = dg.JobExecutionResult


def run(
    instance: dg.DagsterInstance, name: str, config: dict[str, object] | None = None, **more: object
) -> Result:
    job = dg.reconstructable(getattr(jobs_by_hand, name))
    return dg.execute_job(job, instance, run_config=config or {}, **more)  # type: ignore[arg-type]


def ends(result: Result) -> dict[str, str]:
    """How each step ended; steps that were not started are not there."""
    kinds = {
        dg.DagsterEventType.STEP_SUCCESS: "success",
        dg.DagsterEventType.STEP_FAILURE: "failure",
        dg.DagsterEventType.STEP_SKIPPED: "skipped",
    }
    return {
        str(event.step_key): kinds[event.event_type]
        for event in result.all_events
        if event.event_type in kinds
    }


def test_independent_steps_run_at_the_same_time(instance: dg.DagsterInstance) -> None:
    assert run(instance, "three_at_once").success


def test_a_failure_beside_a_skipped_branch_ends_the_run(instance: dg.DagsterInstance) -> None:
    result = run(instance, "failure_beside_skip")

    assert not result.success
    # `both` and `after` hang on what was skipped and on what was not run: Dagster skips them.
    assert ends(result) == {
        "choose": "success",
        "fail": "failure",
        "skipped": "skipped",
        "both": "skipped",
        "after": "skipped",
    }


def test_a_join_runs_if_any_input_delivers_and_none_failed(instance: dg.DagsterInstance) -> None:
    assert ends(run(instance, "joins")) == {
        "choose": "success",
        "taken": "success",
        "not_taken": "skipped",
        "any_delivers": "success",
        "none_delivers": "skipped",
        "fail": "failure",
    }


@pytest.mark.parametrize(
    ("giving", "ran"),
    [([0, 1, 2], ["gathered [0, 1, 2]"]), ([0, 2], ["gathered [0, 2]"]), ([], [])],
)
def test_a_join_of_values_gets_those_that_were_delivered(
    instance: dg.DagsterInstance, giving: list[int], ran: list[str]
) -> None:
    jobs_by_hand.RAN.clear()
    ops = {f"give_{n}": {"config": {"gives": n in giving}} for n in range(3)}
    result = run(instance, "fan_in", {"ops": ops})

    assert result.success
    assert ran == jobs_by_hand.RAN
    assert ends(result)["gather"] == ("success" if ran else "skipped")


def test_a_step_waits_for_its_retry_while_others_run(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    folder = {"config": {"folder": str(tmp_path)}}
    result = run(instance, "retries", {"ops": {"flaky": folder, "steady": folder}})

    assert result.success
    assert result.retry_attempts_for_node("flaky") == 2
    written = {n: float((tmp_path / n).read_text()) for n in ("flaky", "steady")}
    assert written["flaky"] - written["steady"] > 0.3


def test_a_retry_policy_backs_off(instance: dg.DagsterInstance) -> None:
    jobs_by_hand.ATTEMPTS.clear()
    jobs_by_hand.RAN.clear()
    result = run(instance, "backs_off")

    assert result.success
    waits = [
        event.step_retry_data.seconds_to_wait
        for event in result.all_events
        if event.is_step_up_for_retry
    ]
    assert waits == pytest.approx([0.2, 0.6])
    first, second, third = jobs_by_hand.ATTEMPTS
    assert second - first > 0.2
    assert third - second > 0.6
    assert jobs_by_hand.RAN == ["at last"]


def test_retries_run_out(instance: dg.DagsterInstance) -> None:
    result = run(instance, "retries_run_out")

    assert ends(result) == {"always_again": "failure"}
    assert result.retry_attempts_for_node("always_again") == 2


def test_a_step_starts_again_only_when_its_thread_has_ended(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*_: object) -> tuple[dg.DagsterEvent, ...]:
        time.sleep(0.5)  # longer than a round
        return ()

    monkeypatch.setattr(executor, "_trigger_hook", slow)
    result = run(instance, "retried_at_once")

    assert ends(result) == {"again_at_once": "success"}
    assert result.retry_attempts_for_node("again_at_once") == 1


def test_retries_can_be_switched_off(instance: dg.DagsterInstance) -> None:
    result = run(instance, "retries_run_out", {"execution": {"config": {"retries": False}}})

    assert result.retry_attempts_for_node("always_again") == 0
    assert not result.success


def test_hooks_are_called_for_steps_that_ended(instance: dg.DagsterInstance) -> None:
    jobs_by_hand.HEARD.clear()
    run(instance, "hooked")

    assert sorted(jobs_by_hand.HEARD) == [
        "failure of fail",
        "success of choose",
        "success of go_on",
    ]


def test_mapped_steps_run_within_the_limit_of_their_group(instance: dg.DagsterInstance) -> None:
    jobs_by_hand.MOST.clear()
    result = run(instance, "mapped", {"ops": {"numbers": {"config": {"count": 7}}}})

    assert result.success
    assert len([k for k in ends(result) if k.startswith("work[")]) == 7
    assert max(jobs_by_hand.MOST) == 2


@pytest.mark.parametrize(
    ("limit", "most"),
    [
        ({"key": "database", "limit": 2}, {"all": 2}),
        ({"key": "database", "value": "here", "limit": 1}, {"here": 1, "there": 3, "all": 4}),
        (
            {"key": "database", "value": {"applyLimitPerUniqueValue": True}, "limit": 1},
            {"here": 1, "there": 1, "all": 2},
        ),
    ],
)
def test_steps_run_within_the_limits_of_their_tags(
    instance: dg.DagsterInstance, limit: dict[str, object], most: dict[str, int]
) -> None:
    jobs_by_hand.MOST_USED.clear()
    config: dict[str, object] = {"execution": {"config": {"tag_concurrency_limits": [limit]}}}

    assert run(instance, "tagged", config).success
    # No more than those; how many of them really met is a matter of the machine.
    for name, n in most.items():
        assert jobs_by_hand.MOST_USED[name] <= n, jobs_by_hand.MOST_USED


def test_limits_of_tags_and_of_groups_hold_together(instance: dg.DagsterInstance) -> None:
    jobs_by_hand.MOST.clear()
    other = {"key": "database", "limit": 1}
    config: dict[str, object] = {
        "ops": {"numbers": {"config": {"count": 7}}},
        "execution": {"config": {"tag_concurrency_limits": [other]}},
    }

    assert run(instance, "mapped", config).success
    assert max(jobs_by_hand.MOST) == 2


def test_an_empty_map_still_collects(instance: dg.DagsterInstance) -> None:
    result = run(instance, "mapped", {"ops": {"numbers": {"config": {"count": 0}}}})

    assert ends(result) == {"numbers": "success", "total": "success"}


def test_no_further_step_of_a_stopping_group_starts_after_a_failure(
    instance: dg.DagsterInstance,
) -> None:
    result = run(instance, "mapped_stops", {"ops": {"numbers": {"config": {"count": 9}}}})

    assert ends(result) == {
        "numbers": "success",
        "work_until_two[0]": "success",
        "work_until_two[1]": "success",
        "work_until_two[2]": "failure",
    }


def test_execution_from_failure_runs_what_failed_again(instance: dg.DagsterInstance) -> None:
    config = {"ops": {"numbers": {"config": {"count": 3}}}}
    first = run(instance, "mapped_stops", config)
    second = run(
        instance,
        "mapped_stops",
        config,
        reexecution_options=dg.ReexecutionOptions.from_failure(first.run_id, instance),
    )

    assert ends(second) == {"work_until_two[2]": "failure"}


def test_only_selected_ops_run(instance: dg.DagsterInstance) -> None:
    jobs_by_hand.RAN.clear()
    result = run(instance, "values", op_selection=["*second"])

    assert ends(result) == {"first": "success", "second": "success"}
    assert jobs_by_hand.RAN == ["first", "second of 20"]


@pytest.mark.parametrize(
    ("selection", "ran"),
    [
        (["second*"], ["second of 20", "third of 21"]),
        (["aside", "third"], ["aside of 20", "third of 21"]),
    ],
)
def test_selected_steps_run_again_on_what_the_others_gave_before(
    instance: dg.DagsterInstance, selection: list[str], ran: list[str]
) -> None:
    parent = run(instance, "values")
    jobs_by_hand.RAN.clear()
    again = dg.ReexecutionOptions(parent.run_id, step_selection=selection)
    result = run(instance, "values", reexecution_options=again)

    assert result.success
    assert sorted(jobs_by_hand.RAN) == ran
    assert set(ends(result)) == {said.split()[0] for said in ran}


def test_a_selected_item_of_a_map_runs_again(instance: dg.DagsterInstance) -> None:
    config: dict[str, object] = {"ops": {"numbers": {"config": {"count": 3}}}}
    parent = run(instance, "mapped", config)
    again = dg.ReexecutionOptions(parent.run_id, step_selection=["work[2]", "total"])
    result = run(instance, "mapped", config, reexecution_options=again)

    assert ends(result) == {"work[2]": "success", "total": "success"}
    said = [entry.user_message for entry in instance.all_logs(result.run_id)]
    assert "total 5" in said


def test_a_run_is_stopped_by_a_signal(instance: dg.DagsterInstance) -> None:
    jobs_by_hand.STARTED.clear()

    def interrupt() -> None:
        jobs_by_hand.STARTED.wait(20)
        (record,) = instance.get_run_records()
        instance.report_run_canceling(record.dagster_run)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    result = run(instance, "long")

    record = instance.get_run_record_by_id(result.run_id)
    assert record is not None
    assert record.dagster_run.status is dg.DagsterRunStatus.CANCELED
    assert ends(result) == {"wait_for_stop": "failure"}


def test_a_run_in_another_thread_is_stopped_by_its_event(instance: dg.DagsterInstance) -> None:
    jobs_by_hand.STARTED.clear()
    results: list[Result] = []
    thread = threading.Thread(target=lambda: results.append(run(instance, "long")), daemon=True)
    thread.start()
    assert jobs_by_hand.STARTED.wait(20)
    (record,) = instance.get_run_records()
    instance.report_run_canceling(record.dagster_run)
    stops.stop(record.dagster_run.run_id)
    thread.join(20)

    (record,) = instance.get_run_records()
    assert record.dagster_run.status is dg.DagsterRunStatus.CANCELED


def test_the_timeout_of_a_run_fails_it_and_says_so(instance: dg.DagsterInstance) -> None:
    result = run(instance, "too_long")

    assert not result.success
    failure = next(e for e in result.all_events if e.is_failure and not e.is_step_event)
    assert failure.job_failure_data.error is not None
    assert "timeout of 0.3 s" in failure.job_failure_data.error.message


def test_a_step_that_does_not_listen_does_not_hold_the_run(instance: dg.DagsterInstance) -> None:
    started = time.monotonic()
    result = run(instance, "does_not_listen")

    assert not result.success
    assert time.monotonic() - started < 15


def test_steps_of_a_pool_wait_for_a_place(instance: dg.DagsterInstance) -> None:
    jobs_by_hand.MOST.clear()
    instance.event_log_storage.set_concurrency_slots("narrow", 1)

    assert run(instance, "pools").success
    assert max(jobs_by_hand.MOST) == 1


def test_what_pythons_loggers_say_belongs_to_the_step_that_said_it(
    instance: dg.DagsterInstance,
) -> None:
    result = run(instance, "logging_side_by_side")

    said = [
        (entry.step_key, entry.user_message)
        for entry in instance.all_logs(result.run_id)
        if not entry.is_dagster_event and entry.user_message.startswith("of ")
    ]
    assert sorted(said, key=str) == [("a", "of a"), ("b", "of b")]


def test_a_job_without_steps_succeeds(instance: dg.DagsterInstance) -> None:
    assert run(instance, "nothing").success


def test_a_resource_that_cannot_be_made_fails_the_run(instance: dg.DagsterInstance) -> None:
    result = run(instance, "resource_fails")

    assert not result.success
    assert ends(result) == {}


@pytest.mark.parametrize("how", ["works", "fails", "stopped", "late"])
def test_resources_are_made_once_and_torn_down_however_the_run_ends(
    instance: dg.DagsterInstance, how: str
) -> None:
    jobs_by_hand.RAN.clear()
    jobs_by_hand.STARTED.clear()
    config: dict[str, object] = {"ops": {"open_door": {"config": {"how": how}}}}
    if how == "late":
        config["execution"] = {"config": {"timeout": 2.0}}
    results: list[Result] = []
    thread = threading.Thread(
        target=lambda: results.append(run(instance, "doors", config)), daemon=True
    )
    thread.start()
    if how == "stopped":
        assert jobs_by_hand.STARTED.wait(20)
        (record,) = instance.get_run_records()
        stops.stop(record.dagster_run.run_id)
    thread.join(60)

    (result,) = results
    assert result.success == (how == "works")
    opened, *through, closed = jobs_by_hand.RAN
    assert (opened, closed) == ("door opened", "door closed")
    assert set(through) <= {"went through the door"}
    # On a busy machine the time may be over before the first step has begun.
    if how != "late":
        assert len(through) == (3 if how == "works" else 1)


@pytest.mark.parametrize("parent_first", [True, False])
def test_children_are_stopped_with_their_parent(*, parent_first: bool) -> None:
    if parent_first:
        stops.stop("parent")
    stops.link("parent", "child")
    if not parent_first:
        stops.stop("parent")

    assert stops.stop_event("child").is_set()
    stops.forget("child")
    stops.forget("parent")
    assert not stops.stop_event("parent").is_set()
    stops.forget("parent")


def test_a_step_marked_for_it_is_executed_in_a_process_of_its_own(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    folder = {"config": {"folder": str(tmp_path)}}
    result = run(instance, "one_apart", {"ops": {"apart": folder, "dies_once": folder}})

    assert result.success
    (pid,) = (tmp_path / "pids").read_text().split()
    assert int(pid) != os.getpid()
    # Its process died, and it was tried again as its policy says.
    assert result.retry_attempts_for_node("dies_once") == 1
    said = [event.message or "" for event in result.all_events]
    assert "The process of the step died (signal 9)." in said


@pytest.mark.parametrize("name", ["waits_apart", "clings"])
def test_a_step_in_its_own_process_ends_with_the_run(
    instance: dg.DagsterInstance, tmp_path: Path, name: str
) -> None:
    job = {"waits_apart": "stopped_apart", "clings": "clinging_apart"}[name]

    def interrupt() -> None:
        eventually((tmp_path / "waits").exists)
        (record,) = instance.get_run_records()
        instance.report_run_canceling(record.dagster_run)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    folder = {"config": {"folder": str(tmp_path)}}
    result = run(instance, job, {"ops": {name: folder}})

    ended = instance.get_run_by_id(result.run_id)
    assert ended is not None
    assert ended.status is dg.DagsterRunStatus.CANCELED
    pid = int((tmp_path / "waits").read_text())
    eventually(lambda: not Path(f"/proc/{pid}").exists())


def test_a_resource_that_cannot_be_made_in_a_steps_own_process_fails_the_step(
    instance: dg.DagsterInstance,
) -> None:
    result = run(instance, "resource_fails_apart")

    assert ends(result) == {"needs_it_there": "failure"}
    failure = result.failure_data_for_node("needs_it_there")
    assert failure is not None
    assert "not in a process of its own" in str(failure.error)


def test_a_job_that_cannot_be_loaded_in_a_steps_own_process_fails_the_step(
    instance: dg.DagsterInstance,
) -> None:
    job = dg.build_reconstructable_job(jobs_by_hand.__name__, "loads_here_alone")
    result = dg.execute_job(job, instance)

    assert ends(result) == {"never_loaded": "failure"}
    failure = result.failure_data_for_node("never_loaded")
    assert failure is not None
    assert "this job cannot be loaded there" in str(failure.error)


def test_without_a_job_that_can_be_loaded_elsewhere_no_step_runs_apart(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    config = {"ops": {"waits_apart": {"config": {"folder": str(tmp_path)}}}}
    job = jobs_by_hand.stopped_apart
    new = create_run(instance, job, NewRun(config=config))
    (failed,) = [e for e in execute(instance, job, new) if e.is_job_failure]
    assert "`waits_apart` is marked for a process of its own" in str(failed.job_failure_data.error)
    assert not (tmp_path / "waits").exists()


def test_a_step_that_is_late_has_failed_and_what_it_still_does_does_not_count(
    instance: dg.DagsterInstance,
) -> None:
    for event in (jobs_by_hand.LATE, jobs_by_hand.GO_ON, jobs_by_hand.GONE_ON):
        event.clear()
    jobs_by_hand.HEARD.clear()
    result = run(instance, "late")

    assert jobs_by_hand.GONE_ON.is_set()
    assert not result.success
    assert ends(result) == {"dawdles": "failure", "goes_on_beside": "success"}
    failure = result.failure_data_for_node("dawdles")
    assert failure is not None
    assert failure.error is not None
    assert failure.error.message == "The step took longer than its timeout of 0.5 s."
    assert jobs_by_hand.HEARD == ["StepTimeout of dawdles"]
    history = [entry for entry in instance.all_logs(result.run_id) if entry.step_key == "dawdles"]
    kinds = [entry.dagster_event_type for entry in history if entry.dagster_event]
    assert dg.DagsterEventType.STEP_SUCCESS not in kinds
    assert kinds.count(dg.DagsterEventType.STEP_FAILURE) == 1
    assert "said too late" not in [entry.user_message for entry in history]


def test_a_step_that_is_late_is_retried_as_its_policy_says(instance: dg.DagsterInstance) -> None:
    jobs_by_hand.GO_ON.clear()
    result = run(instance, "late_once")
    jobs_by_hand.GO_ON.set()

    assert ends(result) == {"dawdles_once": "success"}
    assert result.retry_attempts_for_node("dawdles_once") >= 1


def test_a_timeout_that_is_no_number_fails_the_run_before_any_step(
    instance: dg.DagsterInstance,
) -> None:
    result = run(instance, "timeout_misspelt")

    assert ends(result) == {}
    (failed,) = [event for event in result.all_events if event.is_job_failure]
    assert "tag `cloudflow/timeout` of the step `may_take` is `soon`" in str(
        failed.job_failure_data.error
    )


def test_a_step_in_its_own_process_that_is_late_is_ended(instance: dg.DagsterInstance) -> None:
    result = run(instance, "late_apart")

    assert ends(result) == {"ignores_a_word": "failure"}
    failure = result.failure_data_for_node("ignores_a_word")
    assert failure is not None
    assert failure.error is not None
    assert failure.error.message == "The step took longer than its timeout of 6 s."
    assert multiprocessing.active_children() == []


def test_how_a_step_ended_is_decided_once() -> None:
    end = logging.makeLogRecord({})
    data = StepSuccessData(duration_ms=1.0)
    event = dg.DagsterEvent(dg.DagsterEventType.STEP_SUCCESS.value, "job", event_specific_data=data)
    setattr(end, LOG_RECORD_EVENT_ATTR, event)
    (step,) = create_execution_plan(jobs_by_hand.retries_run_out).steps
    in_time, late = Attempt(step, 1e-9), Attempt(step, 1e-9)

    assert in_time.may_say(end)
    assert not in_time.give_up()
    assert in_time.may_say(end)
    assert late.give_up()
    assert not late.may_say(end)


def eventually(holds: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 300
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.05)
