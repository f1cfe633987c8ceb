"""`cloudflow runs logs`."""

from __future__ import annotations

import json
from datetime import datetime

import click

from cloudflow_dagster.cli.runs_surroundings import FORMAT, history
from cloudflow_dagster.cli.surroundings import give_up
from cloudflow_dagster.diagnostics import did_you_mean
from cloudflow_dagster.diagnostics.wording import printable

_COLORS = {"warning": "yellow", "error": "red", "critical": "red", "debug": "bright_black"}


@click.command("logs")
@click.argument("run")
@click.option("--node", metavar="NODE", help="Only what belongs to this node.")
@click.option("--follow", "-f", is_flag=True, help="Go on until the run has ended.")
@FORMAT
def command(*, run: str, node: str | None, follow: bool, form: str) -> None:
    """Print what RUN wrote: its nodes' logs and what Dagster says of its steps.

    `--format json` prints an object a line. Ends with 0 whatever became of the run; 2 if there is
    no such run or node. Ctrl-C ends `--follow`, not the run.
    """
    with history() as (_, instance):
        from cloudflow_dagster.engine.run_details import nodes_of  # noqa: PLC0415
        from cloudflow_dagster.engine.run_list import find_run  # noqa: PLC0415 - Dagster: 1.5 s
        from cloudflow_dagster.engine.run_logs import log_lines  # noqa: PLC0415

        found = find_run(instance, run).dagster_run
        if node is not None:
            nodes = nodes_of(instance, found)
            if node not in nodes:
                hint = did_you_mean(node, nodes) or f"It has: {', '.join(nodes)}."
                give_up(f"the run has no node `{node}` with a log of its own. {hint}")
        try:
            for line in log_lines(instance, found.run_id, node=node, follow=follow):
                if form == "json":
                    click.echo(json.dumps(line.as_json(), ensure_ascii=False))
                    continue
                time = datetime.fromisoformat(line.time).astimezone().strftime("%H:%M:%S.%f")[:-3]
                level = click.style(f"{line.level:<7}", fg=_COLORS.get(line.level))
                first, *more = line.message.splitlines() or [""]
                click.echo(f"{time} {level} {line.step or '-'}: {printable(first)}")
                for text in more:
                    click.echo(f"{'':<13}{printable(text)}")
        except KeyboardInterrupt:
            pass
