"""`cloudflow credentials`."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from dataclasses import asdict

import click

from cloudflow_dagster.cli.simulated_cloud import simulated_cloud
from cloudflow_dagster.cli.surroundings import give_up, open_project

_FORMAT = click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")


@click.group("credentials")
def command() -> None:
    """List the project's credentials, and try one."""


@command.command("list")
@_FORMAT
def list_credentials(form: str) -> None:
    """List names, providers and how each logs in; never a value."""
    rows = open_project().credentials.describe()
    if form == "json":
        click.echo(json.dumps([asdict(row) for row in rows], indent=2))
        return
    table = [("name", "provider", "region", "default", "how")]
    table += [
        (r.name, r.provider, r.region or "-", "yes" if r.default else "", r.how) for r in rows
    ]
    widths = [max(len(row[column]) for row in table) for column in range(4)]
    for row in table:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        click.echo("  ".join([*cells, row[-1]]).rstrip())


@command.command("test")
@click.argument("name")
@_FORMAT
def test_credential(name: str, form: str) -> None:
    """Log in with the credential NAME and say who one is; or what is wrong, and end with 1."""
    project = open_project()
    credentials = project.credentials
    if credentials.spec(name) is None:
        known = f"The project has: {', '.join(credentials.names())}."
        give_up(f"there is no credential `{name}`. {credentials.suggest(name) or known}")
    with ExitStack() as stack:
        if credentials.simulated(name):
            stack.enter_context(simulated_cloud(project))
        checked = credentials.test(name)
    if form == "json":
        click.echo(json.dumps(asdict(checked), indent=2))
    elif checked.identity is not None:
        account = f", account {checked.identity.account}" if checked.identity.account else ""
        click.echo(f"{name}: logged in as {checked.identity.who}{account}.")
    else:
        click.echo(f"{name}: {checked.problem}\n{checked.way_out or ''}".rstrip(), err=True)
    sys.exit(0 if checked.ok else 1)
