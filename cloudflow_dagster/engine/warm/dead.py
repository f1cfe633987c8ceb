"""Reports runs whose worker is gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import dagster as dg
from dagster._core.events import JobFailureData, RunFailureReason
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._serdes import deserialize_value

from cloudflow_dagster.engine import tags
from cloudflow_dagster.engine.ended_well import report_ended_well
from cloudflow_dagster.engine.warm.notes import Note, Notes, tail


def report_dead(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Report that a run has failed because its worker is gone; once, whoever else notices.

    A run that somebody has canceled meanwhile ends as canceled; one that is suspended
    goes on without a worker.

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
        if run and not run.is_finished and run.status is not dg.DagsterRunStatus.SUSPENDED:
            message = _message(note, _last_words(instance, notes, run_id))
            if run.status is dg.DagsterRunStatus.CANCELING:
                instance.report_run_canceled(run, message)
            elif not report_ended_well(instance, run):
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


def _message(note: Note, words: str) -> str:
    who = f"The process {note.pid}" if note.pid else "The process"
    message = f"{who} that executed the run {note.ended or 'is gone'}."
    if "SIGKILL" in note.ended:
        message += " If nobody did that, the machine may have run out of memory."
    return f"{message} The last that it printed:\n{words}" if words else message


def _last_words(instance: dg.DagsterInstance, notes: Notes, run_id: str) -> str:
    """Return the end of what a worker printed, also where Dagster captured it in files."""
    words = [tail(notes.log_of(run_id))]
    # Dagster's type for it is partly unknown.
    manager: Any = cast("Any", instance).compute_log_manager
    if isinstance(manager, LocalComputeLogManager):
        any_step = manager.get_captured_local_path([run_id, "compute_logs", "any"], "err")
        words += [tail(file) for file in sorted(Path(any_step).parent.glob("*.err"))]
    return "\n".join(filter(None, words))
