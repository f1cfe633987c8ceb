"""`cloudflow runs retry` and `cancel`, on runs of every kind of process."""

from __future__ import annotations

import json
import socket
import time

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from cloudflow_dagster.cli import main
from cloudflow_dagster.compiler.pipeline import compile_flow
from cloudflow_dagster.engine import tags
from cloudflow_dagster.engine.instance import open_instance
from cloudflow_dagster.engine.jobs import job_for
from cloudflow_dagster.engine.origins import job_origin
from cloudflow_dagster.engine.run_list import list_runs
from tests.fixtures.programs import (
    MANUAL,
    CommandLine,
    Programs,
    chain,
    flow,
    loop,
    params,
    result,
    value,
    wait,
)

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def here(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(programs.project.root)


def runs(*args: str) -> Result:
    return CliRunner().invoke(main, ["runs", *args], catch_exceptions=False)


def two_steps(programs: Programs, name: str) -> str:
    """Run a flow whose second node fails; its file is then mended. Return the run's id."""
    nodes = [MANUAL, value("first", "{{ run.id }}"), value("second", "{{ $error('broken') }}")]
    path = programs.write(chain(*nodes, result("{{ nodes.first }}")), name)
    ended = programs.run(path)
    assert ended.status == "failure"
    nodes[2] = value("second", "mended")
    programs.write(chain(*nodes, result("{{ nodes.first }}")), name)
    return ended.id


def test_one_that_was_launched_without_any_config_is_done_again(programs: Programs) -> None:
    asks = params(size={"type": "integer", "default": 3})
    path = programs.write(chain(MANUAL, result("{{ params.size }}"), params=asks), "unasked")
    plan = compile_flow(path, project=programs.project)
    with open_instance(programs.project) as instance:
        job = job_for(plan, programs.project)
        first = job.execute_in_process(instance=instance, raise_on_error=False).run_id
    again = runs("retry", first[:12], "--whole", "--format", "json")
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["result"] == 3


def test_from_the_failure_what_succeeded_is_not_done_again(programs: Programs) -> None:
    first = two_steps(programs, "mended")
    again = runs("retry", first[:12], "--format", "json")
    assert again.exit_code == 0
    summary = json.loads(again.stdout)
    assert summary["status"] == "success"
    assert summary["result"] == first

    run = programs.instance.get_run_by_id(summary["run_id"])
    assert run is not None
    assert (run.parent_run_id, run.root_run_id) == (first, first)
    assert run.tags["dagster/parent_run_id"] == first
    assert run.tags["dagster/root_run_id"] == first
    assert run.tags["dagster/is_resume_retry"] == "true"
    assert run.job_name == "mended"
    shown = json.loads(runs("show", summary["run_id"], "--format", "json").stdout)
    assert shown["retry_of"] == first
    assert shown["started_by"] == "retry"
    assert shown["nodes"]["first"]["kept"]
    assert not shown["nodes"]["second"]["kept"]
    assert json.loads(runs("show", first, "--format", "json").stdout)["retried_by"] == [
        summary["run_id"]
    ]


def test_whole_does_all_of_it_again_with_the_same_params(programs: Programs) -> None:
    nodes = [
        MANUAL,
        value("n", "{{ params.n }}"),
        result({"n": "{{ nodes.n }}", "run": "{{ run }}"}),
    ]
    path = programs.write(chain(*nodes, params=params(n={"type": "integer"})))
    first = programs.run(path, {"n": 5})
    again = json.loads(runs("retry", first.id, "--whole", "--format", "json").stdout)
    assert again["result"]["n"] == 5
    assert again["result"]["run"]["id"] == again["run_id"]
    assert again["result"]["run"]["attempt"] == 2
    run = programs.instance.get_run_by_id(again["run_id"])
    assert run is not None
    assert run.parent_run_id == first.id
    assert "dagster/is_resume_retry" not in run.tags


def test_a_retry_of_a_retry_goes_on_from_both(programs: Programs) -> None:
    first = two_steps(programs, "twice")
    nodes = [MANUAL, value("first", 0), value("second", 2), value("third", "{{ $error('no') }}")]
    path = programs.write(chain(*nodes, result("{{ [nodes.first, nodes.second] }}")), "twice")
    assert path.exists()
    second = json.loads(runs("retry", first, "--whole", "--format", "json").stdout)
    assert second["status"] == "failure"
    nodes[3] = value("third", 3)
    programs.write(chain(*nodes, result("{{ [nodes.first, nodes.second] }}")), "twice")
    third = json.loads(runs("retry", second["run_id"], "--format", "json").stdout)
    assert third["result"] == [0, 2]
    run = programs.instance.get_run_by_id(third["run_id"])
    assert run is not None
    assert (run.parent_run_id, run.root_run_id) == (second["run_id"], first)


def test_of_a_loop_only_items_that_failed_are_done_again(programs: Programs) -> None:
    def over_three(two: str) -> dict[str, object]:
        body = value("one", {"item": f"{{{{ item = 2 ? {two} : item }}}}", "run": "{{ run.id }}"})
        each = loop("each", "{{ [1, 2, 3] }}", concurrency=1)
        edges = ["start > each", "each.item > one", "each.done > end"]
        return flow([MANUAL, each, body, result("{{ nodes.each }}")], edges)

    first = programs.run(programs.write(over_three("$error('two')"), "three"))
    assert first.status == "failure"
    programs.write(over_three("2"), "three")
    again = json.loads(runs("retry", first.id, "--format", "json").stdout)
    results = again["result"]["results"]
    assert [each["item"] for each in results] == [1, 2, 3]
    assert [each["run"] for each in results] == [first.id, again["run_id"], again["run_id"]]


def test_what_cannot_be_done_again_says_why(programs: Programs) -> None:
    path = programs.write(chain(MANUAL, value("a", 1)), "once_good")
    run_id = programs.run(path).id
    said = runs("retry", run_id)
    assert (said.exit_code, "nothing to go on from" in said.stderr) == (2, True)
    path.write_text(json.dumps(chain(MANUAL, {"id": "a", "type": "generic.transfrom"})))
    said = runs("retry", run_id, "--whole")
    assert (said.exit_code, "while `once_good` is broken" in said.stderr) == (2, True)
    path.unlink()
    said = runs("retry", run_id, "--whole")
    assert (said.exit_code, "is gone" in said.stderr) == (2, True)


def test_a_flow_that_lost_the_node_is_said_to_have_changed(programs: Programs) -> None:
    first = two_steps(programs, "changed")
    programs.write(chain(MANUAL, value("first", 1), value("another", 1)), "changed")
    said = runs("retry", first)
    assert said.exit_code == 2
    assert "the flow has changed since" in said.stderr
    assert "`second`" in said.stderr
    assert runs("retry", first, "--whole").exit_code == 0


def test_params_that_do_not_fit_any_more_are_named(programs: Programs) -> None:
    path = programs.write(
        chain(MANUAL, value("a", 1), params=params(n={"type": "integer"})), "stricter"
    )
    first = programs.run(path, {"n": 5}).id
    programs.write(chain(MANUAL, value("a", 1), params=params(n={"type": "string"})), "stricter")
    said = runs("retry", first, "--whole")
    assert said.exit_code == 2
    assert "n" in said.stderr
    assert "Traceback" not in said.stderr


def test_a_job_that_is_no_flow_is_not_done_again(programs: Programs) -> None:
    @dg.op
    def by_hand() -> None:
        raise ValueError

    @dg.job
    def mine() -> None:
        by_hand()

    run_id = mine.execute_in_process(instance=programs.instance, raise_on_error=False).run_id
    said = runs("retry", run_id)
    assert (said.exit_code, "which is no flow" in said.stderr) == (2, True)


def until_running(programs: Programs, name: str) -> str:
    give_up = time.monotonic() + 400
    while True:
        found = list_runs(programs.instance, flow=name, statuses=["running"])
        if found:
            return found[0].run_id
        assert time.monotonic() < give_up
        time.sleep(0.1)


def test_a_run_in_another_terminal_is_cancelled_and_can_be_gone_on_with(
    programs: Programs, cloudflow: CommandLine
) -> None:
    nodes = [MANUAL, value("a", 1), wait("long", seconds=50), value("b", 2)]
    programs.write(chain(*nodes), "elsewhere")
    process = cloudflow.start("run", "elsewhere")
    try:
        run_id = until_running(programs, "elsewhere")
        busy = runs("retry", run_id)
        assert (busy.exit_code, "has not ended yet" in busy.stderr) == (2, True)
        said = runs("cancel", run_id, "--wait", "90")
        assert (said.exit_code, said.stdout) == (0, f"Run {run_id} is canceled.\n")
        assert process.wait(60) == 1
    finally:
        process.kill()
        process.communicate()
    again = runs("cancel", run_id)
    assert (again.exit_code, again.stdout) == (0, f"Run {run_id} is canceled.\n")
    nodes[2] = wait("long", seconds=0)
    programs.write(chain(*nodes), "elsewhere")
    assert runs("retry", run_id).exit_code == 0


def test_a_run_whose_process_was_killed_is_found_dead_and_retried(
    programs: Programs, cloudflow: CommandLine
) -> None:
    nodes = [MANUAL, value("a", 1), wait("long", seconds=50)]
    programs.write(chain(*nodes), "killed")
    process = cloudflow.start("run", "killed")
    try:
        run_id = until_running(programs, "killed")
    finally:
        process.kill()
        process.communicate()
    programs.write(chain(*nodes[:2], wait("long", seconds=0)), "killed")
    assert runs("retry", run_id).exit_code == 0
    dead = programs.instance.get_run_by_id(run_id)
    assert dead is not None
    assert dead.status is dg.DagsterRunStatus.FAILURE


def recorded(programs: Programs, status: dg.DagsterRunStatus, **more: str) -> str:
    """Put a run of a flow that nobody executes into the history."""
    run = dg.DagsterRun(
        job_name="nobody",
        status=status,
        tags={tags.FLOW: "nobody", **more},
        remote_job_origin=job_origin("nobody"),
    )
    return programs.instance.add_run(run).run_id


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.SUSPENDED])
def test_a_run_that_nobody_executes_yet_is_cancelled_at_once(
    programs: Programs, status: dg.DagsterRunStatus
) -> None:
    run_id = recorded(programs, status)
    said = runs("cancel", run_id)
    assert (said.exit_code, said.stdout) == (0, f"Run {run_id} is canceled.\n")


def test_a_run_whose_process_is_gone_is_cancelled_at_once(programs: Programs) -> None:
    gone = {tags.IN_PROCESS: f"{socket.gethostname()}:1:this is not when it started"}
    run_id = recorded(programs, dg.DagsterRunStatus.STARTED, **gone)
    assert runs("cancel", run_id).exit_code == 0


def test_a_run_that_nobody_answers_for_is_cancelled_by_force(programs: Programs) -> None:
    run_id = recorded(programs, dg.DagsterRunStatus.STARTED)
    said = runs("cancel", run_id, "--wait", "0")
    assert said.exit_code == 1
    assert "`--force` marks it as canceled" in said.stderr
    said = runs("cancel", run_id, "--force")
    assert (said.exit_code, said.stdout) == (0, f"Run {run_id} is canceled.\n")


def test_a_run_that_has_ended_otherwise_is_not_cancelled(programs: Programs) -> None:
    ended = programs.run(chain(MANUAL))
    said = runs("cancel", ended.id)
    assert said.exit_code == 1
    assert "had ended before, with success" in said.stderr


def test_a_run_that_is_not_there_ends_with_2() -> None:
    assert runs("cancel", "zz").exit_code == 2
    assert runs("retry", "zz").exit_code == 2
