"""From a launch to the first step and the end of a run: `python -m benchmarks.launch`.

Chains of 1, 10 and 50 steps that do nothing, launched through the web server's API:

- plain Dagster (`dagster dev`, an instance with its defaults), with its default executor, which
  starts a process for each step, and with its in-process executor;
- the same jobs with our launcher in `dagster.yaml` and Dagster's in-process executor;
- CloudFlow (`cloudflow dev`), flows of as many nodes.

Then 100 launches of ten steps as fast as they are taken, and more of them, until there were 1,000:
the memory of the warm process and of all processes, before them, between and after them. Times
come from the run's history; the launch is the moment before the API is called.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.dev import memory_of

SIZES = (1, 10, 50)
CHAIN = 10
CLIENTS = 4
LIMIT = 600.0
_A_ROUND = 300
"""Runs between two looks at the memory."""
ENDED = frozenset({"SUCCESS", "FAILURE", "CANCELED"})
GOING_ON = ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING", "SUSPENDED")

JOBS = """
import dagster as dg

@dg.op(ins={"before": dg.In(dg.Nothing)}, out=dg.Out(dg.Nothing))
def step(): ...

def chain(kind, size, executor):
    @dg.job(name=f"{kind}_{size}", executor_def=executor)
    def made():
        last = None
        for n in range(size):
            last = step.alias(f"n{n}")(last) if last else step.alias(f"n{n}")()
    return made

kinds = {"processes": dg.multiprocess_executor, "in_process": dg.in_process_executor}
defs = dg.Definitions(
    jobs=[chain(kind, size, kinds[kind]) for kind in kinds for size in (1, 10, 50)]
)
"""
OUR_LAUNCHER = """
run_launcher:
  module: cloudflow_dagster.engine.launcher
  class: WarmRunLauncher
run_coordinator:
  module: dagster._core.run_coordinator
  class: DefaultRunCoordinator
telemetry:
  enabled: false
