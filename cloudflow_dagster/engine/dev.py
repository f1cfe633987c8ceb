"""`cloudflow dev`: everything that a project needs, started by one process and stopped by it.

It starts the simulated cloud (if a credential uses it), a code server that sees changes in
`flows/`, the process that runs are forked from, Dagster's web server and Dagster's daemon, each as
a process of its own. Those with Dagster in them are forked from this one, which imports it once for
all while the simulated cloud is filled. What ends by itself ends all: nothing is restarted in
silence.
"""

from __future__ import annotations

import fcntl
import ipaddress
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import yaml

from cloudflow_dagster.engine import processes
from cloudflow_dagster.engine.forked import Program, can_fork, fork_or_start, preload
from cloudflow_dagster.engine.instance import dagster_home, open_instance
from cloudflow_dagster.engine.processes import Child
from cloudflow_dagster.engine.storage import StorageError, storage_explained, try_out
from cloudflow_dagster.flow.files import flows_in
from cloudflow_dagster.project import Project
from cloudflow_dagster.simulator import (
    ENVIRONMENT_VARIABLE,
    SimulatorMissingError,
    check_installed,
)
from cloudflow_dagster.simulator.server import listening

LOCATION = "cloudflow"
"""As in `origins.py`, which would import Dagster."""

_CODE_SERVER = "code server"
_BROKEN = " Broken: "
"""As the code server's log has it; importing that module would import Dagster."""
_PATIENCE = 20.0
"""Seconds that a process has to end; the code server interrupts its runs meanwhile."""
_START = 180.0
"""Seconds until something must answer."""
_COULD_NOT = 2
_SIMULATOR = "simulated cloud"
_ENGINE = "cloudflow_dagster.engine"
_SHARED = (
    f"{_ENGINE}.code_server",
    f"{_ENGINE}.flows_location",
    f"{_ENGINE}.warm.dead",
    f"{_ENGINE}.warm.location",
    "dagster._daemon.cli",
)
"""What more than one of the processes imports."""


class DevError(Exception):
    """It cannot be started, or something of it has ended; the message says what to do."""


def dev(project: Project, host: str = "127.0.0.1", port: int = 3000) -> int:
    """Start everything, and stop it on Ctrl-C, SIGTERM or SIGHUP.

    Args:
        project: The project.
        host: The address of the web UI; of this machine alone, because the UI asks for no login.
        port: Its port; 0 for any that is free.

    Returns:
        The exit status: 0 after it was told to stop, 1 if something ended by itself, 2 if it could
        not be started.
    """
    told = threading.Event()
    ready = False
    try:
        with ExitStack() as stack:
            stack.enter_context(_signals(told))
            try_out(project)
            stack.enter_context(_only_one(project))
            address = _address(host, port)
            running = _Running(project, *address)
            stack.callback(running.stop)
            running.start(told)
            ready = True
            if not told.is_set():
                running.announce(stack)
                running.watch(told)
    except (DevError, StorageError) as error:
        sys.stderr.write(f"cloudflow dev: {error}\n")
        return 1 if ready else _COULD_NOT
    return 0


