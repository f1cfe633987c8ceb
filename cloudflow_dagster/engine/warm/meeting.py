"""Where the launcher and the warm process of an instance find each other.

There is one warm process for an instance and a Python interpreter. It holds a lock while it takes
launches; a file beside the lock says where it listens. It imports nothing that costs time.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import socket
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO

from cloudflow_dagster.engine.warm.wire import Channel

_LONGEST = 100
"""Characters of a socket's path that every system takes."""
_BACKLOG = 128
_PREFIX = "cloudflow-warm-"
"""Of the folder of a socket whose own path would be too long."""


class Meeting:
    """The place.

    Args:
        home: The instance's folder.
        executable: The Python interpreter of the code that is run.
    """

    def __init__(self, home: Path, executable: str) -> None:
        short = hashlib.sha256(executable.encode()).hexdigest()[:8]
        self.folder = home / "run_workers"
        self._file = self.folder / f"warm-{short}.place"
        self._lock = self._file.with_suffix(".lock")
        self.starting = self._file.with_suffix(".starting")
        self.log = self._file.with_suffix(".log")
        self._held: IO[str] | None = None
        self._socket: Path | None = None

    def host(self) -> socket.socket | None:
        """Listen, until `leave` or the end of the process; None if another one does so already."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = self._lock.open("a")
        try:
            # Not `flock`: what this process forks, and what lives on after it, must not hold it.
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            return None
        self._held = lock
        _remove(self._place())
        path = self._socket = self._new_place()
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            listening.bind(str(path))
        finally:
            os.umask(before)
        listening.listen(_BACKLOG)
        self._file.write_text(json.dumps({"socket": str(path), "pid": os.getpid()}), "utf-8")
        return listening

    def leave(self) -> None:
        """Make room for another process that listens."""
        if self._held is None:
            return
        self._file.unlink(missing_ok=True)
        _remove(self._socket)
        self._held.close()
        self._held = None

    def join(self) -> Channel | None:
        """Return a connection to the process that listens, or None if there is none."""
        place = self._place()
        if place is None:
            return None
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            client.connect(str(place))
        except OSError:
            client.close()
            return None
        return Channel(client)

    def _place(self) -> Path | None:
        """Return the socket of who listens, or listened and was killed."""
        try:
            return Path(json.loads(self._file.read_text("utf-8"))["socket"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _new_place(self) -> Path:
        own = self._file.with_suffix(".sock").absolute()
        if len(os.fsencode(own)) <= _LONGEST:
            own.unlink(missing_ok=True)
            return own
        # A folder of this user alone, so that nobody else can put a socket of his own there.
        return Path(tempfile.mkdtemp(prefix=_PREFIX)) / own.name


def _remove(place: Path | None) -> None:
    """Remove a socket, and the folder if one was made for it alone."""
    if place is None:
        return
    with suppress(OSError):
        place.unlink()
        if place.parent.name.startswith(_PREFIX):
            place.parent.rmdir()
