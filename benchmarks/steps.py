"""What steps cost inside a run: `python -m benchmarks.steps`.

Without servers, each side in a process of its own that has imported what it needs and opened its
instance, on the SQLite storages that it has by default:

- chains of 10 and 50 steps that do nothing, and what one more step costs in time and in CPU;
- 50 branches, each a GET of a loopback server that answers after one second, then a join;
- a loop of 100, 1,000 and 100,000 items whose body returns the item: time, and the most memory
  that the process took. Plain Dagster runs it as dynamic outputs, up to 1,000: it keeps a step for
  each item.

Plain Dagster runs with its in-process executor, and with its default (a process for each step),
which is slow: once by default, and the branches alone.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

CHAINS = (10, 50)
BRANCHES = 50
LOOPS = (100, 1_000, 100_000)
PLAIN_LOOP = 1_000

_TIMED = """
import json, resource, sys, time
def timed(work, repeat):
    found = []
    for _ in range(repeat):
        start, cpu = time.perf_counter(), time.process_time()
        work()
        found.append([time.perf_counter() - start, time.process_time() - cpu])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps([found, peak]))
"""
_DAGSTER = (
    _TIMED
    + """
import dagster as dg, urllib.request
kind, executor, size, repeat, url = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:5]), sys.argv[5]

@dg.op(ins={"before": dg.In(dg.Nothing)}, out=dg.Out(dg.Nothing))
def step(): ...

@dg.op(out=dg.Out(dg.Nothing))
def get():
    urllib.request.urlopen(url).read()

@dg.op(out=dg.DynamicOut())
def items():
    for n in range(size):
        yield dg.DynamicOutput(n, str(n))

@dg.op
def same(item): return item

@dg.op
def gather(found): return len(found)

executors = {"in_process": dg.in_process_executor, "processes": dg.multiprocess_executor}

@dg.job(executor_def=executors[executor])
def job():
    if kind == "chain":
        last = None
        for n in range(size):
            last = step.alias(f"n{n}")(last) if last else step.alias(f"n{n}")()
    elif kind == "branches":
        step.alias("join")([get.alias(f"b{n}")() for n in range(size)])
    else:
        gather(items().map(same).collect())

if __name__ == "__main__":
    instance = dg.DagsterInstance.get()
    work = lambda: dg.execute_job(dg.reconstructable(job), instance, raise_on_error=True)
    if kind == "chain":
        work()
    timed(work, repeat)
"""
)
_CLOUDFLOW = (
    _TIMED
    + """
from pathlib import Path
from cloudflow_dagster.compiler.pipeline import compile_flow
from cloudflow_dagster.engine.run_flow import run_flow
from cloudflow_dagster.project import find_project
kind, repeat = sys.argv[1], int(sys.argv[2])
project = find_project(Path.cwd())
plan = compile_flow(project.flows / "measured.json", project=project)

def work():
    done = run_flow(project, plan)
    assert done["status"] == "success", done

if kind == "chain":
    work()
