"""Which files of a folder hold flows."""

from __future__ import annotations

import os
from pathlib import Path


def flows_in(folder: Path) -> list[Path]:
    """Return the files of a folder that hold flows, sorted by name.

    Hidden ones do not: editors leave such files while they write others (`.#nightly.json`).
    """
    return [folder / name for name in flow_names_in(folder)]


def flow_names_in(folder: Path) -> list[str]:
    """Return the names of these files; none if there is no such folder, or it cannot be read."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 - made anew twice a second
    except OSError:
        return []
    return sorted(name for name in names if name.endswith(".json") and not name.startswith("."))


def real_path(path: Path) -> Path:
    """Return the path with its links followed, as far as that goes: a link may lead to itself."""
    return Path(os.path.realpath(path))
