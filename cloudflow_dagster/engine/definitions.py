"""A project's flows as Dagster definitions: for a project of ours, or merged into another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import dagster as dg

from cloudflow_dagster.engine.failure import failure_sensor
from cloudflow_dagster.engine.folder import FlowFolder, LoadedFlow
from cloudflow_dagster.engine.names import flow_of_job
from cloudflow_dagster.engine.origins import REPOSITORY
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
    content = Content.of(FlowFolder(project))
    return dg.Definitions(jobs=content.jobs, schedules=content.schedules, sensors=content.sensors)


def project_of(path: Path) -> Project:
    """Return the project of a folder: its own, or that of which it is the `flows/`."""
    return find_project(path.absolute().parent if path.name == "flows" else path)


@dataclass(frozen=True)
class Content:
    """What a project's flows become."""

    jobs: Sequence[dg.JobDefinition]
    schedules: Sequence[dg.ScheduleDefinition]
    sensors: Sequence[dg.SensorDefinition]

    @classmethod
    def of(cls, folder: FlowFolder) -> Content:
        """Compile all flows."""
        loaded = folder.load()
        return cls(
            jobs=[flow.job for flow in loaded],
            schedules=[s for flow in loaded for s in _schedules(flow, folder.project)],
            sensors=[failure_sensor(loaded, folder.project)],
        )


def _schedules(flow: LoadedFlow, project: Project) -> list[dg.ScheduleDefinition]:
    if flow.plan is None:
        return []
    return list(schedules_for(flow.plan, flow.job, project.variables))


class FlowsData(dg.RepositoryData):
    """The same for Dagster's servers, which ask for one job by name in a process that runs it.

    Then only that flow is read and built.
    """

    def __init__(self, folder: FlowFolder) -> None:
        self._folder = folder

    @cached_property
    def _content(self) -> Content:
        return Content.of(self._folder)

    def get_all_jobs(self) -> Sequence[dg.JobDefinition]:
        """Return the jobs of all flows."""
        return self._content.jobs

    def get_all_schedules(self) -> Sequence[dg.ScheduleDefinition]:
        """Return the schedules of all flows."""
        return self._content.schedules

    def get_all_sensors(self) -> Sequence[dg.SensorDefinition]:
        """Return the sensors of all flows."""
        return self._content.sensors

    def get_job(self, job_name: str) -> dg.JobDefinition:
        """Return one job; the other flows are not built for it."""
        if "_content" not in self.__dict__:
            job = self._folder.one(flow_of_job(job_name)).job
            if job.name == job_name:
                return job
        return super().get_job(job_name)

    def get_top_level_resources(self) -> Mapping[str, dg.ResourceDefinition]:
        """Return nothing: each job brings its own."""
        return {}

    def get_env_vars_by_top_level_resource(self) -> Mapping[str, AbstractSet[str]]:
        """Return nothing, as above."""
        return {}


def repository_of(folder: FlowFolder) -> dg.RepositoryDefinition:
    """Return what Dagster's servers load and replace as a whole."""
    return dg.RepositoryDefinition(REPOSITORY, repository_data=FlowsData(folder))
