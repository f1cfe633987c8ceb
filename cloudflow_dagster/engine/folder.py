"""The flows of a project as Dagster jobs: all of them, or one by its id.

What a folder of a thousand flows holds in memory is a line for each of them (`Listed`). Its job is
built when somebody asks for it, and kept as long as the flow stays what it is, if it is among those
asked for last.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Container, Mapping
from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path
from typing import Any, cast

import dagster as dg

from cloudflow_dagster.compiler.incremental import IncrementalCompiler
from cloudflow_dagster.compiler.pipeline import (
    Compiled,
    collector_paused,
    compile_file,
    shown_path,
)
from cloudflow_dagster.diagnostics.model import Diagnostics, did_you_mean
from cloudflow_dagster.engine import names
from cloudflow_dagster.engine.broken import broken_job, first_line
from cloudflow_dagster.engine.jobs import dagster_job_name, job_for
from cloudflow_dagster.flow.files import flows_in
from cloudflow_dagster.flow.source import read_document
from cloudflow_dagster.nodes.registry import Registry
from cloudflow_dagster.plan import Plan
from cloudflow_dagster.project import Project
from cloudflow_dagster.providers import catalogue

_KEPT = 100
"""Jobs that are kept though nobody may ask for them again; each takes some 60 kB."""


class UnknownFlowError(Exception):
    """The project has no such flow; the message suggests one."""


@dataclass(frozen=True)
class LoadedFlow:
    """A file of `flows/` and the job that it became.

    Attributes:
        job: The flow, or what says why it is broken.
        plan: None if it is broken.
        compiled: What the compiler made of it.
    """

    job: dg.JobDefinition
    plan: Plan | None
    compiled: Compiled


@dataclass(frozen=True)
class Listed:
    """A file of `flows/` as far as it is known without building its job.

    Attributes:
        file: Its path, as the user would type it.
        wanted: The name that its job should have.
        broken: The first of what is wrong, if its job only says that.
        version: Another one whenever its job is another one; 40 hexadecimal digits.
        on_failure: Id of the flow that is started when a run of it fails.
        scheduled: Its plan, if the clock starts it.
    """

    file: str
    wanted: str
    broken: str | None
    version: str
    on_failure: str | None
    scheduled: Plan | None


class FlowFolder:
    """The flows of a project. Any number of threads may use it.

    Args:
        project: The project.
        registry: The node types; without it all that are installed.
    """

    def __init__(self, project: Project, registry: Registry | None = None) -> None:
        self.project = project
        self._registry = registry
        self._compiler = IncrementalCompiler(project, registry)
        self._by_file: dict[str, Listed] = {}
        self._by_job: Mapping[str, Listed] | None = None
        self._built: OrderedDict[str, tuple[Listed, LoadedFlow]] = OrderedDict()
        self._lock = threading.RLock()

    @property
    def looked(self) -> bool:
        """Whether all files have been compiled once."""
        return self._by_job is not None

    def look(self) -> bool:
        """Compile what has changed in the folder; return whether anything is another than before.

        The first look compiles all. After that, one changed flow among a thousand takes some
        20 ms (`benchmarks/definitions.py`).
        """
        with self._lock:
            change = self._compiler.update()
            same = not change.compiled and tuple(self._by_file) == change.files
            if same and self._by_job is not None:
                return False
            fresh = {one.file: _listed(one) for one in change.compiled}
            before, self._by_file = self._by_file, {}
            for file in change.files:
                listed = fresh.get(file) or before[file]
                # The same object as before if it is equal: others see by that what has changed.
                self._by_file[file] = before[file] if before.get(file) == listed else listed
            by_job = _by_job(self._by_file)
            if by_job == self._by_job:
                return False
            self._by_job = by_job
            for job, (listed, _) in list(self._built.items()):
                if by_job.get(job) is not listed:
                    del self._built[job]
            return True

    @property
    def listed(self) -> Mapping[str, Listed]:
        """All flows as they were when last looked at, by the names of their jobs."""
        with self._lock:
            if self._by_job is None:
                self.look()
            return self._by_job or {}

    def loaded(self, job: str) -> LoadedFlow:
        """Build the job of that name, or return it as it was built.

        Raises:
            UnknownFlowError: There is no such job.
        """
        with self._lock:
            loaded = self._loaded(job)
            while len(self._built) > _KEPT:
                self._built.popitem(last=False)
            return loaded

    def load(self) -> list[LoadedFlow]:
        """Look at the folder and build the jobs of all flows; keep those that did not change."""
        with self._lock, collector_paused():
            self.look()
            return [self._loaded(job) for job in self.listed]

    def broken(self) -> dict[str, str]:
        """Return the first of what is wrong with each flow that is broken."""
        return {job: flow.broken for job, flow in self.listed.items() if flow.broken}

    def one(self, flow: str) -> LoadedFlow:
        """Compile one flow alone.

        Raises:
            UnknownFlowError: There is no such flow.
        """
        path = self._file_of(flow)
        registry = self._registry or catalogue()
        compiled = compile_file(shown_path(path), project=self.project, registry=registry)
        name = names.dagster_name(_wanted(compiled))
        return _build(name, compiled, self.project)

    def _loaded(self, job: str) -> LoadedFlow:
        listed = self.listed.get(job)
        if listed is None:
            raise UnknownFlowError(f"There is no job `{job}` in {self.project.flows}.")
        kept = self._built.get(job)
        if kept is not None and kept[0] is listed:
            self._built.move_to_end(job)
            return kept[1]
        loaded = _build(job, self._compiler.one(listed.file), self.project)
        self._built[job] = (listed, loaded)
        return loaded

    def _file_of(self, flow: str) -> Path:
        """Find a flow's file by the name of the file or the `id` in it."""
        own = self.project.flows / f"{flow}.json"
        files = flows_in(self.project.flows)
        for path in [own, *(file for file in files if file != own)]:
            if path.is_file() and _id_of(path, flow) == flow:
                return path
        known = [path.stem for path in files]
        hint = did_you_mean(flow, known) or (
            f"There are: {', '.join(known)}." if known else "The folder holds no flow."
        )
        raise UnknownFlowError(f"There is no flow `{flow}` in {self.project.flows}. {hint}")


