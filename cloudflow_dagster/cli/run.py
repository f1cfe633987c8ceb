"""`cloudflow run`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import click

from cloudflow_dagster.cli.param_values import UnreadableValueError, read_value, takes
from cloudflow_dagster.cli.progress import Progress
from cloudflow_dagster.cli.simulated_cloud import cloud_for
from cloudflow_dagster.cli.surroundings import (
    COULD_NOT_WORK,
    flow_file,
    give_up,
    open_project,
    show,
    show_path,
)
from cloudflow_dagster.cli.waits_surroundings import waits_of, way_out
from cloudflow_dagster.compiler.pipeline import compile_file
from cloudflow_dagster.diagnostics import did_you_mean
from cloudflow_dagster.plan import Plan
from cloudflow_dagster.project import Project
from cloudflow_dagster.providers import catalogue
from cloudflow_dagster.runtime.waiting import described

EXIT = {"success": 0, "failure": 1, "canceled": 1, "waiting": 3}


@click.command("run")
@click.argument("flow")
@click.option("--param", "-p", "pairs", multiple=True, metavar="NAME=VALUE", help="One param.")
@click.option(
    "--params-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A JSON file with an object of params; --param wins over it.",
)
@click.option("--pinned", is_flag=True, help="Nodes with a `pin` give it instead of running.")
@click.option("--only", metavar="NODE", help="Run one node, with its inputs pinned or from a run.")
@click.option(
    "--from", "earlier", metavar="RUN", help="With --only: the run that gives what is not pinned."
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
def command(
    *,
    flow: str,
    pairs: tuple[str, ...],
    params_file: Path | None,
    pinned: bool,
    only: str | None,
    earlier: str | None,
    form: str,
) -> None:
    """Run FLOW (an id or a path) here and now, and show what it does.

    Ends with 0 for success, 1 for failure or canceled, 2 if it could not start, 3 if it waits.
    """
    project = open_project(COULD_NOT_WORK)
    plan = _plan(flow, project)
    params = _params(plan, pairs, params_file)
    if earlier is not None and only is None:
        give_up("--from goes with --only: it gives the inputs of the one node that runs.")
    if only is not None:
        _check_node(plan, only)
    from cloudflow_dagster.engine.run_flow import (  # noqa: PLC0415 - Dagster costs 1.5 s
        BrokenOff,
        CannotStart,
        run_flow,
    )

    progress = Progress(plan, quiet=form == "json")
    try:
        with cloud_for(plan, project):
            summary = run_flow(
                project,
                plan,
                params=params,
                pinned=pinned,
                only=only,
                earlier=earlier,
                on_event=progress,
            )
    except CannotStart as error:
        give_up(str(error))
    except BrokenOff as error:
        give_up(str(error), EXIT["failure"])
    if form == "json":
        click.echo(json.dumps(summary, ensure_ascii=False))
    else:
        progress.end(summary)
        if summary["status"] == "waiting":
            _tell_waits(project, str(summary["run_id"]))
    sys.exit(EXIT[summary["status"]])


def _tell_waits(project: Project, run_id: str) -> None:
    waits = waits_of(project)
    for wait in waits.of_run(run_id) if waits else ():
        click.echo(f"{described(wait)} {way_out(project, wait)}".rstrip())


def _plan(name: str, project: Project) -> Plan:
    path = flow_file(project, name)
    compiled = compile_file(show_path(path), project=project, registry=catalogue())
    if compiled.diagnostics:
        show(compiled.diagnostics, {compiled.file: compiled.document.text})
    if compiled.plan is None:
        sys.exit(COULD_NOT_WORK)
    return compiled.plan


def _params(plan: Plan, pairs: tuple[str, ...], file: Path | None) -> dict[str, Any]:
    given = _from_file(file) if file else {}
    known: Mapping[str, Any] = plan.params.get("properties", {})
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            give_up(f"--param {pair}: write NAME=VALUE.")
        try:
            given[name] = read_value(plan.params, name, text)
        except UnreadableValueError as error:
            give_up(f"--param {pair}: {error}")
    for name in given:
        if not takes(plan.params, name):
            hint = did_you_mean(name, known) or f"It has: {', '.join(known) or 'none'}."
            give_up(f"the flow has no param `{name}`. {hint}")
    return given


def _from_file(file: Path) -> dict[str, Any]:
    try:
        value: Any = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        give_up(f"{file} does not hold JSON: {error}")
    if not isinstance(value, dict):
        give_up(f"{file} must hold an object of params.")
    return cast("dict[str, Any]", value)


def _check_node(plan: Plan, node: str) -> None:
    ids = [step.id for step in plan.steps]
    if node in ids:
        return
    if node in {step.id for step in plan.walk()}:
        give_up(f"`{node}` is in a loop's body, and cannot run alone. Run the loop instead.")
    give_up(f"the flow has no node `{node}`. {did_you_mean(node, ids) or ''}".rstrip())
