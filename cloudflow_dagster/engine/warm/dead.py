"""Reports runs whose worker is gone."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
from dagster._core.events import JobFailureData, RunFailureReason
from dagster._core.instance.ref import InstanceRef
from dagster._serdes import deserialize_value

from cloudflow_dagster.engine import tags
from cloudflow_dagster.engine.warm.notes import Note, Notes


def report_dead(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Report that a run has failed because its worker is gone; once, whoever else notices.

    A run that somebody has canceled meanwhile ends as canceled.

    Args:
        instance: Where the run is kept.
        run_id: The run.

    Returns:
        Whether the worker is gone.
    """
    notes = Notes(Path(instance.root_directory))
    with notes.locked(run_id) as note:
        if note is None or not note.gone:
            return False
        run = instance.get_run_by_id(run_id)
        if run and not run.is_finished:
            message = _message(notes, note)
            if run.status is dg.DagsterRunStatus.CANCELING:
                instance.report_run_canceled(run, message)
            else:
                instance.add_run_tags(run_id, {tags.WORKER_DIED: "true"})
                reason = RunFailureReason.UNEXPECTED_TERMINATION
                instance.report_run_failed(run, message, JobFailureData(None, reason))
        notes.drop(run_id)
        notes.forget_log(run_id)
    return True


def report_from(instance: str, run_id: str) -> None:
    """Do that in a process of its own, because the warm ones have no instance open.

    Args:
        instance: The instance, as Dagster writes it down.
        run_id: The run.
    """
    with dg.DagsterInstance.from_ref(deserialize_value(instance, InstanceRef)) as opened:
        report_dead(opened, run_id)


def _message(notes: Notes, note: Note) -> str:
    who = f"The process {note.pid}" if note.pid else "The process"
    message = f"{who} that executed the run {note.ended or 'is gone'}."
    if "SIGKILL" in note.ended:
        message += " If nobody did that, the machine may have run out of memory."
    words = notes.last_words(note.run_id)
    return f"{message} The last that it printed:\n{words}" if words else message
