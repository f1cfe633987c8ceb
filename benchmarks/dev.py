"""`cloudflow dev` beside plain `dagster dev`: `python -m benchmarks.dev [--quick] [--flows 20]`.

For each number of flows of ten nodes, both are started in turn, so that what else the machine does
befalls both: `cloudflow dev` on a folder of flows, and `dagster dev` on a file with as many jobs of
as many ops, written by hand, with an instance of its own that has been set up. Prints medians of:

- usable: seconds from the start until the web server lists all jobs and gives one's graph, and the
  daemon has reported;
- memory: PSS of all processes together (each shared page counted once), ten seconds later;
- idle: CPU time of all processes in a minute in which nobody does anything;
- added, changed, deleted: seconds from the change of one file until the web server shows it; plain
  Dagster never does by itself, so its reload is asked for as the button in the UI does;
- work: CPU time of all processes for one of these changes, less what they use idle.
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
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

NODES = 10
ROUNDS = 5
PATIENCE = 600.0
"""Seconds until something must have happened."""
SETTLE = 10.0
IDLE = 15.0
TICK = os.sysconf("SC_CLK_TCK")
CLOUDFLOW = "from cloudflow_dagster.cli import main; main(prog_name='cloudflow')"
DAGSTER = "import sys; from dagster._cli import main; sys.argv[0] = 'dagster'; main()"


@dataclass
class Measured:
    """What came out of one start."""

    numbers: dict[str, float] = field(default_factory=dict[str, float])
    parts: dict[str, float] = field(default_factory=dict[str, float])


class Contender:
    """A project of so many flows, and the command that serves it."""

    name: str
    reload = False

    def __init__(self, root: Path, flows: int) -> None:
        self.root = root
        self.flows = flows

    def write(self) -> None:
        """Write the project."""
        raise NotImplementedError

    def command(self, port: int) -> list[str]:
        """Return what starts it."""
        raise NotImplementedError

    def put(self, number: int, text: str) -> None:
        """Write a flow whose description is the text."""
        raise NotImplementedError

    def drop(self, number: int) -> None:
        """Delete a flow."""
        raise NotImplementedError


class Ours(Contender):
    """`cloudflow dev`, with a folder of flows."""

    name = "CloudFlow"

    def write(self) -> None:
        """Write the project."""
        (self.root / "flows").mkdir(parents=True)
        for number in range(self.flows):
            self.put(number, f"Flow {number}.")

    def command(self, port: int) -> list[str]:
        """Return what starts it."""
        return [sys.executable, "-c", CLOUDFLOW, "dev", "--port", str(port)]

    def put(self, number: int, text: str) -> None:
        """Write a flow whose description holds the text."""
        self._file(number).write_text(json.dumps(flow(text)))

    def drop(self, number: int) -> None:
        """Delete a flow."""
        self._file(number).unlink()

    def _file(self, number: int) -> Path:
        return self.root / "flows" / f"flow_{number}.json"


class Plain(Contender):
    """`dagster dev`, with a module of jobs."""

    name = "plain Dagster"
    reload = True

    def write(self) -> None:
        """Write the project."""
        self.root.mkdir(parents=True)
        home = self.root / "home"
        home.mkdir()
        (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        self.texts = {number: f"Flow {number}." for number in range(self.flows)}
        (self.root / "texts.json").write_text(json.dumps(self.texts))
        (self.root / "jobs.py").write_text(JOBS)

    def command(self, port: int) -> list[str]:
        """Return what starts it."""
        return [sys.executable, "-c", DAGSTER, "dev", "-f", "jobs.py", "-p", str(port)]

    def put(self, number: int, text: str) -> None:
        """Write a flow whose description holds the text."""
        self.texts[number] = text
        (self.root / "texts.json").write_text(json.dumps(self.texts))

    def drop(self, number: int) -> None:
        """Delete a flow."""
        del self.texts[number]
        (self.root / "texts.json").write_text(json.dumps(self.texts))


JOBS = f"""
import json
from pathlib import Path
import dagster as dg

def node(flow, number):
    if number == 0:
        @dg.op(name=f"{{flow}}__n0", out=dg.Out(dg.Nothing))
        def start() -> None: ...
        return start
    before = {{"before": dg.In(dg.Nothing)}}
    @dg.op(name=f"{{flow}}__n{{number}}", ins=before, out=dg.Out(dg.Nothing))
    def work() -> None: ...
    return work

def job(name, description):
    ops = [node(name, number) for number in range({NODES})]
    @dg.job(name=name, description=description)
    def made():
        last = ops[0]()
        for op in ops[1:]:
            last = op(last)
    return made

