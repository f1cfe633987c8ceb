"""No secret rests anywhere: canaries are planted, flows are run, and every byte is searched.

The flows of `canary_project.py` send secrets from all sources to a server that echoes them in every
way it can think of; they succeed, fail, are retried and caught, in loops and child runs, from the
command line and from Dagster's pages. What the processes print, what they are called with, and all
that they leave in the project, the home folder and the folder for temporary files is searched. The
simulated cloud and the server are other machines: what they know is not looked at.
"""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.canary_project import Planted, leave_out, plant, write_flows
from tests.fixtures.echoes import site
from tests.fixtures.web import Web, serving

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("canaries")]

COMMAND = [sys.executable, "-c", "from cloudflow_dagster.cli import main; main()"]
ENDS = {
    "echoes": "success",
    "failures": "failure",
    "loops": "failure",
    "parent": "success",
    "cloud": "success",
    "code": "failure",
}
"""How each flow ends."""
KILLED = "drips"
"""The flow whose run is killed: nobody records its end."""
_EVENTS = """query($run: ID!, $after: String) { logsForRun(runId: $run, afterCursor: $after) {
  ... on EventConnection { cursor hasMore events { __typename
    ... on MessageEvent { message stepKey }
    ... on DisplayableEvent { label description metadataEntries { label description
      ... on JsonMetadataEntry { jsonString } ... on MarkdownMetadataEntry { mdStr }
      ... on TextMetadataEntry { text } ... on PathMetadataEntry { path } } }
    ... on ErrorEvent { error { message stack causes { message stack } } }
  } } } }"""
_RUNS = """{ runsOrError { ... on Runs { results { runId status jobName runConfigYaml
  tags { key value } } } } }"""


@dataclass
class Place:
    """The project, and what its processes find around them."""

    root: Path
    planted: Planted
    web: Web
    environment: dict[str, str]
    called: set[bytes] = field(default_factory=set[bytes])
    """The command lines that were seen while something ran."""

    @property
    def around(self) -> Path:
        return self.root.parent

    def command(self, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *args],
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def found(self) -> dict[str, set[str]]:
        """Search everything that rests."""
        return self.planted.search.folder(self.around, leave_out(self.root))


@pytest.fixture(scope="module")
def place(separate_cloud: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    around = tmp_path_factory.mktemp("canaries")
    root, home, temporary = around / "project", around / "home", around / "tmp"
    home.mkdir()
    temporary.mkdir()
    planted = plant(root, separate_cloud)
    environment = {
        **os.environ,
        **planted.environment,
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "CLOUDFLOW_SIMULATED_AWS": separate_cloud,
    }
    with serving(site) as web, _watched() as called:
        write_flows(root, web.url("").rstrip("/"))
        yield Place(root, planted, web, environment, called)


class _watched:  # noqa: N801 - used like a function
    """Notes the command lines of all processes of this machine, again and again."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> set[bytes]:
        self._thread.start()
        return self._seen

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.1):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    self._seen.add(path.read_bytes())


@pytest.fixture(scope="module")
def printed(place: Place) -> dict[str, subprocess.CompletedProcess[str]]:
    """What `cloudflow run` printed for each flow, by what it was asked."""
    asked: dict[str, Sequence[str]] = {flow: (flow, "--format", "json") for flow in ENDS}
    asked["in words"] = ("failures",)
    asked["pinned"] = ("pinned", "--pinned")
    asked["one node"] = ("pinned", "--only", "after")
    done = {name: place.command("run", *args) for name, args in asked.items()}
    earlier = json.loads(done["code"].stdout)["run_id"]
    done["again"] = place.command("run", "code", "--only", "looks", "--from", earlier)
    return done


Printed = dict[str, subprocess.CompletedProcess[str]]


@pytest.mark.parametrize("flow", ENDS)
def test_the_flow_does_what_it_is_meant_to(place: Place, printed: Printed, flow: str) -> None:
    done = printed[flow]
    summary = json.loads(done.stdout)
    assert summary["status"] == ENDS[flow], done.stderr
    assert done.returncode == (0 if ENDS[flow] == "success" else 1)
    ended = {node: state["status"] for node, state in summary["nodes"].items()}
    assert "not_run" not in ended.values() or flow == "loops"


def test_other_ways_to_run_end_as_they_are_meant_to(printed: Printed) -> None:
    for name, status in (("in words", 1), ("pinned", 0), ("one node", 0), ("again", 0)):
        assert printed[name].returncode == status, printed[name].stderr


def test_the_server_really_got_all_secrets(place: Place, printed: Printed) -> None:
    """Otherwise there would be nothing to find."""
    came = "\n".join(
        json.dumps([asked.path, asked.pairs, asked.headers, asked.body.decode()])
        for asked in place.web.asked
    )
    planted = place.planted
    names = {find.partition(" (")[0] for find in planted.search.text(came)}
    assert names == {c.name for c in (planted.env, planted.file, planted.aws, planted.ssm)} | {
        c.name for c in planted.key
    }


def test_nothing_that_is_printed_holds_a_secret(place: Place, printed: Printed) -> None:
    for name, done in printed.items():
        assert not place.planted.search.text(done.stdout + done.stderr), name
        if name in ENDS:
            assert not place.planted.search.json(json.loads(done.stdout)), name


def test_the_answers_are_seen_but_for_the_secrets(printed: Printed) -> None:
    nodes = json.loads(printed["echoes"].stdout)["nodes"]
    assert nodes["as_plain"]["output"]["body"].startswith("You sent: ***\nk=***; x\n")
    assert nodes["as_json"]["output"]["body"]["sent"][0] == "***"
    assert "bob:***" in nodes["bearer"]["output"]["body"]["sent"] or "***" in str(nodes["bearer"])
    errors = json.loads(printed["failures"].stdout)["nodes"]
    assert "***" in errors["page"]["error"]["message"]
    assert "***" in errors["bucket"]["error"]["message"]


def test_nothing_that_rests_holds_a_secret(place: Place, printed: Printed) -> None:
    assert printed
    assert place.found() == {}
    stored = {path.name for path in (place.root / ".cloudflow").rglob("*")}
    assert {"records.sqlite", "runs.db", "files"} <= stored


def test_nobody_was_called_with_a_secret(place: Place, printed: Printed) -> None:
    assert printed
    assert len(place.called) > len(printed)
    assert not place.planted.search.data(b"\n".join(place.called))


def test_nothing_is_left_behind_for_others(place: Place, printed: Printed) -> None:
    assert printed
    assert not list((place.around / "tmp").iterdir())


def test_an_interrupted_run_leaves_no_secret(place: Place, printed: Printed) -> None:
    """Killed while large answers are being written."""
    assert printed
    process = subprocess.Popen(
        [*COMMAND, "run", KILLED],
        cwd=place.root,
        env=place.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    folders = place.root / ".cloudflow" / "files"
    give_up = time.monotonic() + 60
    while not any(p.stat().st_size > 100_000 for p in folders.rglob("*.part")):
        assert process.poll() is None
        assert time.monotonic() < give_up
        time.sleep(0.05)
    process.kill()
    out, _ = process.communicate()
    assert not place.planted.search.data(out)
    assert place.found() == {}


class Dev:
    """`cloudflow dev`, asked as Dagster's pages ask."""

    def __init__(self, place: Place) -> None:
        self.log = place.around / "dev.log"
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [*COMMAND, "dev", "--port", "0"],
                cwd=place.root,
                env=place.environment,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        state = place.root / ".cloudflow" / "dev.json"
        give_up = time.monotonic() + 240
        while not state.exists():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < give_up, self.log.read_text()
            time.sleep(0.2)
        self.web = json.loads(state.read_text())["web"]

    def get(self, path: str, body: Any = None) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.web}{path}", data, headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()

    def ask(self, query: str, **variables: Any) -> Any:
        answer = json.loads(self.get("/graphql", {"query": query, "variables": variables}))
        assert "errors" not in answer, answer
        return answer["data"]

    def launch(self, job: str) -> str:
        selector = {
            "repositoryName": "__repository__",
            "repositoryLocationName": "cloudflow",
            "jobName": job,
        }
        answer = self.ask(
            "mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {"
            " ... on LaunchRunSuccess { run { runId } } } }",
            params={"selector": selector, "runConfigData": {}},
        )
        return answer["launchRun"]["run"]["runId"]

    def runs(self, but: str = "") -> list[dict[str, Any]]:
        """Return all runs, but for those of one job."""
        runs = self.ask(_RUNS)["runsOrError"]["results"]
        return [run for run in runs if run["jobName"] != but]

    def events(self, run: str) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        after = None
        while True:
            page = self.ask(_EVENTS, run=run, after=after)["logsForRun"]
            events += page["events"]
            after = page["cursor"]
            if not page["hasMore"]:
                return events

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(120)


