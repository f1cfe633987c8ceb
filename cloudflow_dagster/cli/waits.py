"""`cloudflow waits`: what suspended runs wait for."""

from __future__ import annotations

import json
from typing import Any

import click

from cloudflow_dagster.cli.surroundings import COULD_NOT_WORK, open_project
from cloudflow_dagster.cli.waits_surroundings import SHORT_ID, waits_of, way_out
from cloudflow_dagster.runtime.waiting import at, described
from cloudflow_dagster.runtime.waits import Wait


@click.command("waits")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
def command(*, form: str) -> None:
    """List what runs wait for: times, approvals, calls, other runs."""
    project = open_project(COULD_NOT_WORK)
    waits = waits_of(project)
    found = waits.all_open() if waits else []
    if form == "json":
        click.echo(json.dumps([_as_object(wait) for wait in found], ensure_ascii=False))
        return
    if not found:
        click.echo("No run waits.")
    for wait in found:
        item = f"[{', '.join(map(str, wait.items))}]" if wait.items else ""
        click.echo(
            f"{wait.run[:SHORT_ID]}  {wait.key.node}{item}  since {at(wait.since)}  "
            f"{described(wait)} {way_out(project, wait)}".rstrip()
        )


def _as_object(wait: Wait) -> dict[str, Any]:
    return {
        "run_id": wait.run,
        "node": wait.key.node,
        "items": list(wait.items),
        "way": wait.way,
        "since": at(wait.since),
        "due": None if wait.due is None else at(wait.due),
        "expires": None if wait.expires is None else at(wait.expires),
        "message": wait.message,
        "approvers": list(wait.approvers),
        "run": wait.child,
        "answer": None if wait.answer is None else json.loads(wait.answer),
        "answered_by": wait.answered_by,
        "answered_at": None if wait.answered_at is None else at(wait.answered_at),
    }
