"""`cloudflow fmt`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import NamedTemporaryFile

import click

from cloudflow_dagster.cli.surroundings import flow_files, give_up, open_project, show, show_path
from cloudflow_dagster.diagnostics import Diagnostics
from cloudflow_dagster.flow.canonical import canonical_text
from cloudflow_dagster.flow.parse import parse_flow
from cloudflow_dagster.flow.source import read_document


@click.command("fmt")
@click.argument("flows", nargs=-1)
@click.option("--check", is_flag=True, help="Change nothing; end with 1 if a file would change.")
def command(flows: tuple[str, ...], *, check: bool) -> None:
    """Write flows in their one canonical form.

    FLOWS are ids, files or folders; without any, all flows of the project. A file that is not a
    valid flow is left as it is, and shown with what is wrong with it.
    """
    project = open_project()
    files = flow_files(project, flows)
    texts = {path: _formatted(path) for path in files}
    changed = [p for p, text in texts.items() if text is not None and _put(p, text, check=check)]
    broken = [path for path, text in texts.items() if text is None]
    for path in changed:
        click.echo(f"{'Would change' if check else 'Changed'} {show_path(path)}")
    counted = f"{len(files)} file{'' if len(files) == 1 else 's'}"
    left = f", {len(broken)} left as they are" if broken else ""
    click.echo(f"{counted}, {len(changed)} {'to change' if check else 'changed'}{left}.")
    sys.exit(1 if broken or (check and changed) else 0)


def _formatted(path: Path) -> str | None:
    """Return the canonical text of a file, or None after showing why there is none."""
    found = Diagnostics()
    document = read_document(path, show_path(path), found)
    flow = parse_flow(document, found) if not found.failed else None
    if flow is None or found.failed:
        show(document.place(found), {document.file: document.text})
        return None
    return canonical_text(document)


def _put(path: Path, text: str, *, check: bool) -> bool:
    """Replace a file's content at once, keeping its mode; say whether it differs."""
    new = text.encode()
    try:
        if path.read_bytes() == new:
            return False
        if not check:
            with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
                file.write(new)
            os.chmod(file.name, path.stat().st_mode)  # noqa: PTH101 - the name of an open file
            Path(file.name).replace(path)
    except OSError as error:
        give_up(f"{path} cannot be written: {error.strerror}.")
    return True