texts = json.loads(Path("texts.json").read_text())
defs = dg.Definitions(jobs=[job(f"flow_{{n}}", text) for n, text in texts.items()])
"""


def flow(description: str) -> dict[str, Any]:
    """Return a flow of ten nodes in a chain."""
    nodes: list[dict[str, Any]] = [{"id": "start", "type": "trigger.manual"}]
    nodes += [
        {"id": f"n{n}", "type": "generic.transform", "config": {"value": f"value {n}"}}
        for n in range(1, NODES)
    ]
    edges = [{"source": nodes[n - 1]["id"], "target": nodes[n]["id"]} for n in range(1, NODES)]
    return {"version": 1, "description": description, "nodes": nodes, "edges": edges}


class Web:
    """The web server of one that was started."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/graphql"

    def ask(self, query: str) -> Any:
        """Return what it answers to a question in GraphQL."""
        body = json.dumps({"query": query}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.load(answer)["data"]

    def repository(self) -> tuple[str, str, list[str]]:
        """Return the repository's name, its location's, and the names of its jobs."""
        found = self.ask(
            "{ repositoriesOrError { ... on RepositoryConnection { nodes { name location { name } "
            "jobs { name } } } } }"
        )["repositoriesOrError"]["nodes"][0]
        names = [job["name"] for job in found["jobs"]]
        return found["name"], found["location"]["name"], names

    def job(self, number: int) -> tuple[str, int] | None:
        """Return description and number of nodes of a job, as its page asks for them."""
        repository, location, _ = self.repository()
        found = self.ask(
            f'{{ pipelineOrError(params: {{ repositoryName: "{repository}", '
            f'repositoryLocationName: "{location}", pipelineName: "flow_{number}" }}) '
            "{ ... on Pipeline { description solidHandles { handleID } } } }"
        )["pipelineOrError"]
        if not found:
            return None
        return found["description"], len(found["solidHandles"])

    def shows(self, number: int, text: str) -> bool:
        """Return whether a job's page shows a text and all nodes."""
        found = self.job(number)
        return bool(found) and text in found[0] and found[1] == NODES

    def daemon_reports(self) -> bool:
        """Return whether the daemon has said that it is there, since the start."""
        found = self.ask(
            "{ instance { daemonHealth { allDaemonStatuses { lastHeartbeatTime } } } }"
        )
        statuses = found["instance"]["daemonHealth"]["allDaemonStatuses"]
        return any((one["lastHeartbeatTime"] or 0) > self.started for one in statuses)

    started = 0.0

    def reload(self) -> None:
        """Do what the button "Reload" does."""
        _, location, _ = self.repository()
        self.ask(
            f'mutation {{ reloadRepositoryLocation(repositoryLocationName: "{location}") '
            "{ __typename } }"
        )


def measure(contender: Contender, *, quick: bool) -> Measured:
    """Start one, wait until it is usable, look at it, change files, and stop it."""
    port = free_port()
    web = Web(port)
    web.started = time.time()
    began = time.perf_counter()
    process = subprocess.Popen(
        contender.command(port),
        cwd=contender.root,
        env={**os.environ, "DAGSTER_HOME": str(contender.root / "home")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    made = Measured()
    try:
        until(lambda: len(web.repository()[2]) == contender.flows, process)
        made.numbers["listed s"] = time.perf_counter() - began
        until(lambda: web.shows(7, "Flow 7."), process)
        made.numbers["usable s"] = time.perf_counter() - began
        until(web.daemon_reports, process)
        made.numbers["daemon s"] = time.perf_counter() - began
        made.numbers["CPU until then s"] = cpu(contender.root)
        time.sleep(3 if quick else SETTLE)
        made.parts = memory_of(contender.root)
        made.numbers["memory MB"] = sum(made.parts.values())
        made.numbers["processes"] = len(processes_in(contender.root))
        idle = idle_cpu(contender.root, 5 if quick else IDLE)
        made.numbers["idle CPU s/min"] = idle * 60
        changes(contender, web, process, idle, made)
    finally:
        stop(process, contender.root)
    return made


def changes(
    contender: Contender, web: Web, process: subprocess.Popen[bytes], idle: float, made: Measured
) -> None:
    """Add, change and delete one flow; leave the folder as it was."""
    new = contender.flows
    works: list[float] = []
    doings: list[tuple[str, Callable[[], None], Callable[[], bool]]] = [
        ("added s", lambda: contender.put(new, "New."), lambda: web.shows(new, "New.")),
        (
            "changed s",
            lambda: contender.put(7, "Another."),
            lambda: web.shows(7, "Another."),
        ),
        ("deleted s", lambda: contender.drop(new), lambda: web.job(new) is None),
        ("back s", lambda: contender.put(7, "Flow 7."), lambda: web.shows(7, "Flow 7.")),
    ]
    for name, doing, done in doings:
        before, since = cpu(contender.root), time.perf_counter()
        doing()
        if contender.reload:
            web.reload()
        until(done, process, every=0.1)
        made.numbers[name] = time.perf_counter() - since
        time.sleep(3)
        spent = cpu(contender.root) - before
        works.append(spent - idle * (time.perf_counter() - since))
    made.numbers["work of a change s"] = median(works)


def until(
    condition: Callable[[], Any], process: subprocess.Popen[bytes], every: float = 0.05
) -> None:
    """Wait for a condition; what cannot be asked yet does not hold yet."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        if process.poll() is not None:
            raise SystemExit(f"it ended with status {process.returncode}")
        with suppress(OSError, ValueError, KeyError, TypeError, IndexError):
            if condition():
                return
        time.sleep(every)
    raise SystemExit(f"not within {PATIENCE:.0f} s")


def processes_in(root: Path) -> list[int]:
    """Return the processes that work in a folder."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if (entry / "cwd").resolve(strict=True) == root.resolve():
                    found.append(int(entry.name))
    return found


def memory_of(root: Path) -> dict[str, float]:
    """Return MB of PSS of each process, by what it is."""
    parts: dict[str, float] = {}
    for pid in processes_in(root):
        with suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
            # Those that were forked have the command of what they were forked from.
            words.insert(0, Path(f"/proc/{pid}/comm").read_text())
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            pss = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
            name = what(words)
            parts[name] = parts.get(name, 0) + pss / 1024
    return parts


def what(command: list[str]) -> str:
    """Return what a process is, from its command line."""
    text = " ".join(command)
    marks = {
        "code server": ("cf code server", "api grpc"),
        "daemon": ("dagster._daemon", "cf daemon"),
        "web server": ("dagster_webserver", "cf web server"),
        "warm process": ("cf warm process",),
        "simulated cloud": ("cloudflow_dagster.simulator",),
        "sandbox": ("sandbox_worker",),
        "starter": ("dev",),
    }
    for name, words in marks.items():
        if any(word in text for word in words):
            return name
    return "other"


def cpu(root: Path) -> float:
    """Return seconds of CPU that the processes have used so far, with children that have ended."""
    total = 0
    for pid in processes_in(root):
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += sum(int(fields[place]) for place in (11, 12, 13, 14))
    return total / TICK


def idle_cpu(root: Path, seconds: float) -> float:
    """Return seconds of CPU in a second in which nothing happens."""
    before, since = cpu(root), time.perf_counter()
    time.sleep(seconds)
    return (cpu(root) - before) / (time.perf_counter() - since)


def stop(process: subprocess.Popen[bytes], root: Path) -> None:
    """Stop it and all that it started."""
    process.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(60)
    for pid in processes_in(root):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait(10)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dev", description=__doc__)
    parser.add_argument("--flows", type=int, nargs="+", default=[20, 1_000])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--quick", action="store_true", help="one round, shorter looks")
    parser.add_argument("--only", choices=["ours", "plain"], help="one of the two")
    given = parser.parse_args()
    rounds = 1 if given.quick else given.rounds
    kinds = [k for k in (Plain, Ours) if given.only in (None, k.__name__.lower())]
    for count in given.flows:
        with tempfile.TemporaryDirectory() as folder:
            contenders = [kind(Path(folder) / kind.__name__, count) for kind in kinds]
            found: dict[str, list[Measured]] = {one.name: [] for one in contenders}
            for one in contenders:
                one.write()
                # The first start makes the instance's database, once for a project.
                measure(one, quick=True)
            for _ in range(rounds):
                for one in contenders:
                    found[one.name].append(measure(one, quick=given.quick))
        show(count, rounds, found)


def show(count: int, rounds: int, found: dict[str, list[Measured]]) -> None:
    """Print a table of medians, with ratios if there are two."""
    names = list(found)
    print(f"\n{count} flows of {NODES} nodes, medians of {rounds}")
    print(f"{'':22}" + "".join(f"{name:>15}" for name in names) + f"{'ratio':>10}")
    rows = next(iter(found.values()))[0].numbers
    for row in rows:
        values = [median(one.numbers[row] for one in found[name]) for name in names]
        ratio = f"{values[0] / values[1]:9.1f}x" if len(values) > 1 and values[1] > 0 else ""
        print(f"{row:22}" + "".join(f"{value:15.2f}" for value in values) + ratio)
    for name in names:
        parts = sorted({part for one in found[name] for part in one.parts})
        text = ", ".join(
            f"{part} {median(one.parts.get(part, 0) for one in found[name]):.0f}" for part in parts
        )
        print(f"memory of {name}, MB: {text}")


if __name__ == "__main__":
    main()
