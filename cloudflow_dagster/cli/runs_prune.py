"""`cloudflow runs prune`."""

from __future__ import annotations

import json
from collections import Counter

import click

from cloudflow_dagster.cli.runs_surroundings import FORMAT, history
from cloudflow_dagster.cli.surroundings import give_up

_UNITS = ((1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB"))


@click.command("prune")
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@FORMAT
def command(*, dry_run: bool, form: str) -> None:
    """Delete the runs that are not kept any longer, with their events, outputs and files.

    How long runs are kept stands in `settings.retention` of `cloudflow.yaml`; a deployment does
    this by itself once an hour. Ends with 0; 2 if it cannot be done, or another process does it.
    """
    with history() as (project, instance):
        from cloudflow_dagster.engine.disk_space import used_by  # noqa: PLC0415 - Dagster: 1.5 s
        from cloudflow_dagster.engine.retention import prune  # noqa: PLC0415

        before = 0 if dry_run else used_by(project.state)
        done = prune(project, instance, dry_run=dry_run)
        if done.busy:
            give_up("another process deletes old runs already. See later what is left.")
        freed = 0 if dry_run else max(0, before - used_by(project.state))
    if form == "json":
        deleted = [run.as_json() for run in done.runs]
        click.echo(json.dumps({"deleted": deleted, "dry_run": dry_run, "freed_bytes": freed}))
        return
    for flow, count in sorted(Counter(run.flow for run in done.runs).items()):
        click.echo(f"  {flow}  {count:,}")
    count = f"{len(done.runs):,} {'run' if len(done.runs) == 1 else 'runs'}"
    if dry_run:
        click.echo(f"Would delete {count}.")
    else:
        click.echo(f"Deleted {count}, and gave back {_size(freed)}.")


def _size(count: int) -> str:
    for unit, name in _UNITS:
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} bytes"