@dataclass
class _Running:
    """What was started."""

    project: Project
    host: str
    port: int
    children: list[Child] = field(default_factory=list[Child])
    simulated_aws: str | None = None
    _warm: Child | None = None

    @property
    def web(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def start(self, told: threading.Event) -> None:
        """Start the processes and wait until the web UI shows the flows."""
        # A path to a socket may have about 100 characters, and the project may lie deeper.
        runtime = Path(tempfile.mkdtemp(prefix="cloudflow-"))
        self._runtime = runtime
        code = runtime / "code.sock"
        workspace = runtime / "workspace.yaml"
        server = {"socket": str(code), "location_name": LOCATION}
        workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}), "utf-8")
        with storage_explained(self.project):
            environment = {"DAGSTER_HOME": str(dagster_home(self.project))}
        self._say("Starting …")
        filled = self._start_simulator(environment)
        if can_fork():
            preload(_SHARED)
        self._warm_up(Path(environment["DAGSTER_HOME"]), environment)
        arguments = ["--socket", str(code)]
        self._fork(_CODE_SERVER, f"{_ENGINE}.code_server", "main", arguments, environment)
        page = ["-h", self.host, "-p", str(self.port), "-w", str(workspace)]
        self._fork("web server", f"{_ENGINE}.flows_location", "web_server", page, environment)
        self._wait(told, lambda: _accepts(code))
        # At `info` it writes lines every few seconds although nothing happens.
        quiet = ["run", "-w", str(workspace), "--log-level", "warning"]
        # It goes on with runs that are interrupted, and must not while all of this ends.
        where = f"{_ENGINE}.flows_location"
        self._fork("daemon", where, "daemon", quiet, environment, at_once=True)
        self._wait(told, filled)
        self._wait(told, lambda: _shows_flows(self.web))

    def _warm_up(self, home: Path, environment: dict[str, str]) -> None:
        """Start what runs are forked from, unless the instance has another launcher.

        It may end by itself: then the next launch starts another.
        """
        settings = (home / "dagster.yaml").read_text("utf-8", errors="replace")
        if sys.platform != "linux" or f"{_ENGINE}.launcher" not in settings:
            return
        code = ["--module", f"{_ENGINE}.code_location"]
        arguments = ["--interrupts", "--home", str(home), *code]
        self._fork("warm process", f"{_ENGINE}.warm.zygote", "main", arguments, environment)
        self._warm = self.children.pop()

    def _cool_down(self) -> None:
        """Stop that, and interrupt the runs that it has not launched itself."""
        if self._warm is None:
            return
        processes.stop([self._warm], _PATIENCE)
        if self._going_on():
            home = self.project.state / "dagster"
            command = [sys.executable, "-m", f"{_ENGINE}.warm.interrupt"]
            with suppress(subprocess.TimeoutExpired):
                subprocess.run(  # noqa: S603 - the command is ours
                    [*command, "--home", str(home)], check=False, timeout=_PATIENCE
                )

    def _going_on(self) -> int:
        """Return how many runs go on in workers."""
        return len(list((self.project.state / "dagster" / "run_workers").glob("*.json")))

    def _fork(
        self,
        name: str,
        module: str,
        function: str,
        arguments: list[str],
        environment: dict[str, str],
        *,
        at_once: bool = False,
    ) -> None:
        child = fork_or_start(
            name,
            Program(module, function, arguments),
            logs=self.project.state / "logs",
            environment={**environment, "PYTHONUNBUFFERED": "1"},
            folder=self.project.root,
            at_once=at_once,
        )
        self.children.append(child)

    def _start_simulator(self, environment: dict[str, str]) -> Callable[[], bool]:
        """Start the simulated cloud, if there is to be one; return whether it is filled, to ask.

        Its address goes into the environment of the others, which wait for its answers till then.
        """
        self.simulated_aws = os.environ.get(ENVIRONMENT_VARIABLE)
        if not self.project.simulated or self.simulated_aws:
            return lambda: True
        try:
            check_installed()
        except SimulatorMissingError as error:
            raise DevError(str(error)) from None
        with listening() as listener:
            address, port = listener.getsockname()
            number = listener.fileno()
            child = processes.start(
                _SIMULATOR,
                [sys.executable, "-m", "cloudflow_dagster.simulator", "--socket", str(number)],
                logs=self.project.state / "logs",
                environment={"PYTHONUNBUFFERED": "1"},
                folder=self.project.root,
                inherited=[number],
            )
        self.children.append(child)
        endpoint = f"http://{address}:{port}"
        self.simulated_aws = environment[ENVIRONMENT_VARIABLE] = endpoint
        return lambda: endpoint in child.log.read_text("utf-8", errors="replace")

    def _wait(self, told: threading.Event, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds, all is told to stop, or something has ended."""
        give_up = time.monotonic() + _START
        while not told.is_set() and not condition():
            self._check()
            if time.monotonic() > give_up:
                logs = self.project.state / "logs"
                raise DevError(f"it did not start within {_START:.0f} s; see {logs}.")
            told.wait(0.1)

    def _check(self) -> None:
        for child in self.children:
            if child.ended:
                self._try_the_instance()
                raise DevError(
                    f"the {child.name} ended with status {child.process.returncode}, so all is "
                    f"stopped. Its last lines ({child.log}):\n{child.last_words()}"
                )

    def _try_the_instance(self) -> None:
        """Say it in our words if it is the instance that does not open.

        Only now, because Dagster's import costs more than a second.

        Raises:
            StorageError: It does not.
        """
        with storage_explained(self.project), open_instance(self.project):
            pass

    def announce(self, stack: ExitStack) -> None:
        """Say where to look, to people and to other commands."""
        state = self.project.state / "dev.json"
        facts = {"pid": os.getpid(), "simulated_aws": self.simulated_aws, "web": self.web}
        fresh = state.with_name(f".dev.json.{secrets.token_hex(4)}")
        fresh.write_text(json.dumps(facts) + "\n", "utf-8")
        fresh.replace(state)
        stack.callback(state.unlink, missing_ok=True)
        flows = len(flows_in(self.project.flows))
        lines = [
            "CloudFlow is running. Ctrl-C stops it.",
            f"  Web UI         {self.web}",
            f"  Flows          {_short(self.project.flows)} ({flows}; changes are seen at once)",
            f"  Logs           {_short(self.project.state / 'logs')}",
        ]
        if self.simulated_aws:
            lines.insert(2, f"  Simulated AWS  {self.simulated_aws}")
        for line in lines:
            self._say(line)

    def watch(self, told: threading.Event) -> None:
        """Wait until told to stop."""
        server = next(child for child in self.children if child.name == _CODE_SERVER)
        with server.log.open(encoding="utf-8", errors="replace") as log:
            while not told.wait(0.3):
                self._check()
                self._pass_on(log)

    def _pass_on(self, log: TextIO) -> None:
        """Show what the code server's log says of flows that have become broken."""
        for line in log:
            _, broken, rest = line.partition(_BROKEN)
            if broken:
                self._say(f"{broken}{rest}".strip())

    def stop(self) -> None:
        """Stop everything that was started."""
        self._say(_stopping(self._going_on()))
        # What could launch more runs ends before these are interrupted, and what they use after.
        simulator = [child for child in self.children if child.name == _SIMULATOR]
        processes.stop([child for child in self.children if child not in simulator], _PATIENCE)
        self._cool_down()
        processes.stop(simulator, _PATIENCE)
        shutil.rmtree(self._runtime, ignore_errors=True)

    @staticmethod
    def _say(line: str) -> None:
        with suppress(BrokenPipeError, OSError):
            # A terminal that is gone (SIGHUP) must not keep anything from being stopped.
            sys.stdout.write(line + "\n")
            sys.stdout.flush()


@contextmanager
def _signals(told: threading.Event) -> Generator[None]:
    """Note the signals that stop; a second one kills at once what is still there."""

    def stop(_number: int, _frame: object) -> None:
        told.set()

    names = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {name: signal.signal(name, stop) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


@contextmanager
def _only_one(project: Project) -> Generator[None]:
    """Let one `cloudflow dev` run in a project."""
    project.state.mkdir(parents=True, exist_ok=True)
    with (project.state / "dev.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DevError(f"it runs already for this project{_where(project)}.") from None
        yield


def _where(project: Project) -> str:
    try:
        facts: dict[str, Any] = json.loads((project.state / "dev.json").read_text("utf-8"))
        return f": {facts['web']} (process {facts['pid']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _address(host: str, port: int) -> tuple[str, int]:
    """Return the address to listen on, with a free port for 0.

    Raises:
        DevError: It is not one of this machine alone, or somebody else listens there.
    """
    name = "127.0.0.1" if host == "localhost" else host
    try:
        loopback = ipaddress.ip_address(name).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise DevError(
            f"`{host}` is an address that others can reach, and the web UI asks for no login: "
            "whoever opens it can start flows with your credentials. Leave it on 127.0.0.1 and "
            "reach it by `ssh -L`, or through a proxy that asks for a login."
        )
    family = socket.AF_INET6 if ":" in name else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((name, port))
        except OSError as error:
            raise DevError(
                f"port {port} of {host} cannot be used ({error.strerror}). Name another with "
                "`--port`; `--port 0` takes any that is free."
            ) from None
        return name, probe.getsockname()[1]


def _accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
        return True


_LOADED = """{ workspaceOrError { ... on Workspace { locationEntries {
  loadStatus locationOrLoadError { __typename } } } } }"""
_RELOAD = """mutation($name: String!) { reloadRepositoryLocation(repositoryLocationName: $name) {
  __typename } }"""


def _shows_flows(web: str) -> bool:
    """Return whether the web UI answers and has loaded the flows."""
    try:
        workspace = _ask(web, _LOADED)["workspaceOrError"]
        entries: list[Any] = workspace["locationEntries"]
        if any(_failed(entry) for entry in entries):
            # It looked before the code server was there. It would look again, but in 10 s.
            _ask(web, _RELOAD, {"name": LOCATION})
            return False
        return bool(entries) and all(entry["loadStatus"] == "LOADED" for entry in entries)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _failed(entry: Any) -> bool:
    found = entry["locationOrLoadError"]
    return bool(found) and found["__typename"] == "PythonError"


def _ask(web: str, query: str, variables: dict[str, str] | None = None) -> Any:
    body = json.dumps({"query": query, "variables": variables or {}}).encode()
    request = urllib.request.Request(  # noqa: S310 - the address is ours
        f"{web}/graphql", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - as above
        return json.load(answer)["data"]


def _stopping(runs: int) -> str:
    """Say what becomes of the runs that go on."""
    if not runs:
        return "Stopping …"
    said = "1 run is interrupted, and goes" if runs == 1 else f"{runs} runs are interrupted, and go"
    return f"Stopping … {said} on when `cloudflow dev` is started again."


def _short(path: Path) -> str:
    with suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)
