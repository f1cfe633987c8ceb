"""How the web server and the daemon keep what the code server tells them.

Dagster's own `GrpcServerCodeLocation` fetches the snapshots of all jobs, one call each, whenever
anything in the location has changed, and keeps them: for a thousand flows that is some five seconds
of work in each of three processes for every file that is saved, and 40 MB in two of them. Here a
job's snapshot is fetched when somebody looks at the job, and what did not change is kept from one
version of the location to the next.

Checked on Dagster 1.13.27: `tests/unit/engine/test_engine_dagster_internals.py` fails when what is
put in the place of Dagster's has changed. `install` is called in processes that `cloudflow dev`
starts, and in no others.
"""

from __future__ import annotations

import json
import sys
import threading
from collections import OrderedDict
from typing import Any, cast

import dagster as dg
from dagster._api import snapshot_repository
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.remote_representation.code_location import GrpcServerCodeLocation
from dagster._core.remote_representation.external_data import (
    JobDataSnap,
    JobRefSnap,
    RepositorySnap,
    extract_serialized_job_snap_from_serialized_job_data_snap,
)
from dagster._core.snap import JobSnap
from dagster._record import copy as with_fields  # pyright: ignore[reportUnknownVariableType]
from dagster._serdes import deserialize_value, unpack_value
from dagster_shared.error import SerializableErrorInfo

_REFS = "external_job_refs"
"""As in `listing.py`, which would import what builds jobs."""
_KEPT = 200
"""Snapshots that are kept though nobody may look at them again; each takes some 40 kB."""


class _Memory:
    """What this process knows of a location, whichever version of it is the present one."""

    def __init__(self) -> None:
        self.refs: dict[str, tuple[Any, JobRefSnap]] = {}
        self.jobs: OrderedDict[tuple[str, str, str], JobSnap] = OrderedDict()
        self.lock = threading.Lock()

    def ref(self, written: Any) -> JobRefSnap:
        """Return a job as the code server names it; the same object if that is nothing new."""
        kept = self.refs.get(written["name"])
        if kept is not None and kept[0] == written:
            return kept[1]
        ref = unpack_value(written, JobRefSnap)
        self.refs[ref.name] = (written, ref)
        return ref

    def job(self, key: tuple[str, str, str]) -> JobSnap | None:
        with self.lock:
            if key in self.jobs:
                self.jobs.move_to_end(key)
            return self.jobs.get(key)

    def keep(self, key: tuple[str, str, str], job: JobSnap) -> None:
        with self.lock:
            self.jobs[key] = job
            while len(self.jobs) > _KEPT:
                self.jobs.popitem(last=False)


_memory = _Memory()


class FlowsLocation(GrpcServerCodeLocation):
    """A code location whose jobs are fetched when they are looked at."""

    def _job_ref_to_snap(self, repository_name: str, job_ref: JobRefSnap) -> JobDataSnap:
        key = (str(self._socket or self._port), job_ref.name, job_ref.snapshot_id)
        job = _memory.job(key)
        if job is None:
            job = self._fetched(repository_name, job_ref.name)
            _memory.keep(key, job)
        return JobDataSnap(
            name=job_ref.name, job=job, parent_job=None, active_presets=job_ref.active_presets
        )

    def _fetched(self, repository_name: str, job: str) -> JobSnap:
        origin = RemoteRepositoryOrigin(self.origin, repository_name)
        reply = self.client.external_job(origin, job)
        if not reply.serialized_job_data:
            error = deserialize_value(reply.serialized_error, SerializableErrorInfo)
            raise dg.DagsterInvariantViolationError(
                f"The code server could not give the job `{job}`: {error.message}"
            )
        return deserialize_value(
            extract_serialized_job_snap_from_serialized_job_data_snap(reply.serialized_job_data),
            JobSnap,
        )


def install() -> None:
    """Let this process keep code locations in this way."""
    of_dagster = snapshot_repository.sync_get_external_repositories_data_grpc

    def fetched(client: Any, location: Any, defer_snapshots: bool) -> Any:  # noqa: FBT001 - Dagster's
        if not isinstance(location, FlowsLocation):
            return of_dagster(client, location, defer_snapshots)
        none: dict[str, JobSnap] = {}
        return {
            name: (_repository(client, location, name), none) for name in location.repository_names
        }

    def create(self: GrpcServerCodeLocationOrigin, instance: dg.DagsterInstance) -> FlowsLocation:
        return FlowsLocation(self, instance=instance)

    def reload(self: GrpcServerCodeLocationOrigin, instance: dg.DagsterInstance) -> FlowsLocation:
        self.create_client().reload_code(timeout=instance.code_server_reload_timeout)
        return create(self, instance)

    snapshot_repository.sync_get_external_repositories_data_grpc = fetched
    GrpcServerCodeLocationOrigin.create_location = create
    GrpcServerCodeLocationOrigin.reload_location = reload


def _repository(client: Any, location: FlowsLocation, name: str) -> RepositorySnap:
    origin = RemoteRepositoryOrigin(location.origin, name)
    text = client.external_repository(remote_repository_origin=origin, defer_snapshots=True)
    whole = json.loads(text)
    if _REFS not in whole:
        # An error, or jobs with their snapshots, which Dagster's own way can read.
        return _checked(deserialize_value(text))
    written, whole[_REFS] = cast("list[Any]", whole[_REFS]), []
    refs = [_memory.ref(one) for one in written]
    _memory.refs = {ref.name: _memory.refs[ref.name] for ref in refs}
    return with_fields(_checked(unpack_value(whole)), job_refs=refs)


def _checked(found: Any) -> RepositorySnap:
    if not isinstance(found, RepositorySnap):
        raise dg.DagsterInvariantViolationError(found.error.to_string())
    return found


def web_server() -> None:
    """Be Dagster's web server, with the arguments that it takes."""
    from dagster_webserver.cli import main  # noqa: PLC0415 - the daemon does not need it

    install()
    sys.argv[0] = "dagster-webserver"
    main()


def daemon() -> None:
    """Be Dagster's daemon, with the arguments that it takes."""
    from dagster._daemon.cli import main  # noqa: PLC0415 - as above

    install()
    sys.argv[0] = "dagster-daemon"
    main()
