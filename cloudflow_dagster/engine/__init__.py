"""From plans to Dagster: definitions, the executor, runs, the code server. Only here is Dagster.

Its public parts, for anybody's Dagster project (`docs/dagster.md`), are imported from here:

    from cloudflow_dagster.engine import thread_executor

Each is imported when it is first used, so that this costs nothing. A `dagster.yaml` names the
modules that they stand in.

What Dagster does not offer publicly is used from a few modules alone; each names the reason and the
version that it was checked on, and `tests/unit/engine/test_engine_dagster_internals.py` fails when
Dagster moves what they use. `docs/decisions/0005-deeper-than-the-public-api.md` lists them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cloudflow_dagster.engine.coordinator import FlowRunCoordinator
    from cloudflow_dagster.engine.credentials import credential_resource
    from cloudflow_dagster.engine.executor import thread_executor
    from cloudflow_dagster.engine.history import SqliteHistory
    from cloudflow_dagster.engine.launcher import WarmRunLauncher
    from cloudflow_dagster.engine.stops import stop_event

__all__ = [
    "FlowRunCoordinator",
    "SqliteHistory",
    "WarmRunLauncher",
    "credential_resource",
    "stop_event",
    "thread_executor",
]

_HOMES = {
    "FlowRunCoordinator": "cloudflow_dagster.engine.coordinator",
    "SqliteHistory": "cloudflow_dagster.engine.history",
    "WarmRunLauncher": "cloudflow_dagster.engine.launcher",
    "credential_resource": "cloudflow_dagster.engine.credentials",
    "stop_event": "cloudflow_dagster.engine.stops",
    "thread_executor": "cloudflow_dagster.engine.executor",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
