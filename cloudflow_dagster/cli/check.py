"""`cloudflow check`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from cloudflow_dagster.cli.surroundings import (
    complaints,
    flow_files,
    open_project,
    show,
    show_path,
)
from cloudflow_dagster.compiler.pipeline import compile_file
from cloudflow_dagster.compiler.side_by_side import Checked, check_project, checked
from cloudflow_dagster.diagnostics import Diagnostic, Severity
from cloudflow_dagster.project import Project
from cloudflow_dagster.providers import catalogue

_MOST_SHOWN = 200
"""Findings that people are shown at once."""


@click.command("check")
@click.argument("flows", nargs=-1)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "sarif"]),
    default="text",
    help="text for people, json for programs, sarif for code hosts.",
)
@click.option(
    "--strict",
    is_flag=True,
    help="Warnings count as errors for the exit status; destructive nodes are warned about.",
)
def command(flows: tuple[str, ...], form: str, *, strict: bool) -> None:
    """Find everything that is wrong with flows, before they run.

    FLOWS are ids, files or folders; without any, all flows of the project. Ends with 0 where no
    error was found, 1 where one was, 2 where the check could not do its work.
    """
    project = open_project()
    files = flow_files(project, flows)
    with complaints():
        each = (
            _check(project, files, strict=strict)
            if flows
            else check_project(project, catalogue(), strict=strict)
        )
    found = [d for one in each for d in one.diagnostics]
    _report(each, found, form)
    failing = [d for d in found if strict or d.severity is Severity.ERROR]
    sys.exit(1 if failing else 0)


def _check(project: Project, files: list[Path], *, strict: bool) -> list[Checked]:
    return [
        checked(compile_file(show_path(path), project=project, registry=catalogue(), strict=strict))
        for path in files
    ]


def _report(each: list[Checked], found: list[Diagnostic], form: str) -> None:
    if form == "json":
        from cloudflow_dagster.diagnostics.render import as_json  # noqa: PLC0415 - one of three

        click.echo(as_json(found))
    elif form == "sarif":
        from cloudflow_dagster.compiler.rules import all_rules  # noqa: PLC0415 - imports all checks
        from cloudflow_dagster.diagnostics.sarif import as_sarif  # noqa: PLC0415 - one of three

        click.echo(as_sarif(found, all_rules()))
    else:
        if found:
            show(found[:_MOST_SHOWN], {one.file: one.text for one in each})
        if len(found) > _MOST_SHOWN:
            more = len(found) - _MOST_SHOWN
            click.echo(f"… and {more} more; `--format json` prints all.\n", err=True)
        errors = sum(d.severity is Severity.ERROR for d in found)
        click.echo(_sentence(len(each), errors, len(found) - errors))


def _sentence(flows: int, errors: int, warnings: int) -> str:
    counted = [
        f"{count} {noun}{'' if count == 1 else 's'}"
        for count, noun in ((flows, "flow"), (errors, "error"), (warnings, "warning"))
    ]
    return f"Checked {counted[0]}: {counted[1]}, {counted[2]}."