@dataclass
class Shown:
    """What Dagster's pages showed of the runs that were launched from them."""

    ended: dict[str, str]
    pages: dict[str, bytes]
    why: list[str]
    """What was said of failures in runs that were meant to end otherwise."""


@pytest.fixture(scope="module")
def shown(place: Place, printed: Printed) -> Shown:
    assert printed
    dev = Dev(place)
    try:
        launched = {flow: dev.launch(flow) for flow in ENDS}
        give_up = time.monotonic() + 240
        while any(run["status"] not in {"SUCCESS", "FAILURE"} for run in dev.runs(KILLED)):
            assert time.monotonic() < give_up
            time.sleep(0.5)
        runs = {run["runId"]: run for run in dev.runs()}
        ended = {flow: runs[id]["status"].lower() for flow, id in launched.items()}
        pages = {"runs": json.dumps(list(runs.values())).encode()}
        for id, run in runs.items():
            name = f"{run['jobName']} {id}"
            pages[f"{name}, events"] = json.dumps(dev.events(id)).encode()
            pages[f"{name}, file"] = gzip.decompress(dev.get(f"/download_debug/{id}"))
        why = [
            text
            for flow, end in ENDS.items()
            if ended[flow] != end
            for text in map(json.dumps, dev.events(launched[flow]))
            if "ailed" in text
        ]
    finally:
        dev.stop()
    return Shown(ended, pages, why)


def test_runs_from_dagsters_pages_end_as_they_are_meant_to(shown: Shown) -> None:
    assert shown.ended == ENDS, "\n".join(shown.why)


def test_dagsters_pages_show_no_secret(place: Place, shown: Shown) -> None:
    for name, page in shown.pages.items():
        assert not place.planted.search.data(page), name
        if not name.endswith("file"):
            assert not place.planted.search.json(json.loads(page)), name
    events = b"".join(page for name, page in shown.pages.items() if name.endswith("events"))
    assert b"***" in events
    assert b"ExecutionStepOutputEvent" in events
    assert b"mdStr" in events
    assert b"jsonString" in events


def test_and_nothing_that_rests_afterwards_holds_one(place: Place, shown: Shown) -> None:
    assert shown.pages
    assert place.found() == {}
    assert not place.planted.search.data(b"\n".join(place.called))
    logs = {path.name for path in (place.root / ".cloudflow" / "logs").iterdir()}
    assert {"code_server.log", "web_server.log", "daemon.log"} <= logs
    assert not [p for p in (place.around / "tmp").iterdir() if p.name.startswith("cloudflow")]
