"""The project's Dagster instance: where runs, logs and schedules are kept."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cloudflow_dagster.engine.storage import StorageError
from cloudflow_dagster.project import Project

if TYPE_CHECKING:
    import dagster as dg

_HEAD = """\
# Written by CloudFlow when it made this Dagster instance, and yours from then on.
# https://docs.dagster.io/deployment/oss/dagster-yaml
"""

_MADE = ".made_by_cloudflow"

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
    """Return the instance's folder (`DAGSTER_HOME`), made and set up if it is not there.

    Dagster makes its database tables when they are first needed. Two processes that do so at the
    same time leave them unusable, so it is done here, once, under a lock.
    """
    home = project.state / "dagster"
    made = home / _MADE
    if made.exists():
        return home
    home.mkdir(parents=True, exist_ok=True)
    with (home / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            _set_up(home)
            made.touch()
    return home


def _set_up(home: Path) -> None:
    import dagster as dg  # noqa: PLC0415 - costs 1.5 s, which `cloudflow dev` needs this once

    settings = home / "dagster.yaml"
    if not settings.exists():
        settings.write_text(_HEAD + yaml.safe_dump(_SETTINGS, sort_keys=False), "utf-8")
    with dg.DagsterInstance.from_config(str(home)):
        pass


def open_instance(project: Project) -> dg.DagsterInstance:
    """Open the project's instance; a context manager that closes it.

    Raises:
        StorageError: Dagster does not accept the instance's settings.
    """
    home = dagster_home(project)
    import dagster as dg  # noqa: PLC0415 - as above

    try:
        return dg.DagsterInstance.from_config(str(home))
    except (dg.DagsterError, ImportError) as error:
        why = str(error).strip().splitlines()
        raise StorageError(
            f"Dagster does not accept the settings in {home / 'dagster.yaml'}: "
            f"{why[0] if why else type(error).__name__} Correct the file, or delete it and "
            f"{home / _MADE} too: then it is written anew."
        ) from error
