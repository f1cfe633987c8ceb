"""`cloudflow dev` as people use it: its processes, and Dagster's pages over HTTP."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cloudflow_dagster.compiler.pipeline import compile_flow
from cloudflow_dagster.engine import tags
from cloudflow_dagster.engine.instance import open_instance
from cloudflow_dagster.engine.run_flow import run_flow
from cloudflow_dagster.project import find_project
from tests.fixtures.web import Answer, Asked, serving

pytestmark = pytest.mark.integration

COMMAND = [
    sys.executable,
    "-c",
    "from cloudflow_dagster.cli import main; main(prog_name='cloudflow')",
    "dev",
]
MANUAL = {"id": "start", "type": "trigger.manual"}
PARAMS = {"type": "object", "properties": {"bad": {"type": "boolean", "default": False}}}


def node(id: str, type: str, **config: Any) -> dict[str, Any]:
    return {"id": id, "type": type, "config": config}


def chain(*nodes: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a flow whose nodes follow each other."""
    all_nodes = [MANUAL, *nodes]
    edges = [
        {"source": before["id"], "target": after["id"]} for before, after in pairwise(all_nodes)
    ]
    return {"version": 1, **more, "nodes": all_nodes, "edges": edges}


def eventually(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """Return what a condition gives as soon as that is something."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s")


@dataclass
class Dev:
    """A running `cloudflow dev`."""

    root: Path
    process: subprocess.Popen[str]
    web: str = ""
    lines: list[str] = field(default_factory=list[str])

    @classmethod
    def start(cls, root: Path) -> Dev:
        process = subprocess.Popen(
            [*COMMAND, "--port", "0"],
            cwd=root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        dev = cls(root, process)
        assert process.stdout is not None
        for line in process.stdout:
            dev.lines.append(line)
            if "Logs" in line:
                break
        assert any("is running" in line for line in dev.lines), "".join(dev.lines)
        dev.web = json.loads((root / ".cloudflow" / "dev.json").read_text())["web"]
        return dev

    def write(self, name: str, flow: dict[str, Any]) -> None:
        (self.root / "flows" / f"{name}.json").write_text(json.dumps(flow))

    def add(self, name: str, flow: dict[str, Any]) -> None:
        """Write a flow and wait until it is seen as it is now."""
        marked = {**flow, "description": os.urandom(8).hex()}
        self.write(name, marked)
        eventually(lambda: marked["description"] in self.jobs().get(name, ""), 15)

    def ask(self, query: str, **variables: Any) -> Any:
        body = json.dumps({"query": query, "variables": variables}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.web}/graphql", body, headers)
        try:
            answer = urllib.request.urlopen(request, timeout=60)
        except urllib.error.HTTPError as error:
            # Dagster answers with this status, and in its usual form, where a resolver failed.
            answer = error
        with answer:
            return json.load(answer)["data"]

    def jobs(self) -> dict[str, str]:
        """Return the descriptions of all jobs by name."""
        found = self.ask(
            "{ repositoriesOrError { ... on RepositoryConnection "
            "{ nodes { jobs { name description } } } } }"
        )
        (repository,) = found["repositoriesOrError"]["nodes"]
        return {job["name"]: job["description"] for job in repository["jobs"]}

    def launch(self, job: str, **config: Any) -> str:
        selector = {
            "repositoryName": "__repository__",
            "repositoryLocationName": "cloudflow",
            "jobName": job,
        }
        answer = self.ask(
            """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
            __typename ... on LaunchRunSuccess { run { runId } }
            ... on RunConfigValidationInvalid { errors { message } }
            ... on PythonError { message stack } } }""",
            params={"selector": selector, "runConfigData": config},
        )["launchRun"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return answer["run"]["runId"]

    def again(self, run_id: str) -> str:
        answer = self.ask(
            """mutation($params: ReexecutionParams!) {
            launchRunReexecution(reexecutionParams: $params) {
            __typename ... on LaunchRunSuccess { run { runId } }
            ... on PythonError { message } } }""",
            params={"parentRunId": run_id, "strategy": "FROM_FAILURE"},
        )["launchRunReexecution"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return answer["run"]["runId"]

    def run(self, run_id: str) -> dict[str, Any]:
        return self.ask(
            """query($id: ID!) { runOrError(runId: $id) { ... on Run {
            status tags { key value } stepStats { stepKey status } } } }""",
            id=run_id,
        )["runOrError"]

    def said(self, run_id: str) -> list[str]:
        """Return the messages of all events of a run."""
        found = self.ask(
            "query($id: ID!) { logsForRun(runId: $id) { ... on EventConnection "
            "{ events { ... on MessageEvent { message } } } } }",
            id=run_id,
        )
        return [event["message"] for event in found["logsForRun"]["events"]]

    def runs(self, **filter: Any) -> list[dict[str, Any]]:
        return self.ask(
            """query($filter: RunsFilter!) { runsOrError(filter: $filter) { ... on Runs {
            results { runId jobName status runConfig tags { key value } } } } }""",
            filter=filter,
        )["runsOrError"]["results"]

    def end_of(self, run_id: str, seconds: float = 90) -> dict[str, Any]:
        ended = {"SUCCESS", "FAILURE", "CANCELED"}
        return eventually(lambda: (r := self.run(run_id))["status"] in ended and r, seconds)


def steps(run: dict[str, Any]) -> dict[str, str]:
    return {step["stepKey"]: step["status"] for step in run["stepStats"]}


def everything_of(root: Path) -> list[int]:
    """Return the processes that work in a project's folder."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cwd").resolve(strict=True) == root.resolve():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def make_project(root: Path) -> Path:
    (root / "flows").mkdir(parents=True)
    return root


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    root = make_project(tmp_path_factory.mktemp("dev") / "project")
    every_minute = {
        "id": "clock",
        "type": "trigger.cron",
        "config": {
            "schedule": "* * * * *",
            "params": {"at": "{{ trigger.payload.scheduled_at }}"},
        },
    }
    ticking = {
        "version": 1,
        "params": {
            "type": "object",
            "properties": {"at": {"type": "string"}},
            "required": ["at"],
        },
        "nodes": [every_minute],
    }
    (root / "flows" / "ticking.json").write_text(json.dumps(ticking))
    running = Dev.start(root)
    yield running
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(60) == 0
    assert running.process.stdout is not None
    running.process.stdout.close()
    eventually(lambda: not everything_of(root), 10)
    assert not (root / ".cloudflow" / "dev.json").exists()


