"""The project's Dagster instance: where runs, logs and schedules are kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cloudflow_dagster.project import Project

if TYPE_CHECKING:
    import dagster as dg

_HEAD = """\
# Written by CloudFlow when it made this Dagster instance, and yours from then on.
# https://docs.dagster.io/deployment/oss/dagster-yaml
"""

_SETTINGS: dict[str, Any] = {
    "telemetry": {"enabled": False},
    "nux": {"enabled": False},
    # Runs of a flow without limits start at once, the others wait in the queue for their turn.
    "run_coordinator": {
        "module": "cloudflow_dagster.engine.coordinator",
        "class": "FlowRunCoordinator",
    },
    # Nodes write to the step's log. What a process prints could hold what nobody redacted.
    "compute_logs": {
        "module": "dagster._core.storage.noop_compute_log_manager",
        "class": "NoOpComputeLogManager",
    },
    "schedules": {"use_threads": True, "num_workers": 4},
    "sensors": {"use_threads": True, "num_workers": 4},
}


def dagster_home(project: Project) -> Path:
    """Return the instance's folder (`DAGSTER_HOME`), made and set up if it is not there."""
    home = project.state / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    settings = home / "dagster.yaml"
    if not settings.exists():
        fresh = home / f".dagster.yaml.{id(settings)}"
        fresh.write_text(_HEAD + yaml.safe_dump(_SETTINGS, sort_keys=False), "utf-8")
        fresh.replace(settings)
    return home


def open_instance(project: Project) -> dg.DagsterInstance:
    """Open the project's instance; a context manager that closes it."""
    import dagster as dg  # noqa: PLC0415 - costs 1.5 s, which `cloudflow dev` does not need

    return dg.DagsterInstance.from_config(str(dagster_home(project)))
