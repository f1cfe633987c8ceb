"""`cloudflow runs cancel`."""

from __future__ import annotations

import sys

import click

from cloudflow_dagster.cli.runs_surroundings import history

_NOT_CANCELED = 1


@click.command("cancel")
@click.argument("run")
@click.option(
    "--force",
    is_flag=True,
    help="Mark it as canceled even if nobody answers that executes it.",
)
@click.option(
    "--wait",
    "seconds",
    type=click.FloatRange(0),
    default=20,
    show_default=True,
    help="Seconds to wait until it has ended.",
)
def command(*, run: str, force: bool, seconds: float) -> None:
    """Stop RUN: in the queue, in a process of the deployment, in another terminal, or waiting.

    Running nodes are told to end; what has not ended after 10 s is left behind. Ends with 0 if the
    run is canceled; 1 if it had ended otherwise, or has not ended yet; 2 if there is no such run.
    """
    with history() as (_, instance):
        from cloudflow_dagster.engine.canceling import cancel  # noqa: PLC0415 - Dagster: 1.5 s
        from cloudflow_dagster.engine.run_list import find_run  # noqa: PLC0415

        found = find_run(instance, run).dagster_run
        told = cancel(instance, found, force=force, seconds=seconds)
    click.echo(told.message, err=not told.canceled)
    sys.exit(0 if told.canceled else _NOT_CANCELED)
