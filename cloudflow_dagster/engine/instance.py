"""The project's Dagster instance: where runs, logs and schedules are kept."""

from __future__ import annotations

import fcntl
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cloudflow_dagster.engine.instance_version import TooNew, bring_up_to_date
from cloudflow_dagster.engine.storage import StorageError
from cloudflow_dagster.project import Project

if TYPE_CHECKING:
    import dagster as dg

_HEAD = """\
# Written by CloudFlow when it made this Dagster instance, and yours from then on.
# https://docs.dagster.io/deployment/oss/dagster-yaml
"""

_MADE = ".made_by_cloudflow"
"""Holds the mark of the settings that CloudFlow wrote; empty in the first version."""

_HISTORY = {"module": "cloudflow_dagster.engine.history", "class": "SqliteHistory"}

_SETTINGS: dict[str, Any] = {
    "telemetry": {"enabled": False},
    "nux": {"enabled": False},
    # Without a folder: it is the instance's own, and the project can be moved.
    "storage": {"custom": _HISTORY},
    # Runs of a flow without limits start at once, the others wait in the queue for their turn.
    "run_coordinator": {
        "module": "cloudflow_dagster.engine.coordinator",
        "class": "FlowRunCoordinator",
    },
    # Runs are forked from a warm process. The code of steps is ours, so a worker can take several.
    "run_launcher": {
        "module": "cloudflow_dagster.engine.launcher",
        "class": "WarmRunLauncher",
        "config": {"runs_per_worker": 50},
    },
    # A run whose process died goes on by itself, as often as its flow says (`engine/dead_runs.py`).
    "run_retries": {"enabled": True, "max_retries": 0, "retry_on_asset_or_op_failure": False},
    # Nodes write to the step's log. What a process prints could hold what nobody redacted.
    "compute_logs": {
        "module": "dagster._core.storage.noop_compute_log_manager",
        "class": "NoOpComputeLogManager",
    },
    "schedules": {"use_threads": True, "num_workers": 4},
    "sensors": {"use_threads": True, "num_workers": 4},
}

_TEXT = _HEAD + yaml.safe_dump(_SETTINGS, sort_keys=False)
_FIRST = "5f23b6e2c0fd3a6dd42964efb11bd315f2ba8d69fa43679e4a6c0f803771cd89"
"""The mark of the settings that the first version wrote."""


def dagster_home(project: Project) -> Path:
    """Return the instance's folder (`DAGSTER_HOME`), made and set up if it is not there.

    Dagster makes its database tables when they are first needed. Two processes that do so at the
    same time leave them unusable, so it is done here, once, under a lock. So is the migration of an
    instance that an older version made.

    Raises:
        StorageError: A newer version made it.
    """
    home = project.state / "dagster"
    if _is_set_up(home):
        _bring_up_to_date(home)
        return home
    home.mkdir(parents=True, exist_ok=True)
    with (home / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_set_up(home):
            _set_up(home)
    _bring_up_to_date(home)
    return home


def _bring_up_to_date(home: Path) -> None:
    try:
        bring_up_to_date(home, lambda: _open(home))
    except TooNew as error:
        raise StorageError(str(error)) from None


def _is_set_up(home: Path) -> bool:
    return (home / _MADE).exists() and not _is_outdated(home)


def _is_outdated(home: Path) -> bool:
    """Return whether the settings are those of an earlier version, which nobody has changed.

    They are written anew then, and the history goes on. Settings that somebody changed stay.
    """
    try:
        now = _mark((home / "dagster.yaml").read_text("utf-8"))
        written = (home / _MADE).read_text("ascii") or _FIRST
    except (OSError, UnicodeDecodeError):
        return False
    return now == written != _mark(_TEXT)


def _mark(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _set_up(home: Path) -> None:
    settings = home / "dagster.yaml"
    if not settings.exists() or _is_outdated(home):
        settings.write_text(_TEXT, "utf-8")
    with _open(home) as instance:
        # Here, because it imports Dagster.
        from cloudflow_dagster.engine.retry_cursor import see_all_failures  # noqa: PLC0415

        see_all_failures(instance)
    (home / _MADE).write_text(_mark(_TEXT), "ascii")


def _open(home: Path) -> dg.DagsterInstance:
    """Open the instance in a folder, whatever `DAGSTER_HOME` says.

    `DagsterInstance.from_config` does so for Dagster's own storage alone: ours is not told which
    folder the settings come from. Checked on Dagster 1.13.27.
    """
    import dagster as dg  # noqa: PLC0415 - costs 1.5 s, which `cloudflow dev` needs once
    from dagster._core.instance.ref import InstanceRef  # noqa: PLC0415 - as above

    ref = InstanceRef.from_dir(str(home))
    storage = ref.storage_data
    if storage and storage.class_name == _HISTORY["class"] and not storage.config_dict:
        here = {**_HISTORY, "config": {"base_dir": str(home)}}
        ref = InstanceRef.from_dir(str(home), overrides={"storage": {"custom": here}})
    return dg.DagsterInstance.from_ref(ref)


def open_instance(project: Project) -> dg.DagsterInstance:
    """Open the project's instance; a context manager that closes it.

    Raises:
        StorageError: Dagster does not accept the instance's settings.
    """
    home = dagster_home(project)
    import dagster as dg  # noqa: PLC0415 - as above

    try:
        return _open(home)
    except (dg.DagsterError, ImportError) as error:
        why = str(error).strip().splitlines()
        raise StorageError(
            f"Dagster does not accept the settings in {home / 'dagster.yaml'}: "
            f"{why[0] if why else type(error).__name__} Correct the file, or delete it and "
            f"{home / _MADE} too: then it is written anew."
        ) from error
