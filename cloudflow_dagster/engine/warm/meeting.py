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
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO

from cloudflow_dagster.engine.warm.wire import Channel

_LONGEST = 100
"""Characters of a socket's path that every system takes."""
_BACKLOG = 128


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
        path = self._socket_path()
        path.unlink(missing_ok=True)
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
        self._socket_path().unlink(missing_ok=True)
        self._held.close()
        self._held = None

    def join(self) -> Channel | None:
        """Return a connection to the process that listens, or None if there is none."""
        try:
            place = str(json.loads(self._file.read_text("utf-8"))["socket"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            client.connect(place)
        except OSError:
            client.close()
            return None
        return Channel(client)

    def _socket_path(self) -> Path:
        own = self._file.with_suffix(".sock").absolute()
        if len(os.fsencode(own)) <= _LONGEST:
            return own
        # Nobody else may be able to put a socket of his own there.
        folder = Path(tempfile.gettempdir()) / f"cloudflow-{os.getuid()}"
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
        if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode):
            raise PermissionError(f"{folder} is not a folder of this user's.")
        folder.chmod(0o700)
        return folder / f"{hashlib.sha256(os.fsencode(own)).hexdigest()[:32]}.sock"
