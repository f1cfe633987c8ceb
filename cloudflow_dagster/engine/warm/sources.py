"""Which files definitions were made of, and whether these are still what they were.

Whatever code reads while it is loaded counts: modules, flows, YAML of components, a manifest; and
every folder that it lists. What is installed does not change under a running process, so it does
not count.
"""

from __future__ import annotations

import os
import site
import stat
import sys
import sysconfig
from collections.abc import Generator, Mapping
from contextlib import contextmanager

from cloudflow_dagster.project.project import FILE_NAME

Stamp = tuple[int, int, int] | None
"""Time of change in ns, size in bytes (0 of a folder), inode; None for what is not there."""

_WRITES = os.O_WRONLY | os.O_RDWR
_LISTS = frozenset({"os.listdir", "os.scandir"})
_LOOKED_FOR = (".env", FILE_NAME)
"""Files of the working directory that count although they may not be there."""


class Sources:
    """What was read while something was loaded.

    There is one in a process, because Python offers no way of removing what listens to it.
    """

    def __init__(self) -> None:
        self._stamps: dict[str, Stamp] = {}
        self._recording = False
        self._before = frozenset(sys.modules)
        self._installed = tuple(f"{path}{os.sep}" for path in _installed())
        sys.addaudithook(self._hear)

    @contextmanager
    def recorded(self) -> Generator[None]:
        """Count what is read meanwhile."""
        self._recording = True
        try:
            yield
        finally:
            self._recording = False
            self._add_modules()

    def add_looked_for(self) -> None:
        """Count the files that code looks for in the current directory."""
        for name in _LOOKED_FOR:
            path = os.path.join(os.getcwd(), name)  # noqa: PTH109, PTH118 - as the others here
            self._stamps.setdefault(path, stamp_of(path))

    @property
    def stamps(self) -> Mapping[str, Stamp]:
        """What counts, by path."""
        return self._stamps

    @property
    def changed(self) -> bool:
        """Whether anything is not what it was."""
        return changed(self._stamps)

    def _hear(self, event: str, args: tuple[object, ...]) -> None:
        if not self._recording:
            return
        if event == "open":
            path, flags = args[0], args[2]
            if isinstance(flags, int) and not flags & _WRITES:
                self._add(path)
        elif event in _LISTS and not _by_import():
            self._add(args[0] if args and args[0] is not None else ".")

    def _add(self, path: object) -> None:
        if not isinstance(path, str | bytes):
            return
        name = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - no link may be followed
        if name not in self._stamps and not name.startswith(self._installed):
            stamp = stamp_of(name)
            if stamp is not None:
                self._stamps[name] = stamp

    def _add_modules(self) -> None:
        """Count the sources of modules, of which Python opens only what it has compiled."""
        for name in set(sys.modules) - self._before:
            file = getattr(sys.modules.get(name), "__file__", None)
            if isinstance(file, str):
                self._add(file)


def _by_import() -> bool:
    """Return whether Python itself lists a folder, to find a module.

    It lists the folder that code works in, and that changes with every file that a run writes.
    """
    return sys._getframe(2).f_code.co_filename.startswith("<frozen importlib")  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - there is no other way


def stamp_of(path: str) -> Stamp:
    """Return what tells a file or a folder from what it is after a change."""
    try:
        found = os.stat(path)  # noqa: PTH116 - for a thousand flows it counts
    except OSError:
        return None
    if stat.S_ISREG(found.st_mode):
        return found.st_mtime_ns, found.st_size, found.st_ino
    return (found.st_mtime_ns, 0, found.st_ino) if stat.S_ISDIR(found.st_mode) else None


def changed(stamps: Mapping[str, Stamp]) -> bool:
    """Return whether anything is not what it was."""
    return any(stamp_of(path) != stamp for path, stamp in stamps.items())


def _installed() -> set[str]:
    own = {sys.prefix, sys.base_prefix, *sysconfig.get_paths().values()}
    packages = {*site.getsitepackages(), site.getusersitepackages()}
    return {*own, *packages, "/proc", "/sys", "/dev", "/etc", "/usr/share"}
