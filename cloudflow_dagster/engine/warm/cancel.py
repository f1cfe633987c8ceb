"""Cancels a run, because a person or another run of its flow wants it."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import dagster as dg

from cloudflow_dagster.engine.warm.dead import report_dead
from cloudflow_dagster.engine.warm.notes import Notes


def cancel(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Tell a run to end as canceled; return whether there was anything to tell.

    A worker is interrupted as by Ctrl-C. A run that no worker has taken yet is canceled by the one
    that takes it; one whose worker is gone has been canceled by the time this returns.
    """
    notes = Notes(Path(instance.root_directory))
    run = instance.get_run_by_id(run_id)
    if run is None or run.is_finished:
        return False
    instance.report_run_canceling(run)
    with notes.locked(run_id) as note:
        if note is None or (note.pid is None and note.process):
            return False
        # Under the lock: the worker does not begin another run meanwhile.
        if note.taken and not note.gone and note.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(note.pid, signal.SIGINT)
    if note.gone:
        report_dead(instance, run_id)
    return True
