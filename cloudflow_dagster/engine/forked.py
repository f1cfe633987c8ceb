"""Processes that are forked from this one, so that what it has imported is not imported in each.

Dagster alone takes one to three seconds and 100 MB of each process that imports it; forked ones
have it at once, and share its memory. Linux alone: other systems' libraries do not survive a fork.
"""

from __future__ import annotations

import ctypes
import gc
import io
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from cloudflow_dagster.engine.fork_end import end_after
from cloudflow_dagster.engine.lifeline import end_with_parent
from cloudflow_dagster.engine.processes import Child, log_of, start

_PR_SET_NAME = 15
_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)


@dataclass(frozen=True)
class Program:
    """What a process does.

    Attributes:
        module: Where its function is.
        function: The function's name; it takes no arguments and reads `sys.argv`.
        arguments: Those, without the program's name.
    """

    module: str
    function: str
    arguments: Sequence[str]

    def run(self) -> None:
        """Be it."""
        sys.argv = [self.function, *self.arguments]
        getattr(import_module(self.module), self.function)()

    @property
    def command(self) -> list[str]:
        """Return a command that does it in an interpreter of its own."""
        code = f"from {self.module} import {self.function}; {self.function}()"
        return [sys.executable, "-c", code, *self.arguments]


class Forked:
    """A process that was forked, with the answers of `subprocess.Popen`.

    Args:
        pid: Its id.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Look whether it has ended; return its exit status."""
        return self._look(os.WNOHANG)

    def wait(self) -> int:
        """Wait until it has ended; return its exit status."""
        return self._look(0) or 0

    def terminate(self) -> None:
        """Tell it to stop (SIGTERM)."""
        # Until it is waited for, its id cannot be another's.
        if self.poll() is None:
            os.kill(self.pid, signal.SIGTERM)

    def _look(self, how: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, how)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


def can_fork() -> bool:
    """Return whether processes are forked here; where they are not, they are started."""
    return sys.platform == "linux" and threading.active_count() == 1


def preload(modules: Sequence[str]) -> None:
    """Import what those that are forked need, so that they share it."""
    for module in modules:
        import_module(module)
    # What is there now stays for good: no collection writes into the pages that are shared.
    gc.collect()
    gc.freeze()


def fork_or_start(
    name: str,
    program: Program,
    *,
    logs: Path,
    environment: Mapping[str, str],
    folder: Path,
    at_once: bool = False,
) -> Child:
    """Fork a process that ends with this one; start it, as `processes.start`, where none can be.

    It has none of this process's open files, and a session of its own.

    Args:
        name: For people, and of the log; the process has it in lists such as `top`'s.
        program: What it does.
        logs: The folder of the log.
        environment: What it finds in its environment, beside what this process has.
        folder: Its current directory, where it imports from too.
        at_once: Whether it is killed when this one ends by accident, instead of told to stop.
    """
    if not can_fork():
        return start(
            name,
            program.command,
            logs=logs,
            environment=environment,
            folder=folder,
            at_once=at_once,
        )
    log = log_of(name, logs)
    parent = os.getpid()

    def body(output: int) -> None:
        os.setsid()
        end_with_parent(parent, signal.SIGKILL if at_once else signal.SIGTERM)
        ctypes.CDLL(None).prctl(_PR_SET_NAME, f"cf {name}".encode())
        _leave(output)
        os.environ.update(environment)
        os.chdir(folder)
        if not sys.flags.safe_path:
            sys.path[0] = str(folder)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        program.run()

    sys.stdout.flush()
    sys.stderr.flush()
    with log.open("wb") as output:
        # A signal that comes meanwhile reaches the child when it has let go of the handlers here.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, *_SIGNALS})
        try:
            pid = os.fork()
            if pid == 0:
                end_after(lambda: body(output.fileno()))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return Child(name, Forked(pid), log)


def _leave(output: int) -> None:
    """Let go of what belongs to the parent: its signals' handlers, its files, its terminal."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    for number in (1, 2):
        os.dup2(output, number)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True, write_through=True)