"""
LAUNCH = """mutation($job: JobOrPipelineSelector!) {
launchRun(executionParams: {selector: $job, runConfigData: {}}) {
__typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
RUN = """query($id: ID!) { runOrError(runId: $id) { ... on Run {
status startTime endTime stepStats { startTime } } } }"""
LEFT = """query($statuses: [RunStatus!]) { runsOrError(filter: {statuses: $statuses}) {
... on Runs { count } } }"""
LAST = """query($limit: Int) { runsOrError(limit: $limit) {
... on Runs { results { runId status endTime } } } }"""
READY = """{ workspaceOrError { ... on Workspace { locationEntries {
name locationOrLoadError { ... on RepositoryLocation { repositories { jobs { name } } } } } } } }"""


@dataclass(frozen=True)
class Times:
    """Seconds from the launch to the first step and to the end of the run."""

    first_step: float
    done: float


@dataclass(frozen=True)
class Server:
    """A running web server.

    Attributes:
        url: Where it listens.
        location: The code location with the jobs.
    """

    url: str
    location: str

    def ask(self, query: str, **variables: Any) -> Any:
        """Ask the API."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"{self.url}/graphql", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)["data"]

    def ready(self) -> bool:
        """Return whether it shows the jobs."""
        with suppress(OSError, ValueError, TypeError, KeyError):
            entries = self.ask(READY)["workspaceOrError"]["locationEntries"]
            return all(e["locationOrLoadError"]["repositories"][0]["jobs"] for e in entries)
        return False

    def launch(self, job: str) -> str:
        """Launch a run and return its id."""
        selector = {
            "repositoryName": "__repository__",
            "repositoryLocationName": self.location,
            "jobName": job,
        }
        return self.ask(LAUNCH, job=selector)["launchRun"]["run"]["runId"]

    def end_of(self, run_id: str) -> dict[str, Any]:
        """Wait for the end of a run."""

        def ended() -> dict[str, Any] | None:
            run = self.ask(RUN, id=run_id)["runOrError"]
            return run if run["status"] in ENDED else None

        run = _wait(ended, every=0.1)
        if run["status"] != "SUCCESS":
            raise RuntimeError(f"run {run_id} of {self.url} ended with {run['status']}")
        return run

    def timed(self, job: str) -> Times:
        """Launch a run and time it."""
        launched = time.time()
        run = self.end_of(self.launch(job))
        steps = [step["startTime"] for step in run["stepStats"] if step["startTime"]]
        return Times(min(steps) - launched, run["endTime"] - launched)

    def runs_a_second(self, job: str, count: int) -> float:
        """Launch many runs as fast as they are taken; return how many end in a second."""
        launched = time.time()
        with ThreadPoolExecutor(CLIENTS) as clients:
            ids = set(clients.map(lambda _: self.launch(job), range(count)))
        # One question for all of them: whoever waits must not keep the server busy.
        _wait(lambda: not self.ask(LEFT, statuses=GOING_ON)["runsOrError"]["count"], every=0.1)
        runs = self.ask(LAST, limit=count)["runsOrError"]["results"]
        if {run["runId"] for run in runs} != ids or {run["status"] for run in runs} != {"SUCCESS"}:
            raise RuntimeError(f"not all of {count} runs of {self.url} ended well")
        return count / (max(run["endTime"] for run in runs) - launched)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.launch", description=__doc__)
    parser.add_argument("--repeat", type=int, default=5, help="launches of each size")
    parser.add_argument("--plain", type=int, help="the same of plain Dagster, which is slow")
    parser.add_argument("--runs", type=int, default=100, help="launches as fast as they are taken")
    parser.add_argument("--total", type=int, default=1_000, help="runs until memory is seen last")
    parser.add_argument("--only", choices=["plain", "launcher", "cloudflow"], help="one of them")
    given = parser.parse_args()
    plain = given.plain or given.repeat
    rows: dict[str, dict[int, list[Times]]] = {}
    rates: dict[str, float] = {}
    sides: list[str] = [given.only] if given.only else ["plain", "launcher", "cloudflow"]
    if "plain" in sides:
        with _dagster("") as server:
            for kind in ("processes", "in_process"):
                few = {
                    size: min(plain, 2) if kind == "processes" and size > 10 else plain
                    for size in SIZES
                }
                rows[f"Dagster, {kind}"] = _latencies(server, kind, few)
            rates["Dagster, in_process"] = server.runs_a_second("in_process_10", max(5, plain))
    if "launcher" in sides:
        with _dagster(OUR_LAUNCHER) as server:
            name = "Dagster, in_process, our launcher"
            rows[name] = _latencies(server, "in_process", dict.fromkeys(SIZES, given.repeat))
            rates[name] = server.runs_a_second("in_process_10", given.runs)
    if "cloudflow" in sides:
        with _cloudflow() as (server, root):
            rows["CloudFlow"] = _latencies(server, "chain", dict.fromkeys(SIZES, given.repeat))
            memory = [("before", _warm_memory(root), _all_memory(root))]
            rates["CloudFlow"] = server.runs_a_second(f"chain_{CHAIN}", given.runs)
            done = given.runs
            memory.append((f"after {done}", _warm_memory(root), _all_memory(root)))
            while done < given.total:
                more = min(_A_ROUND, given.total - done)
                server.runs_a_second(f"chain_{CHAIN}", more)
                done += more
                memory.append((f"after {done}", _warm_memory(root), _all_memory(root)))
        print(f"{'memory, in MB, runs':36} {'warm process':>13} {'all processes':>14}")
        for name, warm, whole in memory:
            print(f"{name:36} {warm:13.1f} {whole:14.1f}")
    _print(rows, rates)


def _latencies(server: Server, kind: str, repeat: dict[int, int]) -> dict[int, list[Times]]:
    found: dict[int, list[Times]] = {}
    for size, times in repeat.items():
        if kind != "processes":  # where each step starts an interpreter, nothing gets warm
            server.timed(f"{kind}_{size}")
        found[size] = [server.timed(f"{kind}_{size}") for _ in range(times)]
    return found


def _print(rows: dict[str, dict[int, list[Times]]], rates: dict[str, float]) -> None:
    print(f"\n{'medians, in s':36} {'steps':>5} {'first step':>11} {'done':>8}  {'ratio':>7}")
    for size in SIZES:
        best = median(t.done for t in list(rows.values())[-1][size])
        for name, sizes in rows.items():
            first = median(t.first_step for t in sizes[size])
            done = median(t.done for t in sizes[size])
            print(f"{name:36} {size:5} {first:11.3f} {done:8.3f}  {done / best:6.1f}x")
    print(f"\nruns of {CHAIN} steps a second")
    for name, rate in rates.items():
        print(f"{name:36} {rate:8.2f}")


@contextmanager
def _dagster(settings: str) -> Generator[Server]:
    """Run `dagster dev` with an instance of its own."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "dagster.yaml").write_text(settings)
        (root / "jobs.py").write_text(JOBS)
        port = _free_port()
        command = ["-m", "dagster", "dev", "-h", "127.0.0.1", "-p", str(port), "-f", "jobs.py"]
        with _process([sys.executable, *command], root, DAGSTER_HOME=folder):
            server = Server(f"http://127.0.0.1:{port}", "jobs.py")
            _wait(server.ready)
            yield server


@contextmanager
def _cloudflow() -> Generator[tuple[Server, Path]]:
    """Run `cloudflow dev` in a project of its own."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "flows").mkdir()
        for size in SIZES:
            (root / "flows" / f"chain_{size}.json").write_text(json.dumps(_chain(size)))
        command = "from cloudflow_dagster.cli import main; main(prog_name='cloudflow')"
        with _process([sys.executable, "-c", command, "dev", "--port", "0"], root):
            facts = root / ".cloudflow" / "dev.json"
            _wait(facts.exists)
            yield Server(json.loads(facts.read_text())["web"], "cloudflow"), root


def _chain(size: int) -> dict[str, Any]:
    nodes = [
        {"id": f"n{n}", "type": "generic.transform", "config": {"value": n}} for n in range(size)
    ]
    edges = [{"source": f"n{n - 1}", "target": f"n{n}"} for n in range(1, size)]
    return {"version": 1, "nodes": nodes, "edges": edges}


@contextmanager
def _process(command: Sequence[str], folder: Path, **environment: str) -> Generator[None]:
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **environment},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(60)
            # `dagster dev` does not always take its children with it.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _warm_memory(root: Path) -> float:
    """Return the private memory in MB of the zygote and what it has forked to have code loaded."""
    (place,) = (root / ".cloudflow" / "dagster" / "run_workers").glob("*.place")
    zygote = int(json.loads(place.read_text())["pid"])
    children = Path(f"/proc/{zygote}/task/{zygote}/children").read_text().split()
    return sum(_private(int(pid)) for pid in [zygote, *children])


def _all_memory(root: Path) -> float:
    """Return the memory in MB of all processes of a project, each shared page counted once."""
    return sum(memory_of(root).values())


def _private(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private")) / 1024


def _wait(condition: Callable[[], Any], every: float = 0.25) -> Any:
    give_up = time.monotonic() + LIMIT
    while time.monotonic() < give_up:
        found = condition()
        if found:
            return found
        time.sleep(every)
    raise TimeoutError(f"not within {LIMIT:.0f} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    main()
