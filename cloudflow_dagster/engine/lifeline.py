"""Lets a process end with the one that started it: `python -m cloudflow_dagster.engine.lifeline`.

    lifeline PARENT PROGRAM ARGUMENTS           it is told to stop (SIGTERM)
    lifeline --kill PARENT PROGRAM ARGUMENTS    it is killed

The kernel does it (Linux, `prctl(PR_SET_PDEATHSIG)`), so it holds even if the parent is killed with
signal 9. The mark survives `exec`, so that other programs can be started this way too. It imports
nothing that costs time.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int, how: signal.Signals = signal.SIGTERM) -> None:
    """Send this process a signal when its parent ends.

    Args:
        parent: Id of the process that started this one, which may have ended already.
        how: The signal.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, how)
    if os.getppid() != parent:
        sys.exit(0)


def main() -> None:
    """Become the program that the arguments name."""
    kill = sys.argv[1] == "--kill"
    parent, *command = sys.argv[2 if kill else 1 :]
    end_with_parent(int(parent), signal.SIGKILL if kill else signal.SIGTERM)
    os.execvp(command[0], command)  # noqa: S606 - to become that program is what this is for


if __name__ == "__main__":
    main()
