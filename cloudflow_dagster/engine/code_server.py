"""A code server that sees flows come, change and go.

Dagster's own server loads its definitions once; a reload means another process and takes seconds.
This one looks at `flows/` twice a second, compiles what changed, and puts it in the place of what
it served; with it goes a new server id, which Dagster's web server and daemon look for every
second. Checked on Dagster 1.13.27, whose server does the same for the state of components
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
from dagster._core.remote_origin import RemoteRepositoryOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.utils import FuturesAwareThreadPoolExecutor
from dagster._grpc.__generated__ import dagster_api_pb2
from dagster._grpc.server import DagsterApiServer, DagsterGrpcServer
from dagster._grpc.types import ExecutionPlanSnapshotArgs
from dagster._record import copy as with_fields  # pyright: ignore[reportUnknownVariableType]
from dagster._serdes import deserialize_value, serialize_value
from dagster._utils.interrupts import setup_interrupt_handlers

from cloudflow_dagster.engine.definitions import FlowsData, repository_of
from cloudflow_dagster.engine.folder import UnknownFlowError
from cloudflow_dagster.engine.origins import LOCATION, REPOSITORY
from cloudflow_dagster.engine.resuming import Resumer
from cloudflow_dagster.engine.served import Served

_LOOK = 0.5
_SPARE = 0.05
"""Seconds in each of these in which snapshots are made that nobody has asked for yet."""
_RUNS_END = 12.0
"""Seconds that runs have to end when the server is stopped."""
BROKEN = "Broken: "
"""Begins a line of the log for a flow that has become broken."""
_log = logging.getLogger("cloudflow")


class FlowServer(DagsterApiServer):
    """Serves a project's flows as they are now.

    Args:
        data: The flows, as the code location has loaded them.
        more: What Dagster's server wants.
    """

    def __init__(self, data: FlowsData, **more: Any) -> None:
        self._served = Served(data)
        self._looking = threading.Lock()
        # Dagster's types for it are partly unknown.
        cast("Any", super()).__init__(**more)
        self._broken: dict[str, str] = {}
        self._tell_broken()

    def look(self, *, always: bool = False) -> bool:
        """Serve what the folder holds now, if it is not what is served; return whether it was."""
        with self._looking:
            if not self._served.look(always=always):
                return False
            if self._loaded_repositories is not None:
                repository = repository_of(self._served.data)
                self._loaded_repositories.update_repo_defs({REPOSITORY: repository})
            self._server_id = str(uuid.uuid4())
            self._tell_broken()
            return True

    def fill(self) -> None:
        """Make some of what nobody has asked for yet; tell once all of it is there."""
        with self._looking:
            if self._served.listing.fill(_SPARE):
                self._server_id = str(uuid.uuid4())

    def look_or_fill(self) -> None:
        """Look; where nothing has changed, make some of what nobody has asked for yet."""
        if not self.look():
            self.fill()

    def _tell_broken(self) -> None:
        """Write a line for each flow that is broken now and was not, or was in another way."""
        before, self._broken = self._broken, self._served.data.folder.broken()
        for name, line in self._broken.items():
            if before.get(name) != line:
                _log.warning("%s%s", BROKEN, line)

    def _get_serialized_external_repository_data(
        self, request: dagster_api_pb2.ExternalRepositoryRequest
    ) -> str:
        """Tell of all flows; with their snapshots (other clients than ours) as Dagster does."""
        if not request.defer_snapshots:
            return super()._get_serialized_external_repository_data(request)
        origin = request.serialized_repository_python_origin
        deserialize_value(origin, RemoteRepositoryOrigin)
        return self._served.listing.written(self._served.data.content)

    def ExecutionPlanSnapshot(  # noqa: N802 - the name of the remote call
        self, request: dagster_api_pb2.ExecutionPlanSnapshotRequest, _context: Any
    ) -> dagster_api_pb2.ExecutionPlanSnapshotReply:
        """Say what a run would do, under the true id of the job's snapshot."""
        args = deserialize_value(
            request.serialized_execution_plan_snapshot_args, ExecutionPlanSnapshotArgs
        )
        with suppress(UnknownFlowError):
            # Else Dagster's own words for it.
            id = self._served.listing.make(args.job_origin.job_name)
            args = with_fields(args, job_snapshot_id=id)
        mended = dagster_api_pb2.ExecutionPlanSnapshotRequest(
            serialized_execution_plan_snapshot_args=serialize_value(args)
        )
        return super().ExecutionPlanSnapshot(mended, _context)

    def ReloadCode(  # noqa: N802 - the name of the remote call
        self, _request: dagster_api_pb2.ReloadCodeRequest, _context: Any
    ) -> dagster_api_pb2.ReloadCodeReply:
        """Load the flows anew: somebody pressed "Reload" in Dagster's pages."""
        self.look(always=True)
        return dagster_api_pb2.ReloadCodeReply()

    def cleanup(self) -> None:
        """End: Dagster's own server would wait for all runs first, however long they take."""
        self._interrupt_runs()
        super().cleanup()

    def _interrupt_runs(self) -> None:
        """Interrupt the runs that were started from here; kill those that do not end."""
        with self._execution_lock:
            going_on = {run_id: process for run_id, (process, _) in self._executions.items()}
            for run_id in going_on:
                self._termination_events[run_id].set()
        give_up = time.monotonic() + _RUNS_END
        for run_id, process in going_on.items():
            process.join(max(0.0, give_up - time.monotonic()))
            run = self._unfinished(run_id)
            if process.is_alive():
                process.kill()
            if run and self._instance:
                self._instance.report_run_failed(run, "The run was interrupted: all is stopped.")

    def _unfinished(self, run_id: str) -> dg.DagsterRun | None:
        run = self._instance.get_run_by_id(run_id) if self._instance else None
        return run if run and not run.is_finished else None


def serve(socket: Path) -> None:
    """Serve the project of the current directory until told to stop."""
    setup_interrupt_handlers()
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")
    _log.setLevel(logging.INFO)
    from cloudflow_dagster.engine.code_location import data  # noqa: PLC0415 - reads the project

    stopped = threading.Event()
    threads = FuturesAwareThreadPoolExecutor()
    server = FlowServer(
        data,
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
    threading.Thread(target=_watch, args=(server.look_or_fill, stopped), daemon=True).start()
    with dg.DagsterInstance.get() as instance:
        resumer = Resumer(data.folder.project, instance)
        threading.Thread(target=_watch, args=(resumer.look, stopped), daemon=True).start()
        try:
            with suppress(KeyboardInterrupt):
                listening.serve()
        finally:
            resumer.stop()


def _watch(look: Callable[[], object], ended: threading.Event) -> None:
    while not ended.wait(_LOOK):
        try:
            look()
        except Exception:
            _log.exception("A look at what has changed failed; the next one comes.")


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m cloudflow_dagster.engine.code_server")
    parser.add_argument("--socket", type=Path, required=True, help="where to listen")
    serve(parser.parse_args().socket)


if __name__ == "__main__":
    main()
