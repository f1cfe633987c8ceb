"""Signs of life of a run's process, for those on other machines, who cannot see it.

Only where the records lie on a server: on one machine a process is seen to be gone at once.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress

from cloudflow_dagster.project import Project
from cloudflow_dagster.project.server import RecordsServer
from cloudflow_dagster.runtime.database import RecordsError, database

_EVERY = 5.0
"""Seconds between two signs."""
SILENCE = 30.0
"""Seconds without one after which a run's process is taken for dead. That may be wrong without
harm, if a network was slow: then the run may change nothing more (`Records.claim`)."""


@contextmanager
def beating(project: Project, run_id: str) -> Generator[None]:
    """Give signs of life of a run, until this ends."""
    if not isinstance(project.records, RecordsServer):
        yield
        return
    database(project.records).beat(run_id)
    ended = threading.Event()
    thread = threading.Thread(
        target=_beat, args=(project, run_id, ended), name=f"beats-{run_id}", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(_EVERY)


def _beat(project: Project, run_id: str, ended: threading.Event) -> None:
    while not ended.wait(_EVERY):
        # A server that is away for a moment: the steps tell of it, if it matters to them.
        with suppress(RecordsError):
            database(project.records).beat(run_id)


def is_silent(project: Project, run_id: str) -> bool:
    """Return whether a run's process gave signs of life, and gives none any more."""
    silent = database(project.records).silent_for(run_id)
    return silent is not None and silent > SILENCE
