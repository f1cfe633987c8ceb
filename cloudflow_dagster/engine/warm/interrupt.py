"""Interrupts the runs that go on, when what they belong to is stopped: they are gone on with later.

Usage: `python -m cloudflow_dagster.engine.warm.interrupt --home FOLDER` does so for an instance.
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
"""Seconds that runs have to end what they are doing."""
_LOOK = 0.05
_SAID = (
    "CloudFlow is being stopped, and the run is interrupted. It goes on by itself when CloudFlow "
    "is started again, unless it has done so as often as the flow's `resumes` says."
)


def interrupt_all(home: Path) -> None:
    """Interrupt all runs of an instance; kill the workers of those that do not end.

    A step ends the call that it is making. Such a run fails as one whose worker was killed, so
    Dagster's daemon goes on with it. One that no worker takes in time is found by the next warm
    process.
    """
    notes = Notes(home)
    written = notes.instance()
    if written is None or not notes.all():
        return
    with dg.DagsterInstance.from_ref(deserialize_value(written, InstanceRef)) as instance:
        told: set[str] = set()
        give_up = time.monotonic() + _PATIENCE
        while left := [note for note in notes.all() if not note.gone]:
            if time.monotonic() > give_up:
                break
            for note in left:
                # A run is interrupted by its worker; it is about to have one.
                if note.taken and note.run_id not in told:
                    told.add(note.run_id)
                    _interrupt(instance, notes, note.run_id)
            time.sleep(_LOOK)
        for note in notes.all():
            if note.taken and note.pid is not None and not note.gone:
                with suppress(ProcessLookupError):
                    os.killpg(note.pid, signal.SIGKILL)
        give_up = time.monotonic() + 1
        while (dead := notes.all()) and time.monotonic() < give_up:
            for note in dead:
                report_dead(instance, note.run_id)
            time.sleep(_LOOK)


def _interrupt(instance: dg.DagsterInstance, notes: Notes, run_id: str) -> None:
    run = instance.get_run_by_id(run_id)
    if run is not None and run.status is not dg.DagsterRunStatus.CANCELING:
        instance.report_engine_event(_SAID, run)
    with notes.locked(run_id) as note:
        # Under the lock: the worker does not begin another run meanwhile.
        if note and note.taken and not note.gone and note.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(note.pid, signal.SIGINT)


def main() -> None:
    """Read the arguments and interrupt."""
    parser = argparse.ArgumentParser(prog="python -m cloudflow_dagster.engine.warm.interrupt")
    parser.add_argument("--home", type=Path, required=True, help="the instance's folder")
    interrupt_all(parser.parse_args().home)


if __name__ == "__main__":
    main()