timed(work, repeat)
"""
)


class Measured(NamedTuple):
    """Medians of one side's rounds.

    Attributes:
        seconds: From the launch to the end of the run.
        cpu: Seconds of processor time of the process, without its children.
        peak: The most memory that the process took, in MB.
    """

    seconds: float
    cpu: float
    peak: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.steps", description=__doc__)
    parser.add_argument("--repeat", type=int, default=5, help="rounds of everything but loops")
    parser.add_argument("--slow", type=int, default=1, help="rounds of branches in processes")
    parser.add_argument("--largest", type=int, default=LOOPS[-1], help="items of the largest loop")
    given = parser.parse_args()
    _chains(given.repeat)
    _branches(given.repeat, given.slow)
    _loops(given.repeat, given.largest)


def _chains(repeat: int) -> None:
    plain = {size: _dagster("chain", "in_process", size, repeat) for size in CHAINS}
    ours = {size: _cloudflow("chain", _chain(size), repeat) for size in CHAINS}
    print(f"{'chains, medians':34} {'Dagster, in process':>20} {'CloudFlow':>10}  {'ratio':>6}")
    for size in CHAINS:
        _line(f"{size} steps, ms", plain[size].seconds * 1e3, ours[size].seconds * 1e3)
    few, many = CHAINS
    one_more = [
        (getattr(side[many], what) - getattr(side[few], what)) / (many - few) * 1e3
        for what in ("seconds", "cpu")
        for side in (plain, ours)
    ]
    _line("one more step, ms", *one_more[:2])
    _line("one more step, ms of CPU", *one_more[2:])


def _branches(repeat: int, slow: int) -> None:
    with _slow_server() as url:
        ours = _cloudflow("branches", _fan(url), repeat)
        plain = _dagster("branches", "in_process", BRANCHES, 1, url)
        print(f"\n{BRANCHES} branches of 1 s, medians, s")
        _line("Dagster, in process", plain.seconds, ours.seconds)
        if slow:
            processes = _dagster("branches", "processes", BRANCHES, slow, url)
            _line("Dagster, a process for each step", processes.seconds, ours.seconds)


def _loops(repeat: int, largest: int) -> None:
    print(f"\n{'a loop of':34} {'s':>10} {'ms an item':>12} {'peak MB':>9}")
    sizes = sorted({*LOOPS[:-1], largest})
    plain = _dagster("loop", "in_process", PLAIN_LOOP, 1)
    _loop_line(f"{PLAIN_LOOP:,} items, Dagster, in process", PLAIN_LOOP, plain)
    peaks = {}
    for size in sizes:
        found = _cloudflow("loop", _loop(size), repeat if size < largest else 1)
        peaks[size] = found.peak
        _loop_line(f"{size:,} items, CloudFlow", size, found)
    print(f"more memory for {largest:,} items than for {sizes[0]}: ", end="")
    print(f"{peaks[largest] - peaks[sizes[0]]:.0f} MB")


def _line(name: str, plain: float, ours: float) -> None:
    print(f"{name:34} {plain:20.2f} {ours:10.2f}  {plain / ours:5.1f}x")


def _loop_line(name: str, size: int, found: Measured) -> None:
    print(f"{name:34} {found.seconds:10.2f} {found.seconds / size * 1e3:12.3f} {found.peak:9.0f}")


def _dagster(kind: str, executor: str, size: int, repeat: int, url: str = "") -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
        # A file: the processes of the steps load the job from it.
        script = Path(folder) / "measured.py"
        script.write_text(_DAGSTER)
        given = [kind, executor, str(size), str(repeat), url]
        return _in_a_process([str(script), *given], folder, DAGSTER_HOME=folder)


def _cloudflow(kind: str, flow: dict[str, Any], repeat: int) -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        flows = Path(folder) / "flows"
        flows.mkdir()
        (flows / "measured.json").write_text(json.dumps({"version": 1, **flow}))
        return _in_a_process(["-c", _CLOUDFLOW, kind, str(repeat)], folder)


def _in_a_process(command: list[str], folder: str, **environment: str) -> Measured:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    rounds, peak = json.loads(done.stdout.splitlines()[-1])
    return Measured(median(r[0] for r in rounds), median(r[1] for r in rounds), peak)


def _step(id: str, value: Any) -> dict[str, Any]:
    return {"id": id, "type": "generic.transform", "config": {"value": value}}


def _chain(size: int) -> dict[str, Any]:
    edges = [{"source": f"n{n - 1}", "target": f"n{n}"} for n in range(1, size)]
    return {"nodes": [_step(f"n{n}", n) for n in range(size)], "edges": edges}


def _fan(url: str) -> dict[str, Any]:
    branches = [f"b{n}" for n in range(BRANCHES)]
    get = {"type": "generic.http.request", "config": {"method": "GET", "url": url}}
    return {
        "nodes": [_step("start", 1), *({"id": id, **get} for id in branches), _step("join", 1)],
        "edges": [
            *({"source": "start", "target": id} for id in branches),
            *({"source": id, "target": "join"} for id in branches),
        ],
    }


def _loop(size: int) -> dict[str, Any]:
    items = f"{{{{ [1..{size}] }}}}"
    return {
        "nodes": [
            {"id": "each", "type": "logic.loop", "config": {"items": items}},
            _step("same", "{{ item }}"),
        ],
        "edges": [{"source": "each", "source_port": "item", "target": "same"}],
    }


class _Slow(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        time.sleep(1)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: Any) -> None:
        return


class _Server(ThreadingHTTPServer):
    request_queue_size = 128


@contextmanager
def _slow_server() -> Generator[str]:
    server = _Server(("127.0.0.1", 0), _Slow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()


if __name__ == "__main__":
    main()
