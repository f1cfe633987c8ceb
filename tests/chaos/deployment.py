"""The processes: a simulated cloud that lives on, and a `cloudflow dev` that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cloudflow_dagster.engine.this_process import pid_of, process_is_gone
from cloudflow_dagster.project import Project
from cloudflow_dagster.runtime.records import worker_in

_MARK = "CLOUDFLOW_CHAOS"
"""In the environment of all that may be killed, and of nothing else."""
_COMMAND = Path(sys.executable).with_name("cloudflow")
_LIFELINE = [sys.executable, "-m", "cloudflow_dagster.engine.lifeline"]
_LAUNCH = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
__typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""


@dataclass
class Deployment:
    """`cloudflow dev` of one project, and commands beside it.

    Attributes:
        project: The project.
        cloud: Where its simulated cloud is reached.
    """

    project: Project
    cloud: str
    terminals: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    _dev: subprocess.Popen[bytes] | None = None
    _web: str = ""

    def start(self, *arguments: str, log: str) -> subprocess.Popen[bytes]:
        """Start a `cloudflow` command in the project's folder; what it prints goes to a file."""
        packages = str(self.project.root / "packages")
        environment = {_MARK: self._mark, "CLOUDFLOW_SIMULATED_AWS": self.cloud}
        environment["PYTHONPATH"] = packages
        logs = self.project.root / "terminals"
        logs.mkdir(exist_ok=True)
        with (logs / f"{log}.log").open("ab") as output:
            return subprocess.Popen(
                # It ends with this process, even if this one is killed.
                [*_LIFELINE, str(os.getpid()), _COMMAND, *arguments],
                cwd=self.project.root,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def open_terminal(self, *arguments: str) -> None:
        """Let a command run beside `cloudflow dev`."""
        self.terminals.append(self.start(*arguments, log=f"{'_'.join(arguments[:2])}"))

    @property
    def busy(self) -> bool:
        """Whether a command beside `cloudflow dev` goes on."""
        self.terminals = [each for each in self.terminals if each.poll() is None]
        return bool(self.terminals)

    def up(self) -> None:
        """Start `cloudflow dev` if it does not run, and wait until it can be used."""
        if self._dev is not None and self._dev.poll() is None:
            return
        self._wait_for_the_rest()
        facts = self.project.state / "dev.json"
        give_up = time.monotonic() + 180
        while True:
            facts.unlink(missing_ok=True)
            self._dev = self.start("dev", "--port", "0", log="dev")
            while not facts.exists() and self._dev.poll() is None and time.monotonic() < give_up:
                time.sleep(0.05)
            if self._dev.poll() is None and facts.exists():
                self._web = json.loads(facts.read_text())["web"]
                return
            # It may have been killed while it started.
            if self._dev.poll() != -signal.SIGKILL:
                raise AssertionError(f"`cloudflow dev` did not start; see {self.project.root}.")

    @property
    def is_up(self) -> bool:
        """Whether `cloudflow dev` goes on."""
        return self._dev is not None and self._dev.poll() is None

    def launch(self, job: str, params: dict[str, Any]) -> str:
        """Launch a run as the pages do; return its id."""
        selector = {
            "repositoryName": "__repository__",
            "repositoryLocationName": "cloudflow",
            "jobName": job,
        }
        given = {"params": {"selector": selector, "runConfigData": {"params": params}}}
        body = json.dumps({"query": _LAUNCH, "variables": given}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self._web}/graphql", body, headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            said = json.load(answer)["data"]["launchRun"]
        assert said["__typename"] == "LaunchRunSuccess", said
        return said["run"]["runId"]

    # Killing

    def worker(self, run_id: str) -> int | None:
        """Return the process that executes a run, if it lives."""
        mark = worker_in(self.project.records, run_id)
        return None if mark is None or process_is_gone(mark) else pid_of(mark)

    def kill_worker(self, run_id: str) -> bool:
        """Kill the process that executes a run; return whether there was one."""
        pid = self.worker(run_id)
        return pid is not None and _kill([pid]) > 0

    def kill_launcher(self, run_id: str, *, alone: bool) -> bool:
        """Kill the warm process and what it has forked.

        Args:
            run_id: A run.
            alone: Whether the process that executes the run is spared.
        """
        spared = self.worker(run_id) if alone else None
        return _kill(p for p in self._processes("cf warm", "warm.zygote") if p != spared) > 0

    def kill_dev(self) -> bool:
        """Kill `cloudflow dev` itself; what it has started ends with it, in order.

        That is waited for before another one starts, and not here: the call at which this happens
        is not answered meanwhile.
        """
        if self._dev is None or self._dev.poll() is not None:
            return False
        self._dev.kill()
        self._dev.wait()
        return True

    def _wait_for_the_rest(self) -> None:
        """Wait until what the `cloudflow dev` before has started has ended; runs may take long."""
        give_up = time.monotonic() + 60
        while (
            list(self._processes("cf ", "cloudflow_dagster.engine")) and time.monotonic() < give_up
        ):
            time.sleep(0.1)

    def kill_everything(self) -> bool:
        """Kill all processes of the project at once."""
        killed = 0
        while found := list(self._processes()):
            killed += _kill(found)
            for each in (self._dev, *self.terminals):
                if each is not None:
                    each.wait()
        return killed > 0

    def _processes(self, *words: str) -> Iterator[int]:
        """Yield the processes of this deployment whose name or command has one of these words."""
        mark = f"{_MARK}={self._mark}".encode()
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit() or int(folder.name) == os.getpid():
                continue
            with suppress(OSError):
                environment = (folder / "environ").read_bytes().split(b"\0")
                named = (folder / "comm").read_bytes() + (folder / "cmdline").read_bytes()
                if mark in environment and (not words or any(w.encode() in named for w in words)):
                    yield int(folder.name)


def _kill(pids: Any) -> int:
    count = 0
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            count += 1
    return count
