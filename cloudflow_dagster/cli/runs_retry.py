"""`cloudflow runs retry`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cloudflow_dagster.cli.progress import Progress
from cloudflow_dagster.cli.run import EXIT
from cloudflow_dagster.cli.runs_surroundings import FORMAT, history
from cloudflow_dagster.cli.simulated_cloud import cloud_for
from cloudflow_dagster.cli.surroundings import give_up, show
from cloudflow_dagster.compiler.pipeline import compile_file
from cloudflow_dagster.plan import Plan
from cloudflow_dagster.project import Project
from cloudflow_dagster.providers import catalogue

if TYPE_CHECKING:
    import dagster as dg


@click.command("retry")
@click.argument("run")
@click.option(
    "--from-failure/--whole",
    "from_failure",
    default=True,
    help="Only what had not succeeded (default), or all of it.",
)
@FORMAT
def command(*, run: str, from_failure: bool, form: str) -> None:
    """Do RUN again, here and now, as `cloudflow run` does: with the flow as it is now.

    From the failure, nodes (in a loop: items) that succeeded are not run again, and what they gave
    is what the others see. The new run has the params and the event of the first, and is linked to
    it. Ends as `cloudflow run`: 0 for success, 1 for failure or canceled, 2 if it could not start,
    3 if it waits.
    """
    with history() as (project, instance):
        from cloudflow_dagster.engine.dead_runs import found_dead  # noqa: PLC0415
        from cloudflow_dagster.engine.retrying import (  # noqa: PLC0415 - Dagster: 1.5 s
            CannotRetry,
            check_can_retry,
        )
        from cloudflow_dagster.engine.run_flow import (  # noqa: PLC0415
            BrokenOff,
            CannotStart,
            retry_flow,
        )
        from cloudflow_dagster.engine.run_list import find_run  # noqa: PLC0415

        ended = find_run(instance, run).dagster_run
        try:
            if found_dead(project, instance, ended):
                ended = find_run(instance, ended.run_id).dagster_run
            check_can_retry(ended, whole=not from_failure)
            plan = _plan(project, ended)
            progress = Progress(plan, quiet=form == "json")
            with cloud_for(plan, project):
                summary = retry_flow(
                    project, plan, ended.run_id, whole=not from_failure, on_event=progress
                )
        except (CannotStart, CannotRetry) as error:
            give_up(str(error))
        except BrokenOff as error:
            give_up(str(error), EXIT["failure"])
    if form == "json":
        click.echo(json.dumps(summary, ensure_ascii=False))
    else:
        progress.end(summary)
    sys.exit(EXIT[summary["status"]])


def _plan(project: Project, run: dg.DagsterRun) -> Plan:
    """Return the plan of the flow that a run is of; end with status 2 if it is gone or broken."""
    from cloudflow_dagster.engine.folder import FlowFolder, UnknownFlowError  # noqa: PLC0415
    from cloudflow_dagster.engine.run_list import flow_of  # noqa: PLC0415

    flow = flow_of(run)
    try:
        file = FlowFolder(project).one(flow).compiled.file
    except UnknownFlowError as error:
        give_up(f"the flow of run {run.run_id} is gone. {error}")
    compiled = compile_file(Path(file), project=project, registry=catalogue())
    if compiled.diagnostics:
        show(compiled.diagnostics, {compiled.file: compiled.document.text})
    if compiled.plan is None:
        give_up(f"run {run.run_id} cannot be done again while `{flow}` is broken.")
    return compiled.plan
