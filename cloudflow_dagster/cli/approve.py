"""`cloudflow approve`."""

from __future__ import annotations

import time

import click

from cloudflow_dagster.cli.waits_surroundings import Meant, give_answer, this_user
from cloudflow_dagster.runtime.waiting import at


@click.command("approve")
@click.argument("run")
@click.argument("node", required=False)
@click.option("--reject", is_flag=True, help="Say no.")
@click.option("--comment", help="Why; the flow sees it, and it is kept.")
@click.option("--by", metavar="NAME", help="Who answers; without it the user who is logged in.")
@click.option(
    "--item", "items", type=int, multiple=True, metavar="N",
    help="In a loop: the item's index, the outermost loop's first.",
)  # fmt: skip
def command(
    *,
    run: str,
    node: str | None,
    reject: bool,
    comment: str | None,
    by: str | None,
    items: tuple[int, ...],
) -> None:
    """Answer the approval that RUN (an id, or its beginning) waits for at NODE.

    Who is named with --by is taken at their word: whoever may write the project's files may answer.
    """
    who = by or this_user()
    answer = {"approved": not reject, "by": who, "at": at(time.time()), "comment": comment}
    give_answer(Meant(run=run, node=node, items=items, way="approval"), answer, who)