def _build(job: str, compiled: Compiled, project: Project) -> LoadedFlow:
    plan = compiled.plan
    if plan is None or job != dagster_job_name(plan.flow):
        return LoadedFlow(broken_job(job, compiled), None, compiled)
    return LoadedFlow(job_for(plan, project), plan, compiled)


def _listed(compiled: Compiled) -> Listed:
    text = compiled.document.text
    flow = None if compiled.failed else compiled.flow
    clock = flow is not None and any(node.type == "trigger.cron" for node in flow.nodes)
    made_from = text if flow else f"{text}\0{compiled.diagnostics}"
    return Listed(
        file=compiled.file,
        wanted=_wanted(compiled),
        broken=None if flow else first_line(compiled),
        version=sha1(
            f"{compiled.file}\0{made_from}".encode("utf-8", "replace"), usedforsecurity=False
        ).hexdigest(),
        on_failure=flow.on_failure if flow else None,
        scheduled=compiled.plan if clock else None,
    )


def _wanted(compiled: Compiled) -> str:
    return compiled.flow_id or Path(compiled.file).stem


def _by_job(files: Mapping[str, Listed]) -> dict[str, Listed]:
    by_job: dict[str, Listed] = {}
    for listed in files.values():
        by_job[_free_name(listed.wanted, by_job)] = listed
    return by_job


def _free_name(wanted: str, taken: Container[str]) -> str:
    """Return the name of a file's job: the flow's id, or the nearest that is free and valid."""
    name = names.dagster_name(wanted)
    count = 2
    while name in taken:
        name = f"{names.dagster_name(wanted)}__{count}"
        count += 1
    return name


def _id_of(path: Path, wanted: str) -> str | None:
    """Return a flow's id; only files that name the wanted one are read as JSON."""
    try:
        text = path.read_text("utf-8", errors="replace")
    except OSError:
        return None
    if path.stem != wanted and f'"{wanted}"' not in text:
        return None
    data: Any = read_document(text, str(path), Diagnostics()).data
    written = cast("dict[str, Any]", data).get("id") if isinstance(data, dict) else None
    return path.stem if written is None else written
