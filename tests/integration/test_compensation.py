"""What was done is undone after a failure, on the simulated cloud and on a real web server."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from cloudflow_dagster.cli import main
from cloudflow_dagster.credentials.aws import AwsLogin
from cloudflow_dagster.engine.flow_runs import summary_of
from cloudflow_dagster.simulator import simulated_aws
from tests.fixtures.programs import (
    MANUAL,
    CommandLine,
    Ended,
    Node,
    Programs,
    breaks,
    chain,
    flow,
    get,
    loop,
    result,
)
from tests.fixtures.web import Answer, Asked, Web, serving

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def here(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(programs.project.root)


def command(*args: str) -> Result:
    return CliRunner().invoke(main, args, catch_exceptions=False)


def retried(run: str) -> dict[str, Any]:
    return json.loads(command("runs", "retry", run, "--format", "json").stdout)


@pytest.fixture
def cloud(programs: Programs) -> Iterator[Any]:
    """A client of the simulated cloud in which the flows work."""
    with simulated_aws(programs.project):
        login = programs.project.credentials.login("cloud", "aws", None)
        assert isinstance(login, AwsLogin)
        yield login.client("ec2")


def volume(id: str = "volume", **more: Any) -> Node:
    return {
        "id": id,
        "type": "aws.ec2.create_volume",
        "config": {
            "AvailabilityZone": "us-east-1a",
            "Size": 8,
            "TagSpecifications": [
                {"ResourceType": "volume", "Tags": [{"Key": "made", "Value": "by compensation"}]}
            ],
        },
        "compensate": {},
        **more,
    }


def tag(**more: Any) -> Node:
    return {
        "id": "tag",
        "type": "aws.ec2.create_tags",
        "config": {
            "Resources": ["{{ nodes.volume.VolumeId }}"],
            "Tags": [{"Key": "a", "Value": "b"}],
        },
        "compensate": {
            "type": "aws.ec2.delete_tags",
            "config": {"Resources": ["{{ input.VolumeId }}"], "Tags": [{"Key": "a"}]},
        },
        **more,
    }


def left(cloud: Any) -> list[str]:
    """Return the volumes that flows made here and nobody undid."""
    made = [{"Name": "tag:made", "Values": ["by compensation"]}]
    return [v["VolumeId"] for v in cloud.describe_volumes(Filters=made)["Volumes"]]


def undoings(ended: Ended) -> list[str]:
    """Return what Dagster's page of a run says was undone, and was not, in its order."""
    entries = ended.instance.all_logs(ended.id, of_type={dg.DagsterEventType.ENGINE_EVENT})
    said = [entry.dagster_event.message or "" for entry in entries if entry.dagster_event]
    return [line for line in said if line.startswith(("Undone", "Not undone"))]


@pytest.mark.parametrize("way", ["cloudflow", "dagster"])
def test_what_was_done_is_undone_in_reverse_order(programs: Programs, cloud: Any, way: Any) -> None:
    nodes = [MANUAL, volume(), tag(), breaks("bad")]
    ended = programs.run(chain(*nodes, on_failure_compensate=True), way=way)

    assert ended.status == "failure"
    assert ended.statuses["volume"] == "success"
    assert undoings(ended) == ["Undone: tag.", "Undone: volume.", "Undone: 2 nodes."]
    assert ended.summary["compensation"] == {"undone": 2, "not_undone": []}
    assert left(cloud) == []
    assert ended.run.tags["cloudflow/undone"] == "Undone: 2 nodes."
    assert ended.run.status is dg.DagsterRunStatus.FAILURE


