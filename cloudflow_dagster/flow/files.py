"""Which files of a folder hold flows."""

from __future__ import annotations

import os
from pathlib import Path


def flows_in(folder: Path) -> list[Path]:
    """Return the files of a folder that hold flows, sorted by name.

    Hidden ones do not: editors leave such files while they write others (`.#nightly.json`).
    """
    return sorted(path for path in folder.glob("*.json") if not path.name.startswith("."))


def real_path(path: Path) -> Path:
    """Return the path with its links followed, as far as that goes: a link may lead to itself."""
    return Path(os.path.realpath(path))
