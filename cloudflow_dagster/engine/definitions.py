"""A project's flows as Dagster definitions: for a project of ours, or merged into another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import dagster as dg

from cloudflow_dagster.engine.dead_runs import dead_runs_sensor
from cloudflow_dagster.engine.failure import failure_sensor
from cloudflow_dagster.engine.folder import FlowFolder, Listed, UnknownFlowError
from cloudflow_dagster.engine.names import flow_of_job
from cloudflow_dagster.engine.origins import REPOSITORY
from cloudflow_dagster.engine.retention_sensor import retention_sensor
from cloudflow_dagster.engine.schedules import schedules_for
from cloudflow_dagster.project import Project, find_project


def build_definitions(flows: str | Path | Project = "flows") -> dg.Definitions:
    """Return Dagster definitions for all flows of a project.

    They merge into those of any Dagster project::

        defs = dg.Definitions.merge(my_definitions, build_definitions("automation/flows"))

    A flow that cannot be compiled becomes a job that says why, so that a broken file never takes
    the others down.

    Args:
        flows: The folder `flows/` of a project, the project's folder, or the project.

    Raises:
        FlowError: The project's `cloudflow.yaml` cannot be used.
    """
    project = flows if isinstance(flows, Project) else project_of(Path(flows))
    folder = FlowFolder(project)
    jobs = [flow.job for flow in folder.load()]
    content = Content.of(folder)
    return dg.Definitions(jobs=jobs, schedules=content.schedules, sensors=content.sensors)


def project_of(path: Path) -> Project:
    """Return the project of a folder: its own, or that of which it is the `flows/`."""
    return find_project(path.absolute().parent if path.name == "flows" else path)


def load_job(project: Project, job: str) -> dg.JobDefinition:
    """Return one job of a project; the other flows are neither compiled nor built for it.

    About 20 ms in a process that has compiled a flow with the same node types before, also among a
    thousand flows. Only a job that stands for a broken flow may need all of them, because its name
    may depend on which others there are.

    Args:
        project: The project.
        job: The job's name.

    Raises:
        UnknownFlowError: There is no such flow; the message suggests one.
    """
    return job_in(FlowFolder(project), job)


def job_in(folder: FlowFolder, job: str) -> dg.JobDefinition:
    """Return one job of a folder, as above."""
    if not folder.looked:
        with suppress(UnknownFlowError):
            alone = folder.one(flow_of_job(job)).job
            if alone.name == job:
                return alone
    if job in folder.listed:
        return folder.loaded(job).job
    # Says what is there.
    alone = folder.one(flow_of_job(job)).job
    raise UnknownFlowError(f"There is no job `{job}`, but one `{alone.name}`.")


@dataclass(frozen=True)
class Content:
    """What a project's flows become beside jobs.

    Attributes:
        listed: The flows by the names of their jobs.
        by_job: The schedules of each flow that has any, and what they were made from.
        sensors: What starts `on_failure` flows, and what keeps to `settings.retention`.
    """

    listed: Mapping[str, Listed]
    by_job: Mapping[str, tuple[Listed, Sequence[dg.ScheduleDefinition]]]
    sensors: Sequence[dg.SensorDefinition]

    @classmethod
    def of(cls, folder: FlowFolder, before: Content | None = None) -> Content:
        """Make it; the schedules of flows that did not change are those of before."""
        by_job: dict[str, tuple[Listed, Sequence[dg.ScheduleDefinition]]] = {}
        for job, listed in folder.listed.items():
            kept = before.by_job.get(job) if before else None
            if kept is not None and kept[0] is listed:
                by_job[job] = kept
            elif listed.scheduled is not None:
                made = schedules_for(listed.scheduled, job, folder.project.variables)
                by_job[job] = (listed, list(made))
        sensors = [
            failure_sensor(folder),
            dead_runs_sensor(folder.project),
            retention_sensor(folder.project),
        ]
        return cls(folder.listed, by_job, sensors)

    def changed_since(self, before: Content) -> list[str]:
        """Return the names of the jobs that are new or others than before."""
        return [job for job, flow in self.listed.items() if before.listed.get(job) is not flow]

    @property
    def schedules(self) -> list[dg.ScheduleDefinition]:
        """All schedules."""
        return [schedule for _, schedules in self.by_job.values() for schedule in schedules]


class FlowsData(dg.RepositoryData):
    """The same for Dagster's servers: a job is built when it is asked for.

    In a process that runs one job, the other flows are not even read.

    Args:
        folder: The flows.
        before: What this is going to replace.
    """

    def __init__(self, folder: FlowFolder, before: FlowsData | None = None) -> None:
        self.folder = folder
        # Of another folder (the project has changed) nothing can be kept.
        self._before = before.content if before and before.folder is folder else None

    @cached_property
    def content(self) -> Content:
        """What the flows were when this was made."""
        made = Content.of(self.folder, self._before)
        self._before = None
        return made

    def load_all_definitions(self) -> None:
        """Find out what there is. Jobs are built safely whichever thread asks for one."""
        self.folder.look()
        _ = self.content

    def get_job_names(self) -> Sequence[str]:
        """Return the names of all jobs; none is built for it."""
        return list(self.content.listed)

    def has_job(self, job_name: str) -> bool:
        """Return whether there is a job of that name."""
        return job_name in self.content.listed

    def get_all_jobs(self) -> Sequence[dg.JobDefinition]:
        """Return the jobs of all flows."""
        return [flow.job for flow in self.folder.load()]

    def get_all_schedules(self) -> Sequence[dg.ScheduleDefinition]:
        """Return the schedules of all flows."""
        return self.content.schedules

    def get_all_sensors(self) -> Sequence[dg.SensorDefinition]:
        """Return the sensors of all flows."""
        return self.content.sensors

    def get_job(self, job_name: str) -> dg.JobDefinition:
        """Return one job; the other flows are not built for it if it can be helped."""
        return job_in(self.folder, job_name)

    def get_top_level_resources(self) -> Mapping[str, dg.ResourceDefinition]:
        """Return nothing: each job brings its own."""
        return {}

    def get_env_vars_by_top_level_resource(self) -> Mapping[str, AbstractSet[str]]:
        """Return nothing, as above."""
        return {}


def repository_of(data: FlowsData) -> dg.RepositoryDefinition:
    """Return what Dagster's servers load and replace as a whole."""
    return dg.RepositoryDefinition(REPOSITORY, repository_data=data)
