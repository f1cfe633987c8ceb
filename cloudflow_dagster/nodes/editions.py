"""What tells one state of installed code from another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def edition_of(*folders: Path, suffixes: Iterable[str] = (".py", ".txt")) -> str:
    """Return a text that is another one when a file below one of the folders is changed.

    Versions would not do for a package that is being worked on. Reads no file.
    """
    digest = hashlib.sha256()
    wanted = tuple(suffixes)
    for folder in folders:
        for file in sorted(folder.rglob("*")):
            if file.name.endswith(wanted):
                about = file.stat()
                digest.update(f"{file}\0{about.st_mtime_ns}\0{about.st_size}\0".encode())
    return digest.hexdigest()


def version_of(package: str) -> str:
    """Return the version of an installed package; `absent` if it is not there or does not say."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"
