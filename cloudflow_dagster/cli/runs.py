"""`cloudflow runs`: the history of the project's runs, in the terminal."""

from __future__ import annotations

from importlib import import_module

import click

_COMMANDS = {
    "cancel": "Stop a run, whoever executes it.",
    "list": "List runs, the newest first.",
    "logs": "Print what a run wrote, also while it goes on.",
    "prune": "Delete runs that are not kept any longer.",
    "retry": "Do a run again, from where it failed or whole.",
    "show": "Show a run: its nodes, what they gave, and the runs it is linked to.",
}


class _LazyGroup(click.Group):
    """Knows the names of its commands, and imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = import_module(f"cloudflow_dagster.cli.runs_{cmd_name}").command
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group("runs", cls=_LazyGroup)
def command() -> None:
    """The runs of the project, whoever started them: terminal, web UI, schedule, another flow.

    RUN is the id of a run, or as much of its beginning as no other has.
    """
