"""`cloudflow dev`."""

from __future__ import annotations

import sys

import click

from cloudflow_dagster.cli.surroundings import open_project


@click.command("dev")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=3000, show_default=True, help="Port of the web UI; 0 for any.")
def command(host: str, port: int) -> None:
    """Start the web UI, the schedules and the simulated cloud, until Ctrl-C.

    Flows that are dropped into `flows/`, changed or deleted are seen without a reload.
    """
    project = open_project()
    from cloudflow_dagster.engine.dev import dev  # noqa: PLC0415 - Dagster costs 1.5 s

    sys.exit(dev(project, host=host, port=port))