def test_a_flow_that_is_dropped_changed_broken_and_deleted_is_seen(dev: Dev) -> None:
    dev.write("mine", chain(node("one", "generic.transform", value=1)))
    eventually(lambda: "mine" in dev.jobs(), 5)
    dev.write("mine", chain(node("one", "generic.transfrm", value=1)))
    eventually(lambda: "Did you mean `generic.transform`?" in dev.jobs()["mine"], 5)
    first, *_ = dev.jobs()["mine"].splitlines()
    assert first.startswith("Broken: flows/mine.json:1:")
    log = dev.root / ".cloudflow" / "logs" / "code_server.log"
    eventually(lambda: first in log.read_text("utf-8"), 5)
    assert "ticking" in dev.jobs()
    (dev.root / "flows" / "mine.json").unlink()
    eventually(lambda: "mine" not in dev.jobs(), 5)


def test_a_flow_launched_in_the_ui_acts_on_the_simulated_account(dev: Dev) -> None:
    dev.add(
        "tag",
        chain(
            node("volumes", "aws.ec2.describe_volumes"),
            node(
                "snap",
                "aws.ec2.create_snapshot",
                VolumeId="{{ nodes.volumes.Volumes[0].VolumeId }}",
                Description="by the test of dev",
            ),
        ),
    )
    run = dev.end_of(dev.launch("tag"))
    assert steps(run) == {"start": "SUCCESS", "volumes": "SUCCESS", "snap": "SUCCESS"}

    ec2 = find_project(dev.root).credentials.login(None, "aws", None).client("ec2")
    found = ec2.describe_snapshots(
        Filters=[{"Name": "description", "Values": ["by the test of dev"]}]
    )
    assert len(found["Snapshots"]) == 1


