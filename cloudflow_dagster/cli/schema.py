"""`cloudflow schema`."""

from __future__ import annotations

import json

import click

from cloudflow_dagster.flow.schema import flow_schema


@click.command("schema")
def command() -> None:
    """Print the JSON Schema of the flow format.

    Save it beside your flows and point to it with `"$schema"`: editors then complete and check.
    """
    click.echo(json.dumps(flow_schema(), indent=2, ensure_ascii=False))
