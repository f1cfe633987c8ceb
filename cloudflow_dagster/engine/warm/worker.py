"""Executes runs, one after the other, in a process that was forked for it.

It does what `dagster api execute_run` does, with Dagster's own `core_execute_run`. Checked on
Dagster 1.13.27.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import dagster as dg
from dagster._core.events import EngineEventData
from dagster._core.instance.ref import InstanceRef
from dagster._core.origin import JobPythonOrigin
from dagster._core.snowflake_partner import set_snowflake_partner_env_var
from dagster._grpc.impl import core_execute_run
from dagster._serdes import deserialize_value
from dagster._utils.hosted_user_process import recon_job_from_origin
from dagster._utils.interrupts import capture_interrupts

from cloudflow_dagster.engine.execution import let_core_execution_suspend
from cloudflow_dagster.engine.stops import leave_runs_when_told_to_stop
from cloudflow_dagster.engine.warm.notes import Notes
from cloudflow_dagster.engine.warm.wire import Channel, Message

_ENDED = frozenset(
    {
        dg.DagsterEventType.RUN_SUCCESS,
        dg.DagsterEventType.RUN_FAILURE,
        dg.DagsterEventType.RUN_CANCELED,
    }
)
_OF_THE_INSTANCE = frozenset({"events", "watch events"})
"""Names of threads that write and read the history; they belong to no run."""
_LINGER = 0.1
"""Seconds that the threads of a run have to end after it."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """A run to execute.

    Attributes:
        run_id: The run.
        origin: Where its job is defined, as Dagster writes that down.
        instance: Where the run is kept, likewise.
        runs_per_worker: How many runs a worker takes before it ends.
    """

    run_id: str
    origin: str
    instance: str
    runs_per_worker: int

    @classmethod
    def of(cls, message: Message) -> Assignment:
        """Read one from a message."""
        return cls(**{name: message[name] for name in cls.__slots__})


class Worker:
    """See the module.

    Args:
        home: The instance's folder.
        inject_environment: Whether the environment is still to be filled by Dagster's settings.
    """

    def __init__(self, home: Path, *, inject_environment: bool = False) -> None:
        self._notes = Notes(home)
        self._inject = inject_environment
        self._instance: dg.DagsterInstance | None = None
        self._instance_is = ""
        self._count = 0
        let_core_execution_suspend()
        leave_runs_when_told_to_stop()
        _seed_numpy()
        # Each run does it, so it is none of what a run has changed.
        set_snowflake_partner_env_var()

    def serve(self, location: Channel, instance: str | None) -> None:
        """Take runs until there are to be no more.

        Args:
            location: Where they come from.
            instance: The instance to open before the first one comes.
        """
        if instance:
            with suppress(Exception):  # the run will tell
                self._open(instance)
        while (message := location.next()) is not None:
            task = Assignment.of(message)
            stays = self.execute(task) and self._count < task.runs_per_worker
            if not location.send({"done": task.run_id, "stays": stays}) or not stays:
                break
        self.close()

    def close(self) -> None:
        """Write what is still to be written into the history."""
        if self._instance is not None:
            self._instance.dispose()
            self._instance = None

    def execute(self, task: Assignment) -> bool:
        """Execute a run to its end; return whether the process is as good as before it."""
        self._count += 1
        before = _State.now()
        with capture_interrupts():
            with _output_to(self._notes.log_of(task.run_id)):
                self._notes.take(task.run_id)
                unharmed = self._execute(task)
            # Who cancels the run has locked the note, so no interrupt can come after this.
            with self._notes.locked(task.run_id) as note:
                self._notes.forget_log(task.run_id)
                if note:
                    self._notes.drop(task.run_id)
        return unharmed and before.holds()

    def _execute(self, task: Assignment) -> bool:
        instance = self._open(task.instance)
        run = instance.get_run_by_id(task.run_id)
        if run is None:
            return True
        if run.status is dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, "The run was canceled before it started.")
            return True
        pid = os.getpid()
        instance.report_engine_event(
            f"Started process for run (pid: {pid}).", run, EngineEventData.in_process(pid)
        )
        ended = unharmed = False
        try:
            job = recon_job_from_origin(deserialize_value(task.origin, JobPythonOrigin))
            for event in core_execute_run(job, run, instance, inject_env_vars=self._inject):
                ended |= event.event_type in _ENDED
            unharmed = True
        except BaseException as error:
            # What went wrong is in the run's history; for others who look, it is in the log too.
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
        if not ended:
            self._end(instance, task.run_id)
        return unharmed

    def _end(self, instance: dg.DagsterInstance, run_id: str) -> None:
        """Let no run stay unfinished that nobody executes any more, unless it is suspended."""
        run = instance.get_run_by_id(run_id)
        if run and not run.is_finished and run.status is not dg.DagsterRunStatus.SUSPENDED:
            instance.report_run_failed(run, "The run's worker has ended without an end of the run.")

    def _open(self, instance: str) -> dg.DagsterInstance:
        if self._instance is None or self._instance_is != instance:
            if self._instance is not None:
                self._instance.dispose()
            self._instance_is = instance
            self._instance = dg.DagsterInstance.from_ref(deserialize_value(instance, InstanceRef))
        return self._instance


@dataclass(frozen=True)
class _State:
    """What a run may leave behind in a process: threads, another folder, another environment."""

    threads: frozenset[int | None]
    folder: str
    environment: dict[str, str]

    @classmethod
    def now(cls) -> _State:
        return cls(_threads(), _folder(), dict(os.environ))

    def holds(self) -> bool:
        until = time.monotonic() + _LINGER
        while _threads() - self.threads and time.monotonic() < until:
            time.sleep(0.002)
        now = _State.now()
        return (
            now.threads <= self.threads
            and now.folder == self.folder
            and now.environment == self.environment
        )


def _threads() -> frozenset[int | None]:
    return frozenset(t.ident for t in threading.enumerate() if t.name not in _OF_THE_INSTANCE)


def _folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:
        return ""


@contextmanager
def _output_to(log: Path) -> Generator[None]:
    """Let everything that is printed, also by the C library and by crashes, go to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
    faulthandler.enable(2)
    try:
        yield
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        for number, kept in zip((1, 2), saved, strict=True):
            os.dup2(kept, number)
            os.close(kept)


def _seed_numpy() -> None:
    """Give this process random numbers of its own; Python's modules do it by themselves."""
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        cast("Any", numpy).random.seed()
