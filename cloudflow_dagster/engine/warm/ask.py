"""Sends launches to the warm process of an instance, and starts one where there is none."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from cloudflow_dagster.engine.warm.meeting import Meeting
from cloudflow_dagster.engine.warm.wire import Channel, Message

_START = 60.0
"""Seconds until a warm process must answer."""
_LOOK = 0.01
_LAST_LINES = 10

_owned: dict[tuple[Path, str], subprocess.Popen[bytes]] = {}
_lock = threading.Lock()


class NoWarmProcessError(Exception):
    """The warm process cannot be started, or does not answer; the message says why."""


def ask(home: Path, executable: str, message: Mapping[str, Any]) -> Message:
    """Send a message to the warm process and return its answer.

    Args:
        home: The instance's folder.
        executable: The Python interpreter of the code that is run.
        message: What to send.

    Raises:
        NoWarmProcessError: See there.
    """
    meeting = Meeting(home, executable)
    # The second time for one that has ended between our coming and its answer.
    for _ in range(2):
        channel = meeting.join() or _start(home, executable, meeting)
        channel.sock.settimeout(_START)
        answer = channel.next() if channel.send(message) else None
        channel.close()
        if answer is not None:
            return answer
    raise NoWarmProcessError(_why(meeting, "does not answer"))


def let_go(home: Path) -> None:
    """Let the warm process end that this process has started for an instance."""
    with _lock:
        for key in [key for key in _owned if key[0] == home]:
            process = _owned.pop(key)
            if process.stdin:
                process.stdin.close()
            process.wait()


def _start(home: Path, executable: str, meeting: Meeting) -> Channel:
    meeting.folder.mkdir(parents=True, exist_ok=True)
    with _lock, meeting.starting.open("w") as starting:
        fcntl.flock(starting, fcntl.LOCK_EX)
        channel = meeting.join()
        if channel:
            return channel
        process = _spawn(home, executable, meeting)
        give_up = time.monotonic() + _START
        while time.monotonic() < give_up:
            channel = meeting.join()
            if channel:
                return channel
            # With 0 it ends when another one is there, or about to be.
            if process.poll():
                raise NoWarmProcessError(_why(meeting, f"ended with status {process.returncode}"))
            time.sleep(_LOOK)
        raise NoWarmProcessError(_why(meeting, f"did not start within {_START:.0f} s"))


def _spawn(home: Path, executable: str, meeting: Meeting) -> subprocess.Popen[bytes]:
    """Start a warm process that takes runs for as long as this process lives."""
    # Not to import what happens to lie in the current directory.
    command = [executable, "-P", "-m", "cloudflow_dagster.engine.warm.zygote"]
    with meeting.log.open("wb") as log:
        try:
            process = subprocess.Popen(  # noqa: S603 - the command is ours
                [*command, "--home", str(home), "--owned"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise NoWarmProcessError(f"{executable} cannot be started: {error}.") from error
    old = _owned.pop((home, executable), None)
    if old is not None:
        with suppress(OSError):
            if old.stdin:
                old.stdin.close()
        old.poll()
    _owned[home, executable] = process
    return process


def _why(meeting: Meeting, what: str) -> str:
    with suppress(OSError):
        lines = meeting.log.read_text("utf-8", errors="replace").splitlines()
        if lines:
            return f"The warm process {what}:\n" + "\n".join(lines[-_LAST_LINES:])
    return f"The warm process {what}."


def available() -> str | None:
    """Return why there are no warm processes on this system, or None if there are."""
    if sys.platform != "linux" or not hasattr(os, "fork"):
        return f"Runs are forked from a warm process on Linux alone, and this is {sys.platform}."
    return None
