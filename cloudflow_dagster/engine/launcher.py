"""A run launcher that forks runs from a warm process, in milliseconds.

Dagster's own starts an interpreter for each run, which takes seconds. Any `dagster.yaml` can name
this one, and it runs any job:

    run_launcher:
      module: cloudflow_dagster.engine.launcher
      class: WarmRunLauncher

What it does beyond Dagster's public interface is in `warm/`. Checked on Dagster 1.13.27.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, cast

import dagster as dg
from dagster._core.launcher import (
    CheckRunHealthResult,
    LaunchRunContext,
    RunLauncher,
    WorkerStatus,
)
from dagster._serdes import ConfigurableClass, ConfigurableClassData, serialize_value
from typing_extensions import override

from cloudflow_dagster.engine import tags
from cloudflow_dagster.engine.this_process import process_is_gone
from cloudflow_dagster.engine.warm.ask import NoWarmProcessError, ask, available
from cloudflow_dagster.engine.warm.cancel import cancel
from cloudflow_dagster.engine.warm.dead import report_dead
from cloudflow_dagster.engine.warm.notes import Notes, tail

_LOOK = 1.0
"""Seconds between two looks at the workers of the runs that this process has launched."""
_LOOKS = 3
"""How often a worker must be found gone before this process reports it."""
_POLL = 0.02


class WarmRunLauncher(RunLauncher[dg.DagsterInstance], ConfigurableClass):
    """Launches runs by forking them from a process that has Dagster and their code loaded.

    The warm process is started by whichever process launches first (web server, daemon, command
    line), and takes launches for as long as that one lives. Code is loaded anew when a file
    that it was made of has changed. All processes of the deployment must be on one machine and
    share the instance's folder. It works on Linux; elsewhere, and for code whose interpreter has
    no CloudFlow, it launches as Dagster's `DefaultRunLauncher`, and says so in the run's history.

    Args:
        runs_per_worker: How many runs a process takes, one after the other. With 1 every run has
            a fresh process; with more, what a run leaves behind in modules is there in the next.
        inst_data: What Dagster wants.
    """

    def __init__(
        self, runs_per_worker: int = 1, inst_data: ConfigurableClassData | None = None
    ) -> None:
        self._runs_per_worker = runs_per_worker
        self._inst_data = inst_data
        self._plain = dg.DefaultRunLauncher()
        self._watching = threading.Lock()
        self._disposed = threading.Event()
        super().__init__()

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """What Dagster has made it from."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Return its settings."""
        return {
            "runs_per_worker": dg.Field(
                dg.IntSource,
                default_value=1,
                description="How many runs a process takes, one after the other.",
            )
        }

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]
    ) -> Self:
        """Make one, as `dagster.yaml` says."""
        return cls(runs_per_worker=config_value["runs_per_worker"], inst_data=inst_data)

    def register_instance(self, instance: dg.DagsterInstance) -> None:
        """Note whose launcher it is."""
        super().register_instance(instance)
        self._plain.register_instance(instance)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Give a run to the warm process, which answers as soon as it is responsible for it."""
        run, origin = context.dagster_run, context.job_code_origin
        why = available()
        if why is None and origin is None:
            why = "It is not known where the run's code is."
        if why is None and origin is not None:
            code = origin.repository_origin
            job = run.remote_job_origin
            message = {
                "run_id": run.run_id,
                "pointer": serialize_value(cast("Any", code.code_pointer)),
                "origin": serialize_value(origin),
                "instance": serialize_value(self._instance.get_ref()),
                "location_name": job.location_name if job else None,
                "runs_per_worker": self._runs_per_worker,
            }
            try:
                ask(self._home, code.executable_path, message)
            except NoWarmProcessError as error:
                why = str(error)
        if why is None:
            self._watch()
        else:
            self._instance.report_engine_event(
                f"{why} So the run is launched by Dagster's own launcher.", run, cls=type(self)
            )
            self._plain.launch_run(context)

    def terminate(self, run_id: str) -> bool:
        """Tell a run to end; it is canceled as soon as its steps have stopped."""
        if not self.has_instance:
            return False
        if self._notes.find(run_id) is None:
            return self._plain.terminate(run_id)
        return cancel(self._instance, run_id)

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Whether it knows if a run's worker lives; Dagster's run monitoring asks."""
        return available() is None

    def answers_for(self, run_id: str) -> bool:
        """Return whether a process has taken a run that has not ended."""
        return self._notes.find(run_id) is not None

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Say whether the worker of a run lives; a run whose worker is gone has failed then."""
        note = self._notes.find(run.run_id)
        if note is None:
            return self._health_without_note(run)
        worker = note.process
        if note.gone:
            report_dead(self._instance, run.run_id)
            gone = "The process that executed the run is gone."
            return CheckRunHealthResult(WorkerStatus.FAILED, gone, run_worker_id=worker)
        return CheckRunHealthResult(WorkerStatus.RUNNING, run_worker_id=worker)

    def _health_without_note(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        mark = run.tags.get(tags.IN_PROCESS)
        if mark is not None:
            status = WorkerStatus.FAILED if process_is_gone(mark) else WorkerStatus.RUNNING
            return CheckRunHealthResult(status, run_worker_id=mark)
        now = self._instance.get_run_by_id(run.run_id)
        if now is None or now.is_finished:
            return CheckRunHealthResult(WorkerStatus.SUCCESS)
        # Not launched from here: by `execute_in_process`, or by another launcher before this one.
        return CheckRunHealthResult(WorkerStatus.RUNNING, "The run has no worker of this launcher.")

    @override
    def get_run_worker_debug_info(
        self, run: dg.DagsterRun, include_container_logs: bool | None = True
    ) -> str | None:
        """Return the last lines that a run's worker has printed."""
        return tail(self._notes.log_of(run.run_id)) or None if include_container_logs else None

    def dispose(self) -> None:
        """Stop watching."""
        self._disposed.set()
        self._plain.dispose()

    def join(self, timeout: int = 30) -> None:
        """Wait until no run of the instance goes on.

        Raises:
            TimeoutError: Some still do.
        """
        if not self.has_instance:
            return
        give_up = time.monotonic() + timeout
        while left := [note.run_id for note in self._notes.all()]:
            if time.monotonic() > give_up:
                raise TimeoutError(f"These runs still go on after {timeout} s: {', '.join(left)}.")
            time.sleep(_POLL)
        self._plain.join(timeout)

    @property
    def _home(self) -> Path:
        return Path(self._instance.root_directory)

    @property
    def _notes(self) -> Notes:
        return Notes(self._home)

    def _watch(self) -> None:
        """Look after the runs that go on, in case the warm process dies with their workers."""
        if self._watching.acquire(blocking=False):
            threading.Thread(target=self._look, name="cloudflow runs", daemon=True).start()

    def _look(self) -> None:
        try:
            looks: dict[str, int] = {}
            while not self._disposed.wait(_LOOK):
                notes = self._notes.all()
                looks = {note.run_id: looks.get(note.run_id, 0) + 1 for note in notes if note.gone}
                for run_id, count in looks.items():
                    # The warm process goes first.
                    if count >= _LOOKS:
                        report_dead(self._instance, run_id)
                if not notes:
                    return
        finally:
            self._watching.release()
