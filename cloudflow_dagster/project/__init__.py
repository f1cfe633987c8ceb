"""The project: `cloudflow.yaml`, and the folder that it stands in."""

from cloudflow_dagster.project.project import (
    Project,
    ProjectError,
    find_project,
    load_project,
)
from cloudflow_dagster.project.settings import Settings

__all__ = ["Project", "ProjectError", "Settings", "find_project", "load_project"]
