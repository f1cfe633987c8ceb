"""What the commands of `cloudflow runs` share: the history, and how its values look as text."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from cloudflow_dagster.cli.surroundings import COULD_NOT_WORK, give_up, open_project
from cloudflow_dagster.diagnostics.wording import shortened
from cloudflow_dagster.project import Project

if TYPE_CHECKING:
    import dagster as dg

FORMAT = click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
SHORT_ID = 8
COLORS = {
    "success": "green",
    "failure": "red",
    "canceled": "red",
    "running": "yellow",
    "waiting": "yellow",
}
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_LONGEST = 100


@contextmanager
def history() -> Generator[tuple[Project, dg.DagsterInstance]]:
    """Open the project of the current directory and its history.

    What is wrong with them ends the command with status 2 and one sentence.
    """
    project = open_project(COULD_NOT_WORK)
    from cloudflow_dagster.engine.instance import open_instance  # noqa: PLC0415
    from cloudflow_dagster.engine.run_list import HistoryError  # noqa: PLC0415 - Dagster: 1.5 s
    from cloudflow_dagster.engine.storage import StorageError, storage_explained  # noqa: PLC0415

    try:
        with storage_explained(project), open_instance(project) as instance:
            yield project, instance
    except (HistoryError, StorageError) as error:
        give_up(str(error))
    except BrokenPipeError:
        # Whoever reads (`| head`) has seen enough.
        sys.stdout = None
        sys.exit(0)


def time_shown(text: str | None) -> str:
    """Return a time as people read it here: local, to the second."""
    if text is None:
        return "-"
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def seconds_shown(seconds: float | None) -> str:
    """Return a duration as people read it."""
    if seconds is None:
        return "-"
    if seconds < _MINUTE:
        return f"{seconds:.2f} s"
    whole = round(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02d} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02d} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR:02d} h"


def value_shown(value: Any, longest: int = _LONGEST) -> str:
    """Return JSON on one line, cut where it is long."""
    return shortened(json.dumps(value, ensure_ascii=False), longest)


def table(rows: list[list[str]], styles: dict[int, dict[str, str]] | None = None) -> None:
    """Print rows with their columns below each other.

    Args:
        rows: The first is the head.
        styles: For a column the colours of its words.
    """
    last = len(rows[0]) - 1
    widths = [max(len(row[column]) for row in rows) for column in range(last)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        for column, colors in (styles or {}).items():
            color = colors.get(row[column])
            if color and column < last:
                cells[column] = click.style(cells[column], fg=color)
        click.echo("  ".join([*cells, row[last]]).rstrip())
