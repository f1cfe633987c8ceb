"""The flows of a project as Dagster jobs: all of them, or one by its id."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import dagster as dg

from cloudflow_dagster.compiler.pipeline import (
    Compiled,
    collector_paused,
    compile_file,
    compile_project,
    shown_path,
)
from cloudflow_dagster.diagnostics.model import Diagnostics, did_you_mean
from cloudflow_dagster.engine import names
from cloudflow_dagster.engine.broken import broken_job
from cloudflow_dagster.engine.jobs import dagster_job_name, job_for
from cloudflow_dagster.flow.files import flows_in
from cloudflow_dagster.flow.source import read_document
from cloudflow_dagster.nodes.registry import Registry
from cloudflow_dagster.plan import Plan
from cloudflow_dagster.project import Project
from cloudflow_dagster.providers import catalogue


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


class FlowFolder:
    """The flows of a project.

    Args:
        project: The project.
        registry: The node types; without it all that are installed.
    """

    def __init__(self, project: Project, registry: Registry | None = None) -> None:
        self.project = project
        self._registry = registry or catalogue()
        self._built: dict[str, LoadedFlow] = {}

    def load(self) -> list[LoadedFlow]:
        """Compile all files; the job of a flow whose plan is what it was before is kept."""
        loaded: dict[str, LoadedFlow] = {}
        # Saves two fifths of the time for a thousand flows (`benchmarks/definitions.py`).
        with collector_paused():
            for compiled in compile_project(self.project, self._registry):
                flow = self._loaded(compiled, taken=loaded)
                loaded[flow.job.name] = flow
        self._built = loaded
        return list(loaded.values())

    def one(self, flow: str) -> LoadedFlow:
        """Compile one flow alone.

        Raises:
            UnknownFlowError: There is no such flow.
        """
        path = self._file_of(flow)
        compiled = compile_file(shown_path(path), project=self.project, registry=self._registry)
        return self._loaded(compiled, taken={})

    def _loaded(self, compiled: Compiled, taken: Iterable[str]) -> LoadedFlow:
        plan = compiled.plan
        name = _job_name(compiled, taken)
        before = self._built.get(name)
        if before is not None and _same(before, compiled):
            return LoadedFlow(before.job, plan, compiled)
        if plan is None or name != dagster_job_name(plan.flow):
            return LoadedFlow(broken_job(name, compiled), None, compiled)
        return LoadedFlow(job_for(plan, self.project), plan, compiled)

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


def _same(before: LoadedFlow, now: Compiled) -> bool:
    """Return whether a file has become the same job again."""
    if before.compiled.file != now.file or before.plan != now.plan:
        return False
    return now.plan is not None or before.compiled.diagnostics == now.diagnostics


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


def _job_name(compiled: Compiled, taken: Iterable[str]) -> str:
    """Return the name of a file's job: the flow's id, or the nearest that is free and valid."""
    wanted = compiled.flow_id or Path(compiled.file).stem
    name = names.dagster_name(wanted)
    used = set(taken)
    count = 2
    while name in used:
        name = f"{names.dagster_name(wanted)}__{count}"
        count += 1
    return name
