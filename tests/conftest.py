"""Settings of all tests."""

from __future__ import annotations

import os
import sys
from typing import Any

import pytest
from hypothesis import settings

# CI tries the same examples each time, so that a change is judged by what it changes.
settings.register_profile("ci", derandomize=True, deadline=None)
if os.environ.get("CI"):
    settings.load_profile("ci")


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the index of node types once for all processes of a run, and out of the user's home."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    os.environ["CLOUDFLOW_CACHE"] = str(folder / "cloudflow-cache")


def _keep_away_from_databases(event: str, args: tuple[Any, ...]) -> None:
    """Forbid to read a database's file beside SQLite: it could be corrupted.

    `fixtures/beside_sqlite.py` says why, and reads them.
    """
    if event != "open" or not isinstance(args[0], str | bytes | os.PathLike):
        return
    name = os.fsdecode(args[0])
    if name.endswith((".sqlite", ".db", "-wal", "-shm")) and "w" not in (args[1] or ""):
        raise RuntimeError(f"{name} is opened beside SQLite, which may lose its locks on it.")


sys.addaudithook(_keep_away_from_databases)