def test_a_failed_run_goes_on_where_it_failed(dev: Dev) -> None:
    bad = node("bad", "generic.transform", value="{{ $error('no') }}")
    after = node("after", "generic.transform", value="{{ nodes.one }}")
    one = node("one", "generic.transform", value=1)
    dev.add("fails", chain(one, bad, after))
    first = dev.launch("fails")
    assert dev.end_of(first)["status"] == "FAILURE"
    dev.add("fails", chain(one, node("bad", "generic.transform", value=2), after))
    second = dev.end_of(dev.again(first))

    assert second["status"] == "SUCCESS"
    assert steps(second) == {"bad": "SUCCESS", "after": "SUCCESS"}


def test_a_run_is_terminated(dev: Dev) -> None:
    dev.add("long", chain(node("wait", "logic.wait", seconds=50)))
    run_id = dev.launch("long")
    eventually(lambda: steps(dev.run(run_id)).get("wait") == "IN_PROGRESS")
    dev.ask(
        "mutation($id: String!) { terminateRun(runId: $id) { __typename } }",
        id=run_id,
    )

    assert dev.end_of(run_id, 20)["status"] == "CANCELED"


def test_params_are_checked_by_type_and_by_schema(dev: Dev) -> None:
    params = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}}
    dev.add("typed", chain(node("one", "generic.transform", value="{{ params.n }}"), params=params))

    with pytest.raises(AssertionError, match="RunConfigValidationInvalid"):
        dev.launch("typed", params={"n": "x"})
    with pytest.raises(AssertionError, match=r"params.n: 1 is less than the minimum of 3") as told:
        dev.launch("typed", params={"n": 1})
    assert "Traceback" not in str(told.value)
    assert "site-packages" not in str(told.value)


def test_one_run_at_a_time_waits_in_the_queue(dev: Dev) -> None:
    dev.add("alone", chain(node("wait", "logic.wait", seconds=6), concurrency={"limit": 1}))
    first, second = dev.launch("alone"), dev.launch("alone")

    assert dev.run(second)["status"] == "QUEUED"
    assert dev.end_of(first)["status"] == "SUCCESS"
    assert dev.end_of(second)["status"] == "SUCCESS"


def test_what_starts_is_the_flow_as_it_is_then(dev: Dev) -> None:
    rule = {"limit": 1}
    wait, one = node("wait", "logic.wait", seconds=4), node("one", "generic.transform", value=1)
    dev.add("hasty", chain(wait, one, concurrency=rule))
    first = dev.launch("hasty")
    eventually(lambda: steps(dev.run(first)).get("wait") == "IN_PROGRESS")
    queued = dev.launch("hasty")
    assert dev.run(queued)["status"] == "QUEUED"
    two = node("two", "generic.transform", value="{{ $error('no') }}")
    three = node("three", "generic.transform", value="{{ nodes.two }}")
    dev.write("hasty", chain(two, three, concurrency=rule))
    # At once: neither the web server nor the code server may have seen it yet.
    saved = dev.launch("hasty")

    assert steps(dev.end_of(first)) == dict.fromkeys(("start", "wait", "one"), "SUCCESS")
    for run_id in (queued, saved):
        ended = steps(dev.end_of(run_id))
        assert ended["two"] == "FAILURE"
        assert not {"wait", "one"} & ended.keys()
    said = dev.said(queued)
    assert any("New: `three`, `two`. Gone: `one`, `wait`." in line for line in said), said
    # What is done again knows what it was a run of.
    mended = node("two", "generic.transform", value=2)
    dev.add("hasty", chain(mended, three, concurrency=rule))
    again = dev.end_of(dev.again(queued))
    assert steps(again) == {"two": "SUCCESS", "three": "SUCCESS"}


def test_a_run_too_many_is_skipped(dev: Dev) -> None:
    rule = {"limit": 1, "when_full": "skip"}
    dev.add("single", chain(node("wait", "logic.wait", seconds=4), concurrency=rule))
    first, second = dev.launch("single"), dev.launch("single")

    assert dev.end_of(second)["status"] == "CANCELED"
    assert dev.end_of(first)["status"] == "SUCCESS"


