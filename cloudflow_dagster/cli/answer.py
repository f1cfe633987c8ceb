"""`cloudflow answer`."""

from __future__ import annotations

import json
import sys
from typing import Any, Literal

import click

from cloudflow_dagster.cli.progress import Progress
from cloudflow_dagster.cli.run import EXIT
from cloudflow_dagster.cli.simulated_cloud import cloud_for
from cloudflow_dagster.cli.surroundings import COULD_NOT_WORK, give_up, open_project
from cloudflow_dagster.runtime.intents import Answer


@click.command("answer")
@click.argument("run")
@click.argument("node")
@click.argument("word", metavar="done|again", type=click.Choice(["done", "again"]))
@click.option("--item", metavar="INDEX", help="In a loop: which item, from 0; `2.0` if nested.")
@click.option("--output", metavar="JSON", help="With done: what the node gave; null without it.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
def command(
    *,
    run: str,
    node: str,
    word: Literal["done", "again"],
    item: str | None,
    output: str | None,
    form: str,
) -> None:
    """Say whether a call was carried out that the run RUN was interrupted at, and go on.

    NODE stopped the run with the error `MaybeDone`: `done` says that the call was carried out, and
    the node is not executed any more; `again` says that it was not, and it is. The run goes on as
    a new one once all such questions are answered.

    Ends as `cloudflow run` does.
    """
    project = open_project(COULD_NOT_WORK)
    if word == "again" and output is not None:
        give_up("--output goes with `done`: it is what the node gave.")
    value = _json(output)
    from cloudflow_dagster.engine.answers import (  # noqa: PLC0415 - Dagster costs 1.5 s
        CannotAnswer,
        answer,
    )
    from cloudflow_dagster.engine.run_flow import (  # noqa: PLC0415
        BrokenOff,
        CannotStart,
        retry_flow,
    )

    try:
        plan, left = answer(project, run, node, item, Answer.now(word, value))
        if left:
            click.echo(f"Noted. The run goes on when these are answered too: {', '.join(left)}.")
            sys.exit(EXIT["waiting"])
        progress = Progress(plan, quiet=form == "json")
        with cloud_for(plan, project):
            summary = retry_flow(project, plan, run, on_event=progress)
    except (CannotAnswer, CannotStart) as error:
        give_up(str(error))
    except BrokenOff as error:
        give_up(str(error), EXIT["failure"])
    if form == "json":
        click.echo(json.dumps(summary, ensure_ascii=False))
    else:
        progress.end(summary)
    sys.exit(EXIT[str(summary["status"])])


def _json(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        give_up(f"--output {text} is not JSON: {error}. Text is written in quotes: '\"vol-1\"'.")
