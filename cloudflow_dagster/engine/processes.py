"""Processes that belong to this one: they are stopped with it, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_LAST_LINES = 15


class Process(Protocol):
    """What is asked of a process, as `subprocess.Popen` answers."""

    @property
    def pid(self) -> int:
        """Its id."""
        ...

    @property
    def returncode(self) -> int | None:
        """Its exit status (what killed it, negative), if it was found to have ended."""
        ...

    def poll(self) -> int | None:
        """Look whether it has ended; return its exit status."""
        ...

    def terminate(self) -> None:
        """Tell it to stop (SIGTERM)."""
        ...

    def wait(self) -> int:
        """Wait until it has ended; return its exit status."""
        ...


@dataclass(frozen=True)
class Child:
    """A process of ours.

    Attributes:
        name: For people.
        process: The process, leader of a group of its own.
        log: Where its output goes.
    """

    name: str
    process: Process
    log: Path

    @property
    def ended(self) -> bool:
        """Whether it has ended by itself."""
        return self.process.poll() is not None

    def last_words(self) -> str:
        """Return the end of its output."""
        try:
            lines = self.log.read_text("utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(f"    {line}" for line in lines[-_LAST_LINES:])


def start(
    name: str,
    command: Sequence[str],
    *,
    logs: Path,
    environment: Mapping[str, str],
    folder: Path,
    at_once: bool = False,
    inherited: Sequence[int] = (),
) -> Child:
    """Start a process that ends with this one, even if this one is killed with signal 9 (Linux).

    Args:
        name: For people, and of the log.
        command: The program and its arguments.
        logs: The folder of the log.
        environment: What it finds in its environment, beside what this process has.
        folder: Its current directory.
        at_once: Whether it is killed when this one ends by accident, instead of told to stop.
        inherited: Open files of this process that it has too, by number.
    """
    log = log_of(name, logs)
    how = ["--kill"] if at_once else []
    lifeline = [sys.executable, "-m", "cloudflow_dagster.engine.lifeline", *how, str(os.getpid())]
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - the command is ours
            [*lifeline, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            cwd=folder,
            start_new_session=True,
            pass_fds=inherited,
        )
    return Child(name, process, log)


def log_of(name: str, logs: Path) -> Path:
    """Return where the output of a process goes, in a folder that is made if it is not there."""
    logs.mkdir(parents=True, exist_ok=True)
    return logs / f"{name.replace(' ', '_')}.log"


def stop(children: Iterable[Child], patience: float) -> None:
    """Stop processes and all that they started, one after the other, the last started first.

    Args:
        children: In the order in which they were started.
        patience: Seconds that each has before it is killed.
    """
    for child in reversed(list(children)):
        # It alone: the code server has to interrupt its runs itself.
        child.process.terminate()
        give_up = time.monotonic() + patience
        while not child.ended and time.monotonic() < give_up:
            time.sleep(0.05)
        # What is left of the group: the process itself, or what it has left behind.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.process.pid, signal.SIGKILL)
        child.process.wait()
