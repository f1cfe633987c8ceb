"""The Celery app of the workers that execute runs on several machines.

    celery -A cloudflow_dagster.engine.celery_worker worker --concurrency 4

Its broker is the one that the instance's launcher sends runs to (`run_launcher` in the
`dagster.yaml` in `DAGSTER_HOME`), so it stands in one place. A run is executed whole, by a process
of its own that is forked from the worker, which has everything loaded: what a run leaves behind
is not there in the next one, and a changed flow is seen. Checked on dagster-celery 0.29.27.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import dagster as dg
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tasks import (
    create_execute_job_task,  # pyright: ignore[reportUnknownVariableType] - it says so of its own
)


def worker_app() -> Any:
    """Return the app, by the settings of the instance.

    Raises:
        SystemExit: The instance does not launch runs with Celery.
    """
    with dg.DagsterInstance.get() as instance:
        launcher = instance.run_launcher
        if not isinstance(launcher, CeleryRunLauncher):
            raise SystemExit(
                "The instance launches runs without Celery: see `run_launcher` in the "
                "`dagster.yaml` in the folder that DAGSTER_HOME names."
            )
        made: Any = launcher.celery
    # Here once, and not in each run's process.
    import_module("cloudflow_dagster.engine.definitions")
    create_execute_job_task(made)
    made.conf.worker_max_tasks_per_child = 1
    return made


app = worker_app()
