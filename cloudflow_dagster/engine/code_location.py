"""The code location of a project: what `workspace.yaml` names, and any Dagster server can load.

The project is that of the current directory. A process that executes a run loads this too, and
builds the one job that it runs.
"""

from __future__ import annotations

from pathlib import Path

from cloudflow_dagster.engine.definitions import FlowsData, repository_of
from cloudflow_dagster.engine.folder import FlowFolder
from cloudflow_dagster.project import find_project

folder = FlowFolder(find_project(Path.cwd()))
data = FlowsData(folder)
repository = repository_of(data)
