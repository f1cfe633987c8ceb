"""Where what can be made anew is kept for the user."""

from __future__ import annotations

import os
import sys
from pathlib import Path

VARIABLE = "CLOUDFLOW_CACHE"
"""Names another folder."""


def cache_folder() -> Path:
    """Return the folder for what CloudFlow keeps to be faster; it need not be there.

    Raises:
        RuntimeError: The user has no home.
    """
    if given := os.environ.get(VARIABLE):
        return Path(given).absolute()
    return _platform() / "cloudflow"


def _platform() -> Path:
    """Return the folder that the platform has for caches."""
    xdg = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if xdg.is_absolute():  # others are to be ignored, says the standard
        return xdg
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    if sys.platform == "win32" and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local)
    return Path.home() / ".cache"