def test_without_the_flag_and_after_a_success_nothing_is_undone(
    programs: Programs, cloud: Any
) -> None:
    failed = programs.run(chain(MANUAL, volume(), breaks("bad")))
    good = programs.run(chain(MANUAL, volume(), on_failure_compensate=True))
    caught = [MANUAL, volume(), breaks("bad", on_error="continue")]
    caught_ended = programs.run(chain(*caught, on_failure_compensate=True))

    assert (failed.status, good.status, caught_ended.status) == ("failure", "success", "success")
    for ended in (failed, good, caught_ended):
        assert "compensation" not in ended.summary
        assert undoings(ended) == []
    volumes = left(cloud)
    assert len(volumes) == 3
    for id in volumes:
        cloud.delete_volume(VolumeId=id)


def test_items_of_a_loop_are_undone_each_the_newest_first(programs: Programs, cloud: Any) -> None:
    body = volume()
    body["compensate"] = {
        "type": "aws.ec2.delete_volume",
        "config": {"VolumeId": "{{ item = 7 ? $error('no') : output.VolumeId }}"},
    }
    nodes = [MANUAL, loop("each", [7, 8, 9], concurrency=1), body, breaks("bad")]
    edges = ["start > each", "each.item > volume", "each.done > bad"]
    ended = programs.run(flow(nodes, edges, on_failure_compensate=True))

    assert undoings(ended) == [
        "Undone: volume[2].",
        "Undone: volume[1].",
        "Not undone: volume[0].",
        "Undone: 2 nodes. Not undone: volume[0].",
    ]
    (not_undone,) = ended.summary["compensation"]["not_undone"]
    assert (not_undone["node"], not_undone["items"]) == ("volume", [0])
    (kept,) = left(cloud)
    cloud.delete_volume(VolumeId=kept)


def test_items_of_loops_at_the_same_time_are_all_undone(programs: Programs, cloud: Any) -> None:
    nodes = [
        MANUAL,
        loop("outer", [1, 2], concurrency=2),
        loop("inner", "{{ [1..5] }}", concurrency=5),
        volume(),
        breaks("bad"),
    ]
    edges = ["start > outer", "outer.item > inner", "inner.item > volume", "outer.done > bad"]
    ended = programs.run(flow(nodes, edges, on_failure_compensate=True))

    assert ended.summary["compensation"] == {"undone": 10, "not_undone": []}
    assert left(cloud) == []


@dataclass
class Site:
    """Takes every request; refuses some paths, and kills who asks for one before it answers."""

    refuses: str = ""
    loses: str = ""
    kills_at: str = ""
    victim: int | None = None
    asked: list[str] = field(default_factory=list[str])
    carried_out: list[str] = field(default_factory=list[str])
    _keys: set[str] = field(default_factory=set[str])

    def __call__(self, asked: Asked) -> Answer:
        if asked.path == self.loses:
            return Answer(500, '"lost"', {"Content-Type": "application/json"})
        if asked.path == self.refuses:
            return Answer(403, '"no"', {"Content-Type": "application/json"})
        self.asked.append(asked.path)
        key = asked.headers.get("idempotency-key", asked.path)
        if key not in self._keys:
            self._keys.add(key)
            self.carried_out.append(asked.path)
        if self.victim is not None and asked.path == self.kills_at:
            os.kill(self.victim, signal.SIGKILL)
            self.victim = None
        return Answer(200, '"done"', {"Content-Type": "application/json"})


@pytest.fixture
def site() -> Iterator[tuple[Site, Web]]:
    site = Site()
    with serving(site) as web:
        yield site, web


def post(url: str) -> dict[str, Any]:
    return {"url": url, "method": "POST", "idempotency_header": "Idempotency-Key"}


def three(web: Web, **more: Any) -> dict[str, Any]:
    """Return a flow that asks for three things, each of which is undone, and then fails."""
    nodes = [
        get(
            id,
            web.url(f"/do/{id}"),
            {k: v for k, v in post("").items() if k != "url"},
            compensate={
                "type": "generic.http.request",
                "config": post(web.url(f"/undo/{id}/{{{{ output.status }}}}")),
            },
        )
        for id in ("a", "b", "c")
    ]
    return chain(MANUAL, *nodes, breaks("bad"), on_failure_compensate=True, **more)


