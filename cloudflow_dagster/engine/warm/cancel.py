"""Cancels the runs that go on, when what they belong to is stopped.

Usage: `python -m cloudflow_dagster.engine.warm.cancel --home FOLDER` cancels those of an instance.
"""

from __future__ import annotations

import argparse
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import dagster as dg
from dagster._core.instance.ref import InstanceRef
from dagster._serdes import deserialize_value

from cloudflow_dagster.engine.warm.dead import report_dead
from cloudflow_dagster.engine.warm.notes import Notes

_PATIENCE = 12.0
"""Seconds that runs have to end."""
_LOOK = 0.05


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


def cancel_all(home: Path) -> None:
    """Cancel all runs of an instance; kill the workers of those that do not end."""
    notes = Notes(home)
    written = notes.instance()
    if written is None or not notes.all():
        return
    with dg.DagsterInstance.from_ref(deserialize_value(written, InstanceRef)) as instance:
        for note in notes.all():
            cancel(instance, note.run_id)
        give_up = time.monotonic() + _PATIENCE
        while any(not note.gone for note in notes.all()) and time.monotonic() < give_up:
            time.sleep(_LOOK)
        for note in notes.all():
            if note.taken and note.pid is not None and not note.gone:
                with suppress(ProcessLookupError):
                    os.killpg(note.pid, signal.SIGKILL)
        give_up = time.monotonic() + 1
        while (left := notes.all()) and time.monotonic() < give_up:
            for note in left:
                report_dead(instance, note.run_id)
            time.sleep(_LOOK)


def main() -> None:
    """Read the arguments and cancel."""
    parser = argparse.ArgumentParser(prog="python -m cloudflow_dagster.engine.warm.cancel")
    parser.add_argument("--home", type=Path, required=True, help="the instance's folder")
    cancel_all(parser.parse_args().home)


if __name__ == "__main__":
    main()
