"""The `cloudflow` command. Each subcommand is a module of its own, imported when it is used."""

from __future__ import annotations

from importlib import import_module

import click

_COMMANDS = {
    "answer": "Say whether an interrupted call was carried out, and let its run go on.",
    "approve": "Answer an approval that a run waits for.",
    "check": "Find everything that is wrong with flows, before they run.",
    "credentials": "List the project's credentials, and try one.",
    "dev": "Start the web UI, the schedules and the simulated cloud.",
    "fmt": "Write flows in their one canonical form.",
    "init": "Make a project in an empty folder.",
    "nodes": "List, search and explain the node types of the catalogue.",
    "permissions": "Print the least IAM policy that flows need.",
    "resume": "Let a run go on that waits to be resumed.",
    "run": "Run a flow here and now, and show what it does.",
    "runs": "List, show, follow, cancel and retry runs.",
    "schema": "Print the JSON Schema of the flow format.",
    "waits": "List what runs wait for.",
}


class _LazyGroup(click.Group):
    """Knows the names and summaries of its commands, and imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = import_module(f"cloudflow_dagster.cli.{cmd_name}").command
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(_COMMANDS.items()))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="cloudflow-dagster")
def main() -> None:
    """Describe cloud automations as graphs, check them, and run them.

    The project is the folder with `cloudflow.yaml` at or above the current directory; its flows
    are the JSON files in `flows/`.
    """
