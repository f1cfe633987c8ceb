"""A code server that sees flows come, change and go.

Dagster's own server loads its definitions once; a reload means another process and takes seconds.
This one looks at `flows/` twice a second, builds what changed, and puts it in the place of what it
served; with it goes a new server id, which Dagster's web server and daemon look for every second.
Checked on Dagster 1.13.27, whose server does the same for the state of components
(`ReloadCodeWithState`).

Usage: `python -m cloudflow_dagster.engine.code_server --socket PATH`, in the project's folder, with
`DAGSTER_HOME` set. It accepts connections once the flows are loaded.
"""

from __future__ import annotations

import argparse
import logging
import sys
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import dagster as dg
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.utils import FuturesAwareThreadPoolExecutor
from dagster._grpc.__generated__ import dagster_api_pb2
from dagster._grpc.server import DagsterApiServer, DagsterGrpcServer
from dagster._utils.interrupts import setup_interrupt_handlers

from cloudflow_dagster.diagnostics import FlowError
from cloudflow_dagster.engine.definitions import repository_of
from cloudflow_dagster.engine.folder import FlowFolder
from cloudflow_dagster.engine.origins import LOCATION, REPOSITORY
from cloudflow_dagster.flow.files import flows_in
from cloudflow_dagster.project import Project, find_project
from cloudflow_dagster.project.project import FILE_NAME

_LOOK = 0.5
_RUNS_END = 12.0
"""Seconds that runs have to end when the server is stopped."""
_log = logging.getLogger("cloudflow")

Seen = frozenset[tuple[str, int, int, int]]


class FlowServer(DagsterApiServer):
    """Serves a project's flows as they are now.

    Args:
        folder: The flows, as the code location has loaded them.
        more: What Dagster's server wants.
    """

    def __init__(self, folder: FlowFolder, **more: Any) -> None:
        self._folder = folder
        self._rebuilding = threading.Lock()
        self._served = what_lies_in(folder.project)
        # Dagster's types for it are partly unknown.
        cast("Any", super()).__init__(**more)

    def look(self) -> bool:
        """Serve what the folder holds now, if it is not what is served; return whether it was."""
        with self._rebuilding:
            seen = what_lies_in(self._folder.project)
            if seen == self._served:
                return False
            self._rebuild(seen)
            return True

    def _rebuild(self, seen: Seen) -> None:
        started = time.monotonic()
        before, self._served = self._served, seen
        try:
            if any(Path(changed[0]).name == FILE_NAME for changed in before ^ seen):
                # What a job knows of its project is in it, so all are built anew.
                self._folder = FlowFolder(find_project(self._folder.project.root))
            repository = repository_of(self._folder)
            repository.load_all_definitions()
        except FlowError as error:
            _log.error("The project file cannot be used, so all stays as it is:\n%s", error)
            return
        except Exception:
            _log.exception("The flows could not be loaded, so all stays as it is.")
            return
        if self._loaded_repositories is not None:
            self._loaded_repositories.update_repo_defs({REPOSITORY: repository})
        self._server_id = str(uuid.uuid4())
        _log.info("Loaded the flows anew in %.2f s.", time.monotonic() - started)

    def ReloadCode(  # noqa: N802 - the name of the remote call
        self, _request: dagster_api_pb2.ReloadCodeRequest, _context: Any
    ) -> dagster_api_pb2.ReloadCodeReply:
        """Load the flows anew: somebody pressed "Reload" in Dagster's pages."""
        with self._rebuilding:
            self._rebuild(what_lies_in(self._folder.project))
        return dagster_api_pb2.ReloadCodeReply()

    def cleanup(self) -> None:
        """End: Dagster's own server would wait for all runs first, however long they take."""
        self._cancel_runs()
        super().cleanup()

    def _cancel_runs(self) -> None:
        """Cancel the runs that were started from here; kill those that do not end."""
        with self._execution_lock:
            going_on = {run_id: process for run_id, (process, _) in self._executions.items()}
            for run_id in going_on:
                run = self._unfinished(run_id)
                if run and self._instance:
                    self._instance.report_run_canceling(run, message="The code server is stopped.")
                self._termination_events[run_id].set()
        give_up = time.monotonic() + _RUNS_END
        for run_id, process in going_on.items():
            process.join(max(0.0, give_up - time.monotonic()))
            run = self._unfinished(run_id)
            if process.is_alive():
                process.kill()
            if run and self._instance:
                self._instance.report_run_canceled(run)

    def _unfinished(self, run_id: str) -> dg.DagsterRun | None:
        run = self._instance.get_run_by_id(run_id) if self._instance else None
        return run if run and not run.is_finished else None


def what_lies_in(project: Project) -> Seen:
    """Return names, times and sizes of all that the definitions are made from."""
    files = [*flows_in(project.flows), project.root / FILE_NAME]
    seen: set[tuple[str, int, int, int]] = set()
    for path in files:
        try:
            status = path.stat()
        except OSError:
            continue
        seen.add((str(path), status.st_mtime_ns, status.st_size, status.st_ino))
    return frozenset(seen)


def serve(socket: Path) -> None:
    """Serve the project of the current directory until told to stop."""
    setup_interrupt_handlers()
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")
    _log.setLevel(logging.INFO)
    from cloudflow_dagster.engine.code_location import folder  # noqa: PLC0415 - reads the project

    stopped = threading.Event()
    threads = FuturesAwareThreadPoolExecutor()
    server = FlowServer(
        folder,
        server_termination_event=stopped,
        logger=_log,
        server_threadpool_executor=threads,
        loadable_target_origin=LoadableTargetOrigin(
            executable_path=sys.executable,
            module_name="cloudflow_dagster.engine.code_location",
            working_directory=str(Path.cwd()),
        ),
        location_name=LOCATION,
        inject_env_vars_from_instance=False,
    )
    socket.unlink(missing_ok=True)
    listening = DagsterGrpcServer(
        server_termination_event=stopped,
        dagster_api_servicer=server,
        logger=_log,
        threadpool_executor=threads,
        socket=str(socket),
    )
    threading.Thread(target=_watch, args=(server.look, stopped), daemon=True).start()
    with suppress(KeyboardInterrupt):
        listening.serve()


def _watch(look: Callable[[], bool], ended: threading.Event) -> None:
    while not ended.wait(_LOOK):
        look()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m cloudflow_dagster.engine.code_server")
    parser.add_argument("--socket", type=Path, required=True, help="where to listen")
    serve(parser.parse_args().socket)


if __name__ == "__main__":
    main()