def test_a_newer_run_cancels_the_oldest(dev: Dev) -> None:
    rule = {"limit": 1, "when_full": "cancel_oldest"}
    wait = node("wait", "logic.wait", seconds="{{ params.s }}")
    params = {"type": "object", "properties": {"s": {"type": "number", "default": 50}}}
    dev.add("newest", chain(wait, concurrency=rule, params=params))
    first = dev.launch("newest")
    eventually(lambda: steps(dev.run(first)).get("wait") == "IN_PROGRESS")
    second = dev.launch("newest", params={"s": 0.1})

    assert dev.end_of(first)["status"] == "CANCELED"
    assert dev.end_of(second)["status"] == "SUCCESS"


def test_a_failure_starts_the_other_flow_once(dev: Dev) -> None:
    dev.add("alarm", chain(node("one", "generic.transform", value="{{ trigger.payload.node }}")))
    bad = node("bad", "generic.transform", value="{{ $error('no') }}")
    dev.add("alarming", chain(bad, on_failure="alarm"))
    failed = dev.launch("alarming")
    dev.end_of(failed)
    eventually(lambda: dev.runs(pipelineName="alarm"), 45)
    time.sleep(5)

    (alarm,) = dev.runs(pipelineName="alarm")
    assert {"key": tags.FAILURE_OF, "value": failed} in alarm["tags"]
    assert dev.end_of(alarm["runId"])["status"] == "SUCCESS"


def test_a_run_of_the_cli_is_seen_under_its_job_and_goes_on_from_there(dev: Dev) -> None:
    bad = node("bad", "generic.transform", value="{{ params.bad ? $error('no') : 1 }}")
    one = node("one", "generic.transform", value=1)
    dev.add("by_cli", chain(one, bad, params=PARAMS))
    project = find_project(dev.root)
    plan = compile_flow(dev.root / "flows" / "by_cli.json", project=project)
    summary = run_flow(project, plan, params={"bad": True})
    assert summary["status"] == "failure"
    label = {"key": ".dagster/repository", "value": "__repository__@cloudflow"}
    (run,) = dev.runs(pipelineName="by_cli", tags=[label])
    assert run["runId"] == summary["run_id"]

    dev.add("by_cli", chain(one, node("bad", "generic.transform", value=2), params=PARAMS))
    second = dev.end_of(dev.again(str(summary["run_id"])))
    assert steps(second) == {"bad": "SUCCESS"}


def test_a_called_flow_is_a_run_of_its_own(dev: Dev) -> None:
    result = {"id": "end", "type": "flow.result", "config": {"value": 7}}
    dev.add("called", chain(result))
    dev.add("calling", chain(node("call", "flow.call", flow="called")))
    run_id = dev.launch("calling")

    assert dev.end_of(run_id)["status"] == "SUCCESS"
    parent = {"key": tags.PARENT_RUN, "value": run_id}
    (child,) = dev.runs(pipelineName="called", tags=[parent])
    assert child["status"] == "SUCCESS"


def test_the_daemon_starts_what_is_scheduled(dev: Dev) -> None:
    run = eventually(lambda: dev.runs(pipelineName="ticking"), 100)[-1]

    assert dev.end_of(run["runId"])["status"] == "SUCCESS"
    assert "scheduled_at" in json.dumps(run["runConfig"])
    assert "at" in run["runConfig"]["params"]


def test_a_second_one_in_the_same_project_says_so(dev: Dev) -> None:
    second = subprocess.run(COMMAND, cwd=dev.root, capture_output=True, text=True, check=False)

    assert second.returncode == 2
    assert f"it runs already for this project: {dev.web}" in second.stderr


def test_a_port_that_is_taken_says_so(tmp_path: Path) -> None:
    root = make_project(tmp_path / "project")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ended = subprocess.run(
            [*COMMAND, "--port", port], cwd=root, capture_output=True, text=True, check=False
        )

    assert ended.returncode == 2
    assert f"port {port} of 127.0.0.1 cannot be used" in ended.stderr
    assert "--port 0" in ended.stderr


