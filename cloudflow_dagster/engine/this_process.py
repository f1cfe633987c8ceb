"""A mark that tells a process from all others, so that its runs are found dead after it is."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def this_process() -> str:
    """Return what tells this process from all others on all machines."""
    return f"{socket.gethostname()}:{os.getpid()}:{_birth(os.getpid())}"


def process_is_gone(mark: str) -> bool:
    """Return whether the process with this mark has ended for sure; False on another machine."""
    pid = pid_of(mark)
    if pid is None:
        return False
    return _birth(pid) != mark.rpartition(":")[2]


def pid_of(mark: str) -> int | None:
    """Return the id of the process with this mark; None if it is one of another machine."""
    host, _, pid = mark.rpartition(":")[0].rpartition(":")
    return int(pid) if host == socket.gethostname() and pid.isdigit() else None


def _birth(pid: int) -> str:
    """Return when a process started, in the kernel's own count; "" if it is not there."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("ascii", errors="replace")
        state, *more = text.rpartition(")")[2].split()
        # What has ended stays there until its parent asks how.
        return "" if state in "ZX" else more[18]
    except OSError:
        return _exists(pid)


def _exists(pid: int) -> str:
    """Return a fixed mark if a process is there, where there is no `/proc`."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        return "there"
    return "there"
