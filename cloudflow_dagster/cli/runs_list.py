"""`cloudflow runs list`."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from cloudflow_dagster.cli.runs_surroundings import (
    COLORS,
    FORMAT,
    SHORT_ID,
    history,
    seconds_shown,
    table,
    time_shown,
)
from cloudflow_dagster.cli.surroundings import give_up
from cloudflow_dagster.diagnostics import did_you_mean
from cloudflow_dagster.flow.files import flows_in
from cloudflow_dagster.project import Project

if TYPE_CHECKING:
    import dagster as dg

_STATUSES = (
    *("queued", "starting", "running", "waiting", "canceling"),
    *("success", "failure", "canceled"),
)
_AGO = re.compile(r"(\d+)\s*(s|m|min|h|d|w)")
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}


def _time(_: click.Context, __: click.Parameter, text: str | None) -> datetime | None:
    """Return the time that a text names, or how long ago it was."""
    if text is None:
        return None
    ago = _AGO.fullmatch(text.strip())
    try:
        if ago:
            return datetime.now(UTC) - timedelta(seconds=int(ago[1]) * _UNITS[ago[2]])
        return datetime.fromisoformat(text.strip()).astimezone()
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"`{text}` is no time. Write `30m`, `12h`, `7d`, or `2026-11-03T08:00`."
        ) from None


@click.command("list")
@click.option("--flow", help="Only runs of this flow.")
@click.option(
    "--status",
    "statuses",
    type=click.Choice(_STATUSES),
    multiple=True,
    help="Only runs with this status; may be given several times.",
)
@click.option(
    "--since", callback=_time, metavar="TIME", help="Only newer ones: `12h`, `7d`, `2026-11-03`."
)
@click.option(
    "--limit", type=click.IntRange(1), default=20, show_default=True, help="At most so many."
)
@FORMAT
def command(
    *, flow: str | None, statuses: tuple[str, ...], since: datetime | None, limit: int, form: str
) -> None:
    """List runs, the newest first.

    Ends with 0, also if there are none; 2 if the history cannot be read or there is no such flow.
    """
    with history() as (project, instance):
        from cloudflow_dagster.engine.run_list import list_runs  # noqa: PLC0415 - Dagster: 1.5 s

        # One more tells whether there are more.
        runs = list_runs(instance, flow=flow, statuses=statuses, since=since, limit=limit + 1)
        if not runs and flow:
            _check_flow(project, instance, flow)
    shown, more = runs[:limit], len(runs) > limit
    if form == "json":
        click.echo(json.dumps([run.as_json() for run in shown], indent=2))
        return
    if not shown:
        asked = flow or statuses or since
        click.echo("No such run." if asked else "Nothing has run in this project yet.")
        return
    rows = [["run", "flow", "status", "started by", "at", "took"]]
    rows += [
        [
            run.run_id[:SHORT_ID],
            run.flow,
            run.status,
            run.started_by,
            time_shown(run.started_at or run.created_at),
            seconds_shown(run.seconds),
        ]
        for run in shown
    ]
    table(rows, {2: COLORS})
    if more:
        click.echo(f"There are more; `--limit {limit * 5}` shows them.", err=True)


def _check_flow(project: Project, instance: dg.DagsterInstance, flow: str) -> None:
    """End with status 2 if neither the history nor `flows/` knows a flow."""
    from cloudflow_dagster.engine.run_list import known_flows  # noqa: PLC0415

    known = {*known_flows(instance), *(path.stem for path in flows_in(project.flows))}
    if flow not in known:
        give_up(f"there is no flow `{flow}`. {did_you_mean(flow, known) or ''}".rstrip())
