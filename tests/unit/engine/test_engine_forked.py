"""Processes that are forked from one that has imported what they need."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere none are forked")

PART = """
import atexit, json, os, signal, sys
from pathlib import Path

atexit.register(print, "at the end")

def tell():
    print(json.dumps({
        "arguments": sys.argv[1:],
        "found": os.environ["FOUND"],
        "folder": os.getcwd(),
        "leader": os.getsid(0) == os.getpid(),
        "name": Path("/proc/self/comm").read_text().strip(),
        "open": sorted(os.listdir("/proc/self/fd")),
        "shared": sys.modules["shared"].made_by,
        "interrupt": signal.getsignal(signal.SIGTERM) is signal.SIG_DFL,
    }))

def fail():
    sys.exit(3)

def last():
    print("going on", flush=True)
    signal.pause()
"""
PARENT = """
import os, signal, sys, threading
from pathlib import Path
from cloudflow_dagster.engine import processes
from cloudflow_dagster.engine.forked import Program, fork_or_start, preload

sys.path.insert(0, os.getcwd())
preload(["shared"])
kept = open("kept", "w")
signal.signal(signal.SIGTERM, lambda *_: None)
{before}
child = fork_or_start(
    "some part",
    Program("part", sys.argv[1], ["--a", "b"]),
    logs=Path("logs"),
    environment={{"FOUND": "yes"}},
    folder=Path.cwd(),
)
{then}
"""
WAIT = "print(child.process.wait(), child.ended, child.process.returncode)"


def run(folder: Path, function: str, *, before: str = "", then: str = WAIT) -> str:
    (folder / "part.py").write_text(PART)
    (folder / "shared.py").write_text("import os\nmade_by = os.getpid()\n")
    code = PARENT.format(before=before, then=then)
    return subprocess.run(
        [sys.executable, "-c", code, function],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout


def log(folder: Path) -> str:
    return (folder / "logs" / "some_part.log").read_text()


def test_it_has_what_was_imported_and_nothing_else_of_its_parent(tmp_path: Path) -> None:
    parent = run(tmp_path, "tell", before="print(os.getpid())").split()
    told, end = log(tmp_path).splitlines()
    said = json.loads(told)
    assert said.pop("shared") == int(parent[0])
    # The last is what lists them.
    assert len(said.pop("open")) == 4
    assert said == {
        "arguments": ["--a", "b"],
        "found": "yes",
        "folder": str(tmp_path),
        "leader": True,
        "name": "cf some part",
        "interrupt": True,
    }
    assert end == "at the end"
    assert parent[1:] == ["0", "True", "0"]


def test_its_status_is_told(tmp_path: Path) -> None:
    assert run(tmp_path, "fail").split() == ["3", "True", "3"]


def test_it_is_stopped_by_a_signal(tmp_path: Path) -> None:
    then = "while 'going on' not in child.log.read_text(): pass\nprocesses.stop([child], 20)\n"
    assert run(tmp_path, "last", then=then + WAIT).split() == ["-15", "True", "-15"]


def test_it_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    then = (
        "while 'going on' not in child.log.read_text(): pass\n"
        "print(child.process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    with pytest.raises(subprocess.CalledProcessError) as killed:
        run(tmp_path, "last", then=then)
    pid = int(killed.value.stdout)
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up:
        try:
            os.kill(pid, 0)
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return
        if state == "Z":
            return
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    pytest.fail("It lives longer than its parent.")


def test_it_is_started_where_a_fork_would_be_dangerous(tmp_path: Path) -> None:
    another = "threading.Thread(target=signal.pause, daemon=True).start()"
    assert run(tmp_path, "fail", before=another).split() == ["3", "True", "3"]
