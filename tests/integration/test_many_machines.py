"""A deployment on several machines: PostgreSQL, Redis, two Celery workers, and one is killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import pytest

from cloudflow_dagster.engine.instance import open_instance
from cloudflow_dagster.engine.this_process import pid_of
from cloudflow_dagster.project import find_project
from cloudflow_dagster.runtime.records import worker_in
from cloudflow_dagster.simulator import ENVIRONMENT_VARIABLE
from tests.fixtures.programs import Programs, over
from tests.fixtures.servers import environment, postgres, redis

pytestmark = pytest.mark.integration
HERE = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PATIENCE = 240.0
Json = Any


@dataclass
class Machines:
    """The parts of a deployment, each a process (and its children) with a log of its own."""

    programs: Programs
    web: str
    workers: list[subprocess.Popen[bytes]]

    def launch(self, flow: str) -> str:
        """Launch a run as a press on "Launch run" does; return its id."""
        selector = {
            "repositoryLocationName": "cloudflow",
            "repositoryName": "__repository__",
            "jobName": flow,
        }
        query = (
            "mutation ($given: ExecutionParams!) { launchRun(executionParams: $given) "
            "{ __typename ... on LaunchRunSuccess { run { runId } } "
            "... on PythonError { message } } }"
        )
        given = {"given": {"selector": selector, "runConfigData": {}}}
        body = json.dumps({"query": query, "variables": given}).encode()
        request = urllib.request.Request(
            f"{self.web}/graphql", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            said = json.load(answer)["data"]["launchRun"]
        assert said["__typename"] == "LaunchRunSuccess", said
        return said["run"]["runId"]

    def kill_who_executes(self, run_id: str) -> None:
        """Kill a worker with all its processes, as a machine that loses its power."""
        mark = worker_in(self.programs.project.records, run_id)
        assert mark is not None
        group = os.getpgid(pid_of(mark) or 0)
        assert group in {worker.pid for worker in self.workers}
        os.killpg(group, signal.SIGKILL)

    def ended(self, flow: str, runs: int = 1) -> list[dg.DagsterRun]:
        """Return the runs of a flow when there are so many and the last one has ended."""

        def look() -> list[dg.DagsterRun] | None:
            found = self.programs.runs_of(flow)
            return found if len(found) >= runs and found[-1].is_finished else None

        return eventually(look)

    def end_of(self, run_id: str) -> dg.DagsterRun:
        """Return a run when it has ended."""

        def look() -> dg.DagsterRun | None:
            run = self.programs.instance.get_run_by_id(run_id)
            return run if run and run.is_finished else None

        return eventually(look)


def eventually(condition: Callable[[], Any]) -> Any:
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        if found := condition():
            return found
        time.sleep(0.2)
    raise AssertionError(f"not within {PATIENCE:g} s")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def listening(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


class Parts(ExitStack):
    """Starts processes, each in a group of its own, and ends all that is left of them."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root

    def start(self, name: str, *command: str | Path) -> subprocess.Popen[bytes]:
        with (self.root / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [BIN / command[0], *command[1:]],
                cwd=self.root,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.callback(self.end, process)
        return process

    @staticmethod
    def end(process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@pytest.fixture(scope="module")
def cloud(separate_cloud: str) -> Iterator[str]:
    with environment(**{ENVIRONMENT_VARIABLE: separate_cloud}):
        yield separate_cloud


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory, cloud: str) -> Iterator[Machines]:
    root = tmp_path_factory.mktemp("machines")
    shutil.copytree(HERE / "flows", root / "flows")
    settings = (HERE / "cloudflow.yaml").read_text()
    marked = settings.replace("settings:\n", "settings:\n  database: {env: CLOUDFLOW_DATABASE}\n")
    (root / "cloudflow.yaml").write_text(marked)
    (root / "flows" / "many.json").write_text(json.dumps(MANY))
    home = root / ".cloudflow/dagster"
    home.mkdir(parents=True)
    shutil.copy(HERE / "deploy/dagster.yaml", home)
    code, web = free_port(), free_port()
    (root / "workspace.yaml").write_text(
        f"load_from: [{{grpc_server: {{host: 127.0.0.1, port: {code}, location_name: cloudflow}}}}]"
    )
    with ExitStack() as all_:
        address = all_.enter_context(postgres())
        broker = all_.enter_context(redis(root))
        all_.enter_context(
            environment(
                CLOUDFLOW_DATABASE=address.replace("postgresql://", "postgresql+psycopg2://"),
                CLOUDFLOW_BROKER=broker,
                DAGSTER_HOME=str(home),
            )
        )
        instance = all_.enter_context(open_instance(project := find_project(root)))
        parts = all_.enter_context(Parts(root))
        module = ("-m", "cloudflow_dagster.engine.code_location")
        parts.start("code", "dagster", "api", "grpc", *module, "-p", str(code))
        celery = ("celery", "-A", "cloudflow_dagster.engine.celery_worker", "worker")
        workers = [
            parts.start(name, *celery, "--concurrency", "2", "--hostname", f"{name}@%h")
            for name in ("one", "two")
        ]
        eventually(lambda: listening(code))
        parts.start("web", "dagster-webserver", "-w", "workspace.yaml", "-p", str(web))
        parts.start("daemon", "dagster-daemon", "run", "-w", "workspace.yaml")
        eventually(lambda: listening(web))
        yield Machines(Programs(project, instance), f"http://127.0.0.1:{web}", workers)


MANY = over(
    "{{ [1..12] }}",
    {
        "id": "make",
        "type": "aws.ec2.create_volume",
        "config": {"AvailabilityZone": "us-east-1a", "Size": "{{ item }}"},
    },
    {"id": "rest", "type": "logic.wait", "config": {"seconds": 1}},
    concurrency=2,
)
"""Twelve volumes of 1 to 12 GB, each made once."""


def sizes(cloud: str) -> list[int]:
    """Return the sizes of the volumes that the flow makes."""
    ec2 = boto3.client(
        "ec2", "us-east-1", endpoint_url=cloud, aws_access_key_id="a", aws_secret_access_key="b"
    )
    return sorted(volume["Size"] for volume in ec2.describe_volumes()["Volumes"])


@pytest.fixture(scope="module")
def killed(machines: Machines, cloud: str) -> tuple[str, list[int]]:
    """A run whose worker was killed, and the sizes of the volumes that were there before it.

    Dagster's daemon looks once a minute for what is to go on, so this comes first.
    """
    before = sizes(cloud)
    run_id = machines.launch("many")
    eventually(lambda: len(sizes(cloud)) >= len(before) + 3)
    machines.kill_who_executes(run_id)
    return run_id, before


@pytest.mark.usefixtures("killed")
def test_the_example_flows_run_unchanged(machines: Machines) -> None:
    flows = sorted(file.stem for file in (HERE / "flows").glob("*.json"))
    launched = {flow: machines.launch(flow) for flow in flows}
    for flow, run_id in launched.items():
        # By its id: one of the flows calls others of them.
        assert machines.end_of(run_id).status is dg.DagsterRunStatus.SUCCESS, flow


def test_a_worker_that_is_killed_leaves_the_right_cloud(
    machines: Machines, cloud: str, killed: tuple[str, list[int]]
) -> None:
    run_id, before = killed
    first, second = machines.ended("many", runs=2)
    assert first.status is dg.DagsterRunStatus.FAILURE
    assert second.status is dg.DagsterRunStatus.SUCCESS
    assert second.parent_run_id == run_id
    made = sizes(cloud)
    for size in before:
        made.remove(size)
    assert made == list(range(1, 13))
