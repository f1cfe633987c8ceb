"""`cloudflow credentials`."""

from __future__ import annotations

import json
import sys

import click

from cloudflow_dagster.cli.surroundings import give_up, open_project


@click.group("credentials")
def command() -> None:
    """List the project's credentials, and try one."""


@command.command("list")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
def list_credentials(form: str) -> None:
    """List names, providers and how each logs in; never a value."""
    rows = open_project().credentials.describe()
    if form == "json":
        click.echo(json.dumps(rows, indent=2))
        return
    width = {key: max(len(key), *(len(str(row[key])) for row in rows)) for key in rows[0]}
    for row in [{key: key for key in width}, *rows]:
        click.echo("  ".join(str(row[key]).ljust(size) for key, size in width.items()).rstrip())


@command.command("test")
@click.argument("name")
def test_credential(name: str) -> None:
    """Log in with the credential NAME and say who one is; or what is wrong, and end with 1."""
