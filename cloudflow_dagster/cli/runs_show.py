"""`cloudflow runs show`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from cloudflow_dagster.cli.progress import compensation_lines
from cloudflow_dagster.cli.runs_surroundings import (
    COLORS,
    FORMAT,
    SHORT_ID,
    history,
    seconds_shown,
    time_shown,
    value_shown,
)
from cloudflow_dagster.diagnostics.wording import shortened

if TYPE_CHECKING:
    from cloudflow_dagster.engine.run_details import RunDetails, ShownNode

_LONGEST_MESSAGE = 300


@click.command("show")
@click.argument("run")
@FORMAT
def command(*, run: str, form: str) -> None:
    """Show RUN: its nodes, what came in and out, and the runs it is linked to.

    In the text values are cut to a line; `--format json` prints them whole. Ends with 0 whatever
    became of the run; 2 if there is no such run.
    """
    with history() as (project, instance):
        from cloudflow_dagster.engine.run_details import details_of  # noqa: PLC0415
        from cloudflow_dagster.engine.run_list import find_run  # noqa: PLC0415 - Dagster: 1.5 s

        details = details_of(project, instance, find_run(instance, run))
    if form == "json":
        click.echo(json.dumps(details.as_json(), ensure_ascii=False))
        return
    for line in _lines(details):
        click.echo(line)


def _lines(details: RunDetails) -> Iterator[str]:
    run = details.run
    status = click.style(run.status, fg=COLORS.get(run.status))
    yield f"Run {run.run_id} of {run.flow}: {status}"
    yield f"  {'started by':<11} {run.started_by}"
    yield f"  {'created':<11} {time_shown(run.created_at)}"
    if run.started_at:
        yield f"  {'started':<11} {time_shown(run.started_at)}"
        yield f"  {'took':<11} {seconds_shown(run.seconds)}"
    for name, linked in (
        ("retry of", [run.retry_of]),
        ("first run", [details.first_run]),
        ("called by", [run.called_by]),
        ("failure of", [run.failure_of]),
        ("retried by", details.retried_by),
        ("calls", details.calls),
        ("on failure", details.on_failure),
    ):
        ids = [run_id[:SHORT_ID] for run_id in linked if run_id]
        if ids:
            yield f"  {name:<11} {', '.join(ids)}"
    if details.message:
        yield f"  {'message':<11} {shortened(details.message, _LONGEST_MESSAGE)}"
    yield from compensation_lines(details.compensation)
    if details.nodes:
        yield "Nodes"
    width = max((len(node.id) for node in details.nodes), default=0)
    for node in details.nodes:
        yield from _of_node(node, width)


def _of_node(node: ShownNode, width: int) -> Iterator[str]:
    status = click.style(f"{node.status:<8}", fg=COLORS.get(node.status))
    took = "" if node.seconds is None else seconds_shown(node.seconds)
    facts = [
        f"{node.attempts} attempts" if node.attempts > 1 else "",
        "kept from the run before" if node.kept else "",
        ", ".join(f"{count:,} {word}" for word, count in node.items.items()),
    ]
    about = "; ".join(fact for fact in facts if fact)
    yield f"  {node.id:<{width}}  {status} {took:>10}  {about}".rstrip()
    if node.error:
        error = f"{node.error.get('code')}: {node.error.get('message')}"
        yield f"  {'':<{width}}    error  {shortened(error, _LONGEST_MESSAGE)}"
    if node.input is not None:
        yield f"  {'':<{width}}    in     {value_shown(node.input)}"
    if node.has_output:
        yield f"  {'':<{width}}    out    {value_shown(node.output)}"
