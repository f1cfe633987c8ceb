"""`cloudflow resume`."""

from __future__ import annotations

import json

import click

from cloudflow_dagster.cli.surroundings import give_up
from cloudflow_dagster.cli.waits_surroundings import Meant, give_answer, this_user


@click.command("resume")
@click.argument("run")
@click.argument("node", required=False)
@click.option("--value", metavar="JSON", default="null", help="What the node gives.")
@click.option("--by", metavar="NAME", help="Who answers; without it the user who is logged in.")
@click.option(
    "--item", "items", type=int, multiple=True, metavar="N",
    help="In a loop: the item's index, the outermost loop's first.",
)  # fmt: skip
def command(
    *, run: str, node: str | None, value: str, by: str | None, items: tuple[int, ...]
) -> None:
    """Let RUN (an id, or its beginning) go on that waits at NODE to be resumed."""
    try:
        answer = json.loads(value)
    except ValueError as error:
        give_up(f"--value is not JSON: {error}. Text is written in quotes: --value '\"text\"'.")
    give_answer(Meant(run=run, node=node, items=items, way="resume"), answer, by or this_user())