def test_what_cannot_be_undone_is_listed_and_the_rest_is_undone(
    programs: Programs, site: tuple[Site, Web]
) -> None:
    cloud, web = site
    cloud.refuses = "/undo/b/200"
    told = [MANUAL, result("{{ trigger.payload.compensation.not_undone[0].node }}")]
    programs.write(chain(*told), "handler")
    programs.write(three(web, on_failure="handler"), "three_undone")
    said = command("run", "three_undone")

    assert said.exit_code == 1
    assert cloud.carried_out == ["/do/a", "/do/b", "/do/c", "/undo/c/200", "/undo/a/200"]
    assert "Undone: 2 nodes" in said.stdout
    assert "b: HttpStatus" in said.stdout
    assert "undo it with `generic.http.request` {" in said.stdout
    assert "/undo/b/200" in said.stdout
    (run,) = programs.runs_of("three_undone")
    assert "b: HttpStatus" in command("runs", "show", run.run_id).stdout
    ends = programs.instance.all_logs(run.run_id, of_type={dg.DagsterEventType.RUN_FAILURE})
    assert [entry.dagster_event.message for entry in ends if entry.dagster_event] == [
        'Execution of run for "three_undone" failed. '
        "Steps failed: ['bad']. Undone: 2 nodes. Not undone: b."
    ]
    as_json = json.loads(command("runs", "show", run.run_id, "--format", "json").stdout)
    assert [each["node"] for each in as_json["compensation"]["not_undone"]] == ["b"]
    (handler,) = programs.runs_of("handler")
    plan = programs.plan(programs.project.flows / "handler.json")
    summary = summary_of(programs.project, programs.instance, plan, handler.run_id)
    assert summary["result"] == "b"


def test_what_may_have_been_done_is_listed_for_a_person(
    programs: Programs, site: tuple[Site, Web]
) -> None:
    cloud, web = site
    cloud.loses = "/do/c"
    ended = programs.run(three(web))

    assert cloud.carried_out == ["/do/a", "/do/b", "/undo/b/200", "/undo/a/200"]
    assert ended.summary["compensation"]["undone"] == 2
    (unknown,) = ended.summary["compensation"]["not_undone"]
    assert (unknown["node"], unknown["code"]) == ("c", "MaybeDone")
    assert "Nobody knows whether `generic.http.request` was carried out" in unknown["message"]


def test_a_run_that_is_killed_while_it_is_undone_continues_that_and_nothing_else(
    programs: Programs, site: tuple[Site, Web], cloudflow: CommandLine
) -> None:
    cloud, web = site
    cloud.kills_at = "/undo/b/200"
    programs.write(three(web), "killed_undoing")
    process = cloudflow.start("run", "killed_undoing", "--format", "json")
    cloud.victim = process.pid
    assert process.wait(120) == -signal.SIGKILL
    for stream in (process.stdout, process.stderr):
        assert stream is not None
        stream.close()
    (first,) = programs.runs_of("killed_undoing")
    again = retried(first.run_id)

    assert again["status"] == "failure"
    assert again["compensation"] == {"undone": 3, "not_undone": []}
    # Asked for twice, with one key: carried out once.
    assert cloud.asked.count("/undo/b/200") == 2
    done = [f"/do/{id}" for id in "abc"]
    undone = [f"/undo/{id}/200" for id in "cba"]
    assert cloud.carried_out == [*done, *undone]

    # Now there is nothing to continue: all of it is done again.
    mended = three(web)
    mended["nodes"][-1] = result("mended", "bad")
    programs.write(mended, "killed_undoing")
    cloud.asked.clear()
    for run in (again["run_id"], first.run_id):
        assert retried(run)["status"] == "success"
    assert cloud.asked == [*done, *done]
    assert cloud.carried_out == [*done, *undone, *done, *done]
