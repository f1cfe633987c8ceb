"""Python code in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from cloudflow_dagster.nodes.errors import Canceled, NodeError
from cloudflow_dagster.providers.generic.code import check_code, code
from cloudflow_dagster.providers.generic.sandbox.process import MOST_LINES
from tests.fixtures.calls import Allowed, WorkingCall

CANARY = "canary-7c1f"
linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's confinement")


@pytest.fixture
def call(tmp_path: Path) -> WorkingCall:
    return WorkingCall(tmp_path)


def run(call: WorkingCall, body: str, inputs: Any = None, head: str = "") -> Any:
    """Run a function main with this body."""
    return code(call, code=f"{head}\ndef main(inputs):\n    {body}\n", inputs=inputs)


@pytest.mark.parametrize(
    "value", [None, 1, 2**80, "ü😀", [1, {"a": [None]}], {"x": 1.5}, "x" * 10**6]
)
def test_json_goes_in_and_comes_out(call: WorkingCall, value: Any) -> None:
    assert run(call, "return inputs", value) == value


def test_braces_mean_nothing_in_code(call: WorkingCall) -> None:
    assert run(call, "return '{{ params.x }}'") == "{{ params.x }}"


def test_what_it_prints_is_in_the_log(call: WorkingCall) -> None:
    run(call, "print('one\\ntwo'); print('bad', file=sys.stderr)", head="import sys")
    assert sorted(call.log.lines) == [("info", "one"), ("info", "two"), ("warning", "bad")]


def test_a_flood_of_lines_is_cut(call: WorkingCall) -> None:
    run(call, "[print(n) for n in range(50_000)]; print('x' * 10**6, end='')")
    assert len(call.log.lines) == MOST_LINES + 1
    assert "not shown" in call.log.lines[-1][1]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return 1 / 0", "main, line 3: ZeroDivisionError: division by zero"),
        (
            "return inputs['nope']",
            "main, line 3: TypeError: 'NoneType' object is not",
        ),
        ("import sys; sys.exit(3)", "main, line 3: SystemExit: 3"),
        ("return {1}", "`main` returned something that is not JSON: Object of type set"),
        ("return float('nan')", "`main` returned something that is not JSON: Out of range"),
        ("return '\\ud800'", "`main` returned something that is not JSON"),
        ("a = []; a.append(a); return a", "`main` returned something that is not JSON: Circular"),
        ("import os; os._exit(3)", "ended without a result (exit status 3)"),
        ("return 'x' * 17 * 2**20", "returned more than 16 MB"),
    ],
)
def test_what_goes_wrong_in_the_code_says_where(call: WorkingCall, body: str, message: str) -> None:
    with pytest.raises(NodeError) as caught:
        run(call, body)
    assert caught.value.code == "CodeError"
    assert message in caught.value.message
    assert caught.value.transient is False


def test_an_error_in_a_function_of_the_code_names_the_function(call: WorkingCall) -> None:
    with pytest.raises(NodeError, match="half, line 2: TypeError"):
        run(call, "return half('x')", head="def half(x):\n    return x / 2")
    assert "return x / 2" in call.log.text
    assert "child.py" not in call.log.text


def test_an_error_outside_of_functions_names_the_line(call: WorkingCall) -> None:
    with pytest.raises(NodeError, match="line 1: ModuleNotFoundError"):
        run(call, "return 1", head="import there_is_no_such_module")


def test_the_environment_holds_nothing_of_the_run(
    call: WorkingCall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CANARY)
    monkeypatch.setenv("DAGSTER_HOME", CANARY)
    seen = run(call, "return dict(os.environ)", head="import os")
    assert set(seen) == {"PATH", "HOME", "TMPDIR", "LANG"}
    assert CANARY not in str(seen)
    assert not Path(seen["HOME"]).exists()


@linux
def test_the_environment_of_the_run_cannot_be_read_either(tmp_path: Path) -> None:
    # A process of its own: /proc shows the environment that a process was started with.
    script = (
        "from pathlib import Path\n"
        "from cloudflow_dagster.providers.generic.code import code\n"
        "from tests.fixtures.calls import WorkingCall\n"
        "source = '''import os\ndef main(inputs):\n"
        "    return open(f'/proc/{os.getppid()}/environ').read()'''\n"
        f"print(code(WorkingCall(Path({str(tmp_path)!r})), code=source))\n"
    )
    environment = {**os.environ, "AWS_SECRET_ACCESS_KEY": CANARY}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert CANARY not in done.stdout + done.stderr
    assert "PermissionError" in done.stderr


@linux
def test_files_outside_its_folder_cannot_be_read(call: WorkingCall, tmp_path: Path) -> None:
    secret = tmp_path / "credentials"
    secret.write_text(CANARY)
    with pytest.raises(NodeError, match="PermissionError"):
        run(call, "return open(inputs).read()", str(secret))
    with pytest.raises(NodeError, match="PermissionError"):
        run(call, "open(inputs, 'w')", str(tmp_path / "new"))
    assert run(call, "open('x', 'w').write('abc'); return open('x').read()") == "abc"


@linux
@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6", "AF_NETLINK"])
def test_there_is_no_network(call: WorkingCall, family: str) -> None:
    with pytest.raises(NodeError, match="PermissionError"):
        run(call, f"socket.socket(socket.{family})", head="import socket")


@linux
def test_the_run_cannot_be_signalled(call: WorkingCall) -> None:
    with pytest.raises(NodeError, match="PermissionError"):
        run(call, "os.kill(os.getppid(), 0)", head="import os")


def test_ordinary_modules_work(call: WorkingCall) -> None:
    head = "import asyncio, sqlite3, ssl, subprocess, threading, zoneinfo\nasync def f(): return 4"
    body = (
        "t = threading.Thread(target=print); t.start(); t.join()\n"
        "    return [asyncio.run(f()), str(zoneinfo.ZoneInfo('Europe/Berlin')),"
        " subprocess.check_output(['echo', 'a'], text=True)]"
    )
    assert run(call, body, head=head) == [4, "Europe/Berlin", "a\n"]


def test_memory_is_limited(call: WorkingCall) -> None:
    with pytest.raises(NodeError, match="main, line 3: MemoryError"):
        run(call, "return len(bytearray(10**9))")


def test_files_are_limited(call: WorkingCall) -> None:
    with pytest.raises(NodeError, match="OSError"):
        run(call, "open('x', 'wb').write(bytes(100 * 2**20))")


def test_the_deadline_ends_it_with_all_it_started(call: WorkingCall, tmp_path: Path) -> None:
    call.deadline = time.monotonic() + 1
    head = "import subprocess, time"
    body = "print(subprocess.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)"
    with pytest.raises(NodeError, match="Timeout"):
        run(call, body, head=head)
    assert time.monotonic() < call.deadline + 5
    _gone(int(call.log.text))


def test_canceling_ends_it_with_all_it_started(call: WorkingCall) -> None:
    Timer(1, lambda: setattr(call, "canceled", True)).start()
    with pytest.raises(Canceled):
        run(
            call,
            "print(subprocess.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)",
            head="import subprocess, time",
        )
    _gone(int(call.log.text))


def test_what_is_left_running_does_not_hold_it_up(call: WorkingCall) -> None:
    call.deadline = time.monotonic() + 20
    assert run(call, "return subprocess.Popen(['sleep', '60']).pid", head="import subprocess")
    assert call.deadline - time.monotonic() > 10
    loop = "threading.Thread(target=lambda: time.sleep(60)).start(); return 1"
    assert run(call, loop, head="import threading, time") == 1
    assert call.deadline - time.monotonic() > 5


def _gone(pid: int) -> None:
    """Wait until a process has ended; it may stay as a zombie until somebody asks for it."""
    for _ in range(100):
        try:
            if ") Z " in Path(f"/proc/{pid}/stat").read_text():
                return
        except OSError:
            return
        time.sleep(0.05)
    raise AssertionError(f"{pid} lives on")


def test_a_project_can_turn_it_off(call: WorkingCall) -> None:
    call.settings = Allowed(code_nodes=False)
    with pytest.raises(NodeError, match="code_nodes") as caught:
        run(call, "return 1")
    assert caught.value.code == "CodeNotAllowed"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def main(inputs):\n  return (1", "Line 2: '(' was never closed."),
        ("def main(inputs) return", "Line 1: expected ':'."),
        ("x = 1", "There is no function `main(inputs)`."),
        ("def main(): pass", "Line 1: `main` is called with one argument, `main(inputs)`."),
        ("def main(a, b): pass", "Line 1: `main` is called with one argument, `main(inputs)`."),
        ("def main(a, *, b): pass", "Line 1: `main` is called with one argument"),
        ("\nasync def main(a): pass", "Line 2: `main` is asynchronous"),
        ("(" * 5000, "This cannot be read as Python|Line 1: too many nested parentheses."),
        ("\0", "null bytes"),
    ],
)
def test_code_that_cannot_work_is_found_before_anything_runs(source: str, message: str) -> None:
    [(path, sentence)] = check_code({"code": source})
    assert path == ("code",)
    assert any(part in sentence for part in message.split("|"))


@pytest.mark.parametrize(
    "source",
    [
        "def main(inputs): pass",
        "def main(inputs, more=1): pass",
        "def main(*all): pass",
        "def main(a, *, b=1): pass",
        "def main(a=1): '\\d'",
        "def main(x): return '{{'",
    ],
)
def test_code_that_works_has_no_findings(source: str) -> None:
    assert check_code({"code": source}) == []


def test_checking_runs_nothing(tmp_path: Path) -> None:
    witness = tmp_path / "ran"
    check_code({"code": f"open({str(witness)!r}, 'w')\ndef main(inputs): pass"})
    assert not witness.exists()