def test_an_address_that_others_reach_is_refused(tmp_path: Path) -> None:
    root = make_project(tmp_path / "project")
    ended = subprocess.run(
        [*COMMAND, "--host", "0.0.0.0"], cwd=root, capture_output=True, text=True, check=False
    )

    assert ended.returncode == 2
    assert "asks for no login" in ended.stderr


class Site:
    """Counts what is made, and says `open` once it is."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.is_open = False

    def __call__(self, asked: Asked) -> Answer:
        if asked.method == "POST":
            self.made.append(asked.path)
        said = "open" if self.is_open else "closed"
        return Answer(200, json.dumps(said), {"Content-Type": "application/json"})


def test_runs_go_on_by_themselves_after_it_was_stopped_and_after_it_was_killed(
    tmp_path: Path,
) -> None:
    root = make_project(tmp_path / "project")
    site = Site()
    with serving(site) as web:
        post = node("post", "generic.http.request", url=f"{web.url()}made", method="POST")
        gate = node("gate", "generic.http.request", url=f"{web.url()}gate")
        until = {"condition": "{{ output.body = 'open' }}", "interval": 0.2, "timeout": 600}
        flow = chain(post, {**gate, "until": until}, resumes=2)
        (root / "flows" / "long.json").write_text(json.dumps(flow))
        # The shortest wait for which a run is suspended; it is over when all was started again.
        waits = chain(node("wait", "logic.wait", seconds=61.5), node("end", "flow.result", value=1))
        (root / "flows" / "waits.json").write_text(json.dumps(waits))

        with started(root) as dev:
            waiting = dev.launch("waits")
            stopped = [first_of(dev, dev.launch("long"))]
            canceled = first_of(dev, dev.launch("long"))
            end_it = "mutation($id: String!) { terminateRun(runId: $id) { __typename } }"
            dev.ask(end_it, id=canceled)
            dev.end_of(canceled)
            eventually(lambda: dev.run(waiting)["status"] == "SUSPENDED", 240)
            said = end(dev, signal.SIGINT, 0)
        assert "1 run is interrupted, and goes on when `cloudflow dev` is started again." in said
        status = {run.run_id: run.status.value for run in runs_in(root)}
        assert status == {stopped[0]: "FAILURE", canceled: "CANCELED", waiting: "SUSPENDED"}

        with started(root) as dev:
            stopped.append(next_of(dev, stopped[0]))
            end(dev, signal.SIGKILL, -9)

        with started(root) as dev:
            stopped.append(next_of(dev, stopped[1]))
            site.is_open = True
            assert dev.end_of(stopped[2])["status"] == "SUCCESS"
            assert steps(dev.end_of(waiting, 240)) == dict.fromkeys(
                ("start", "wait", "end"), "SUCCESS"
            )
            end(dev, signal.SIGHUP, 0)
    assert site.made == ["/made", "/made"], "once for each of the two that were launched"
    runs = {run.run_id: run for run in runs_in(root)}
    assert runs.keys() == {*stopped, canceled, waiting}
    assert [runs[id].parent_run_id for id in stopped] == [None, *stopped[:2]]
    assert {runs[id].root_run_id for id in stopped[1:]} == {stopped[0]}


@contextmanager
def started(root: Path) -> Iterator[Dev]:
    dev = Dev.start(root)
    try:
        yield dev
    finally:
        dev.process.kill()
        dev.process.wait()
        assert dev.process.stdout is not None
        dev.process.stdout.close()


def first_of(dev: Dev, run_id: str) -> str:
    """Wait until a run stands at its gate."""
    eventually(lambda: steps(dev.run(run_id)).get("gate") == "IN_PROGRESS", 240)
    return run_id


def next_of(dev: Dev, run_id: str) -> str:
    """Wait until the run that goes on with another one stands at its gate."""
    tags = [{"key": "dagster/parent_run_id", "value": run_id}]
    (found,) = eventually(lambda: dev.runs(tags=tags), 240)
    return first_of(dev, found["runId"])


def end(dev: Dev, number: signal.Signals, status: int) -> str:
    """Stop everything; return what was said while it stopped."""
    assert len(everything_of(dev.root)) > 4
    dev.process.send_signal(number)
    assert dev.process.wait(120) == status
    eventually(lambda: not everything_of(dev.root), 120)
    assert dev.process.stdout is not None
    return dev.process.stdout.read()


def runs_in(root: Path) -> list[dg.DagsterRun]:
    with open_instance(find_project(root)) as instance:
        return list(instance.get_runs())


def test_all_is_stopped_when_a_part_ends_by_itself(tmp_path: Path) -> None:
    root = make_project(tmp_path / "project")
    dev = Dev.start(root)
    daemon = next(
        pid
        for pid in everything_of(root)
        if (Path("/proc") / str(pid) / "comm").read_text().strip() == "cf daemon"
    )
    os.kill(daemon, signal.SIGKILL)

    assert dev.process.wait(60) == 1
    assert dev.process.stdout is not None
    assert "the daemon ended with status -9" in dev.process.stdout.read()
    dev.process.stdout.close()
    eventually(lambda: not everything_of(root), 10)


def command(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND[:-1], *arguments], cwd=root, capture_output=True, text=True, check=False
    )


def test_an_approval_is_given_in_the_terminal_and_the_run_goes_on(dev: Dev) -> None:
    dev.add(
        "asks",
        chain(
            node("ask", "logic.wait", approval={"message": "Really?", "approvers": ["ada"]}),
            node("end", "flow.result", value="{{ nodes.ask.comment }}"),
        ),
    )
    waiting = command(dev.root, "run", "asks", "--format", "json")
    assert waiting.returncode == 3, waiting.stderr
    run = json.loads(waiting.stdout)["run_id"]
    answer_in_the_terminal(dev, run)

    told = command(dev.root, "run", "asks")
    assert told.returncode == 3, told.stderr
    run = told.stdout.rsplit("Run ", 1)[1].split(":")[0]
    line = f"Waits for the approval of ada. Really? `cloudflow approve {run[:8]} ask` answers it.\n"
    assert told.stdout.endswith(line)
    assert line in command(dev.root, "waits").stdout
    command(dev.root, "approve", run, "--by", "ada")
    assert dev.end_of(run)["status"] == "SUCCESS"


def test_a_run_launched_in_the_ui_is_suspended_while_it_waits(dev: Dev) -> None:
    dev.add(
        "asks",
        chain(
            node("ask", "logic.wait", approval={"message": "Really?", "approvers": ["ada"]}),
            node("end", "flow.result", value="{{ nodes.ask.comment }}"),
        ),
    )
    run = dev.launch("asks")
    eventually(lambda: dev.run(run)["status"] == "SUSPENDED", 60)
    answer_in_the_terminal(dev, run)


def answer_in_the_terminal(dev: Dev, run: str) -> None:
    shown = dev.run(run)
    assert shown["status"] == "SUSPENDED"
    assert {"key": tags.WAITS, "value": "Waits for the approval of ada. Really?"} in shown["tags"]

    (wait,) = json.loads(command(dev.root, "waits", "--format", "json").stdout)
    assert (wait["run_id"], wait["node"], wait["approvers"]) == (run, "ask", ["ada"])
    refused = command(dev.root, "approve", run[:8], "--by", "bob")
    assert (refused.returncode, "`bob`" in refused.stderr) == (2, True)
    assert "Did you mean `ask`?" in command(dev.root, "approve", run, "asl").stderr
    assert "`cloudflow approve`" in command(dev.root, "resume", run).stderr
    said = command(dev.root, "approve", run[:8], "--by", "ada", "--comment", "well")
    assert said.returncode == 0, said.stderr
    assert said.stdout == "Answered. The run goes on.\n"

    assert dev.end_of(run)["status"] == "SUCCESS"
    assert json.loads(command(dev.root, "waits", "--format", "json").stdout) == []
    again = command(dev.root, "approve", run, "--by", "ada")
    assert (again.returncode, "No run" in again.stderr or "no run" in again.stderr) == (2, True)
