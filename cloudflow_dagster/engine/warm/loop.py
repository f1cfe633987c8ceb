"""What a warm process does all day: wait for messages, for its children to end, and for signals.

It has one thread, because a process that forks must not have more: a lock that another thread
holds at that moment stays locked in the child forever.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import IO

from cloudflow_dagster.engine.fork_end import end_after

Readable = socket.socket | IO[bytes]

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Loop:
    """Waits for whatever happens to a process, and forks.

    Args:
        ended: Is told which child has ended, and how (`describe_end`).
        told_to_stop: Is called after SIGTERM. The terminal's signals are not for this process.
    """

    def __init__(
        self, *, ended: Callable[[int, str], None], told_to_stop: Callable[[], None]
    ) -> None:
        self._ended = ended
        self._told_to_stop = told_to_stop
        self._selector = selectors.DefaultSelector()
        self._awake, self._signaled = socket.socketpair()
        for end in (self._awake, self._signaled):
            end.settimeout(0)
        self._terminated = False
        signal.signal(signal.SIGTERM, self._on_sigterm)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(self._signaled.fileno(), warn_on_full_buffer=False)
        self._selector.register(self._awake, selectors.EVENT_READ, self._woken)
        self._children: set[int] = set()

    def watch(self, sock: Readable, readable: Callable[[], None]) -> None:
        """Call something whenever a socket, or the end of a pipe, can be read."""
        self._selector.register(sock, selectors.EVENT_READ, readable)

    def forget(self, sock: Readable) -> None:
        """Watch it no more."""
        with suppress(KeyError, ValueError):
            self._selector.unregister(sock)

    def turn(self, seconds: float | None) -> None:
        """Wait for something to happen, and do what it asks for.

        Args:
            seconds: How long at most; None for as long as it takes.
        """
        for key, _ in self._selector.select(seconds):
            # What came before in this turn may have closed it.
            if key.fileobj in self._selector.get_map():
                key.data()
        if self._terminated:
            self._terminated = False
            self._told_to_stop()
        self._reap()

    def fork(self, body: Callable[[], None]) -> int:
        """Run something in a child, in a session of its own; return the child's id.

        The child has none of this process's sockets. It ends when the body does.
        """

        def child() -> None:
            os.setsid()
            self._leave()
            body()

        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if not pid:
            end_after(child)
        self._children.add(pid)
        return pid

    def _leave(self) -> None:
        """Let go, in a child, of what belongs to its parent."""
        signal.set_wakeup_fd(-1)
        for number in (*_SIGNALS, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        watched = [key.fileobj for key in self._selector.get_map().values()]
        # First: what is watched is shared with the parent, and would be forgotten there too.
        self._selector.close()
        for sock in (*watched, self._signaled):
            if isinstance(sock, socket.socket):
                sock.close()
        self._children.clear()
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)

    def _woken(self) -> None:
        with suppress(BlockingIOError):
            while self._awake.recv(4096):
                pass

    def _on_sigterm(self, _number: int, _frame: object) -> None:
        self._terminated = True

    def _reap(self) -> None:
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None:
                return
            pid = found.si_pid
            if pid in self._children and found.si_status:
                # What it has left behind. While it is not reaped its id cannot be another's.
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            self._children.discard(pid)
            self._ended(pid, describe_end(status))


def describe_end(status: int) -> str:
    """Say how a process ended: what `waitpid` gave, in words."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"ended with status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was killed by {name}"
