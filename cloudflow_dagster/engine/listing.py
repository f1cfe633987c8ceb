"""What the code server tells of all flows at once, without building their jobs.

Dagster's own answer (`RepositorySnap.from_def`) builds every job and its snapshot, some 10 ms each,
because it names the snapshots' ids. Here a job whose snapshot nobody has made yet is named by an id
that stands for what it is made from, until it is its turn: `fill` makes the missing ones little by
little while nothing else is to be done, and what is looked at or run is made at once. Nothing is
ever stored under such an id; for what they are in Dagster's pages (telling whether a run's job is
still what it was) it means "another one".

Checked on Dagster 1.13.27 (`tests/unit/engine/test_engine_dagster_internals.py`).
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from hashlib import sha1
from typing import Any, cast
from uuid import uuid4

import dagster as dg
from dagster._core.remote_representation.external_data import JobRefSnap, RepositorySnap
from dagster._serdes import pack_value

from cloudflow_dagster.engine.definitions import Content, FlowsData
from cloudflow_dagster.engine.folder import FlowFolder, Listed, UnknownFlowError
from cloudflow_dagster.engine.origins import REPOSITORY

REFS = "external_job_refs"
"""The key of the jobs in the written form of a repository."""


class Listing:
    """Answers for one folder, as long as the project is what it is. For any number of threads."""

    def __init__(self, folder: FlowFolder) -> None:
        self.folder = folder
        self._own = uuid4().hex
        self._ids: dict[tuple[str, str], str] = {}
        self._packed: dict[str, tuple[str, Any]] = {}
        self._lock = threading.Lock()

    def written(self, content: Content) -> str:
        """Return the repository as Dagster's servers read it."""
        rest = _NoJobs(content)
        snap = RepositorySnap.from_def(
            dg.RepositoryDefinition(REPOSITORY, repository_data=rest), defer_snapshots=True
        )
        whole = cast("dict[str, Any]", pack_value(snap))
        with self._lock:
            whole[REFS] = [self._ref(job, content.listed[job]) for job in sorted(content.listed)]
            self._packed = {ref["name"]: self._packed[ref["name"]] for ref in whole[REFS]}
        return json.dumps(whole)

    def snapshot_id(self, job: str, listed: Listed) -> str:
        """Return the id of a job's snapshot, or what stands for it until it is made."""
        known = self._ids.get((job, listed.version))
        if known is not None:
            return known
        made_from = f"{self._own}\0{job}\0{listed.version}"
        return sha1(made_from.encode(), usedforsecurity=False).hexdigest()

    def make(self, job: str) -> str:
        """Make the snapshot of a job if nobody has, and return its id.

        Raises:
            UnknownFlowError: There is no such job.
        """
        listed = self.folder.listed.get(job)
        if listed is not None and (job, listed.version) in self._ids:
            return self._ids[job, listed.version]
        id = self.folder.loaded(job).job.get_job_snapshot_id()
        if listed is not None:
            self._ids[job, listed.version] = id
        return id

    def fill(self, seconds: float) -> bool:
        """Make missing snapshots for so long; return whether the last of them was made now."""
        give_up = time.monotonic() + seconds
        wanted = [(job, flow.version) for job, flow in self.folder.listed.items()]
        missing = [key for key in wanted if key not in self._ids]
        for job, _ in missing:
            if time.monotonic() > give_up:
                return False
            try:
                self.make(job)
            except UnknownFlowError:
                continue
        self._ids = {key: self._ids[key] for key in wanted if key in self._ids}
        return bool(missing)

    def _ref(self, job: str, listed: Listed) -> Any:
        id = self.snapshot_id(job, listed)
        kept = self._packed.get(job)
        if kept is not None and kept[0] == id:
            return kept[1]
        ref = pack_value(_job_ref(job, id))
        self._packed[job] = (id, ref)
        return ref


def _job_ref(job: str, id: str) -> JobRefSnap:
    """Return what `JobRefSnap.from_job_def` does for any job of a flow; a test compares."""
    return JobRefSnap(
        name=job,
        snapshot_id=id,
        active_presets=[],
        parent_snapshot_id=None,
        preview_tags={},
        owners=None,
    )


class _NoJobs(FlowsData):
    """All but the jobs."""

    def __init__(self, content: Content) -> None:
        self._content = content

    @property
    def content(self) -> Content:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._content

    def get_all_jobs(self) -> list[dg.JobDefinition]:
        return []

    def get_top_level_resources(self) -> Mapping[str, dg.ResourceDefinition]:
        return {}
