"""`cloudflow init`."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

import cloudflow_dagster
from cloudflow_dagster.cli.surroundings import give_up

_STARTER = ("cloudflow.yaml", "workspace.yaml", "flows", "templates")
_EXAMPLES = (
    "first_flow.json",
    "nightly_backup.json",
    "public_address.json",
    "s3_inventory.json",
    "stop_untagged_instances.json",
    "volumes_everywhere.json",
    "weekly_review.json",
)
"""Of the flows that lie in a checkout, those that are not its user's own."""


@click.command("init")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=".")
def command(folder: Path) -> None:
    """Make a project in FOLDER (the current one if not given): settings and example flows.

    Nothing that is already there is touched.
    """
    taken = [name for name in _STARTER if (folder / name).exists()]
    if taken:
        give_up(
            f"{folder} already has {', '.join(taken)}. Choose an empty folder: cloudflow init NAME"
        )
    source = _starter()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in _STARTER:
            _copy(source / name, folder / name)
        ignore = folder / ".gitignore"
        if not ignore.exists():
            ignore.write_text(".cloudflow/\n")
    except OSError as error:
        give_up(f"{error.filename} cannot be written: {error.strerror}.")
    where = "" if folder == Path() else f"cd {folder}\n  "
    click.echo(
        f"Made a project in {folder.resolve()}. Next:\n"
        f"  {where}cloudflow check      finds what is wrong before anything runs\n"
        "  cloudflow dev        starts the web UI, the schedules and a simulated cloud"
    )


def _starter() -> Path:
    """Return the folder with the files of a new project: in a wheel, or in a checkout."""
    package = Path(cloudflow_dagster.__file__).parent
    packed = package / "starter"
    return packed if packed.is_dir() else package.parent


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        target.mkdir()
        for name in _EXAMPLES:
            if (source / name).exists():
                shutil.copyfile(source / name, target / name)
    else:
        shutil.copyfile(source, target)
