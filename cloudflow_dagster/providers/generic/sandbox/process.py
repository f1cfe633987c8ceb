"""Starts the child, feeds it, watches it, and ends it with all it started."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.call import Call
from cloudflow_dagster.nodes.errors import NodeError

SECONDS = 60.0
"""How long code may run whose node has no `timeout`."""
MEGABYTES = 512
LARGEST_RESULT = 16 * 2**20
MOST_LINES = 1000
LONGEST_LINE = 2000
_CHILD = Path(__file__).with_name("child.py")
_TICK = 0.1
"""Seconds between two looks at whether the run goes on."""


def run_code(call: Call, code: str, inputs: Json) -> Json:
    """Run `main(inputs)` of the code in a process of its own and return what it returns.

    Raises:
        NodeError: `CodeError` if the code failed, `Timeout` if it took too long.
        Canceled: The run was told to stop.
    """
    seconds = SECONDS if call.deadline is None else call.remaining(86_400)
    request = {"code": code, "inputs": inputs, "megabytes": MEGABYTES, "seconds": seconds}
    with tempfile.TemporaryDirectory(prefix="cloudflow-code-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        reading, writing = os.pipe()
        try:
            process = _start(folder, writing)
        except OSError as error:
            os.close(reading)
            raise NodeError("CodeError", f"Python did not start: {error}.") from error
        finally:
            os.close(writing)
        talk = _Talk(call, process, reading, json.dumps(request).encode(), seconds)
        try:
            talk.go_on()
        finally:
            _end(process)
            talk.close()
    return _value(call, talk, process.returncode)


def _start(folder: Path, result: int) -> subprocess.Popen[bytes]:
    """Start the child with next to nothing in its environment."""
    return subprocess.Popen(  # noqa: S603 - this interpreter and a file of this package
        [sys.executable, "-I", "-B", "-u", "-X", "utf8", str(_CHILD), str(folder), str(result)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "LANG": "C.UTF-8",
        },
        pass_fds=(result,),
        start_new_session=True,
        umask=0o077,
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the child and what it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _value(call: Call, talk: _Talk, status: int) -> Json:
    if status == -signal.SIGXCPU:
        raise NodeError("Timeout", f"The code used more than {talk.seconds:.0f} s of a processor.")
    try:
        answer: dict[str, Any] = json.loads(bytes(talk.result))
    except (ValueError, RecursionError):
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        raise NodeError(
            "CodeError",
            f"The code ended without a result ({how}). It may use {MEGABYTES} MB of memory.",
            transient=False,
        ) from None
    if answer.get("open_to"):
        call.log.warning(
            f"This machine cannot keep code away from {' and '.join(answer['open_to'])}."
        )
    if "error" in answer:
        raise NodeError("CodeError", str(answer["error"]), transient=False)
    return answer.get("value")


@dataclass
class _Lines:
    """Writes what arrives to the log, line by line, up to a limit."""

    write: Callable[[str], None]
    rest: bytes = b""
    count: int = 0

    def add(self, data: bytes) -> None:
        *lines, self.rest = (self.rest + data).split(b"\n")
        if len(self.rest) > LONGEST_LINE:
            lines, self.rest = [*lines, self.rest], b""
        for line in lines:
            self._line(line)

    def end(self) -> None:
        if self.rest:
            self._line(self.rest)
            self.rest = b""

    def _line(self, line: bytes) -> None:
        self.count += 1
        if self.count <= MOST_LINES:
            self.write(line[:LONGEST_LINE].decode(errors="replace").rstrip("\r"))
        elif self.count == MOST_LINES + 1:
            self.write("What the code prints from here on is not shown.")


@dataclass
class _Talk:
    """What goes to the child and what comes from it, while the run goes on."""

    call: Call
    process: subprocess.Popen[bytes]
    reading: int
    request: bytes
    seconds: float
    result: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        self.until = time.monotonic() + self.seconds
        self.pipes = [p for p in (self.process.stdout, self.process.stderr) if p is not None]
        lines = (_Lines(self.call.log.info), _Lines(self.call.log.warning))
        self.lines = dict(zip((pipe.fileno() for pipe in self.pipes), lines, strict=True))

    def go_on(self) -> None:
        """Feed and read until the child has ended."""
        with selectors.DefaultSelector() as waiting:
            for place in (self.reading, *self.lines):
                os.set_blocking(place, False)
                waiting.register(place, selectors.EVENT_READ)
            if self.process.stdin is not None:
                os.set_blocking(self.process.stdin.fileno(), False)
                waiting.register(self.process.stdin.fileno(), selectors.EVENT_WRITE)
            while waiting.get_map() and self.process.poll() is None:
                self._check_time()
                self._turn(waiting, _TICK)
            while waiting.get_map() and self._turn(waiting, 0):
                pass  # what is still in the pipes
        while self.process.poll() is None:  # it closed its pipes and lives on
            self._check_time()
            time.sleep(_TICK)

    def close(self) -> None:
        """Log the last lines and close the pipes."""
        for lines in self.lines.values():
            lines.end()
        os.close(self.reading)
        for pipe in (self.process.stdin, *self.pipes):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def _check_time(self) -> None:
        self.call.remaining(_TICK)
        if time.monotonic() > self.until:
            raise NodeError(
                "Timeout",
                f"The code ran longer than {self.seconds:.0f} s. Give the node a longer `timeout`.",
            )

    def _turn(self, waiting: selectors.BaseSelector, seconds: float) -> bool:
        """Move what can be moved; return whether anything was."""
        moved = False
        for key, _ in waiting.select(seconds):
            write = bool(key.events & selectors.EVENT_WRITE)
            open_still = self._send(key.fd) if write else self._receive(key.fd)
            if not open_still:
                waiting.unregister(key.fd)
                if write and self.process.stdin is not None:
                    with suppress(BrokenPipeError):
                        self.process.stdin.close()
            moved = moved or not write
        return moved

    def _send(self, place: int) -> bool:
        """Write a part of the request; return whether there is more."""
        try:
            sent = os.write(place, self.request)
        except BlockingIOError:
            return True
        except BrokenPipeError:
            return False
        self.request = self.request[sent:]
        return bool(self.request)

    def _receive(self, place: int) -> bool:
        """Read a part of what the child says; return whether there may be more."""
        try:
            data = os.read(place, 65_536)
        except BlockingIOError:
            return True
        if place in self.lines:
            self.lines[place].add(data)
        else:
            self.result += data
            if len(self.result) > LARGEST_RESULT:
                raise NodeError(
                    "CodeError",
                    f"`main` returned more than {LARGEST_RESULT // 2**20} MB of JSON.",
                    transient=False,
                )
        return bool(data)
