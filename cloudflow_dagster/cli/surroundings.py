"""What every command needs: the project, the flow that an argument names, and how to complain."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import click

from cloudflow_dagster.diagnostics import Diagnostic, FlowError, did_you_mean
from cloudflow_dagster.flow.files import flows_in
from cloudflow_dagster.project import Project, ProjectError, find_project

COULD_NOT_WORK = 2
"""Exit status of a command that could not do its work."""


def open_project(broken: int = 1) -> Project:
    """Return the project of the current directory; end with its diagnostics if it is broken.

    Args:
        broken: The exit status then.
    """
    with complaints(broken):
        project = find_project(Path.cwd())
    if project.diagnostics:
        show(project.diagnostics, project.sources)
    return project


@contextmanager
def complaints(status: int = 1) -> Generator[None]:
    """Show the diagnostics of a `FlowError` on standard error and end with a status."""
    try:
        yield
    except FlowError as error:
        show(error.diagnostics, error.sources if isinstance(error, ProjectError) else {})
        sys.exit(status)


def show(diagnostics: Iterable[Diagnostic], texts: Mapping[str, str]) -> None:
    """Print diagnostics with the offending lines on standard error.

    Args:
        diagnostics: What was found.
        texts: The text of each file, by its name. Flows that are not here are read again; the
            project file never is, because its lines may hold what must not be shown.
    """
    from cloudflow_dagster.diagnostics.render import as_text  # noqa: PLC0415 - only on trouble

    found = list(diagnostics)
    files = {d.at.file for d in found} - texts.keys()
    known = {**{file: _text(file) for file in files if file.endswith(".json")}, **texts}
    click.echo(as_text(found, known, color=sys.stderr.isatty()), err=True)


def _text(file: str) -> str:
    path = Path(file)
    try:
        # A pipe that nobody writes to would let it wait for ever.
        return path.read_text("utf-8", errors="replace") if path.is_file() else ""
    except OSError:
        return ""


def give_up(message: str, status: int = COULD_NOT_WORK) -> NoReturn:
    """Say why the command cannot do its work, or not to its end, and end."""
    click.echo(f"cloudflow: {message}", err=True)
    sys.exit(status)


def flow_files(project: Project, names: tuple[str, ...]) -> list[Path]:
    """Return the files that arguments name: ids, paths of files, or folders; all flows if none."""
    if not names:
        if not project.flows.is_dir():
            give_up(
                f"there is no folder {project.flows}. Go to your project, or name flows; "
                "`cloudflow init` makes a project."
            )
        return _flows_in(project.flows)
    files: list[Path] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            files.extend(_flows_in(path))
        else:
            files.append(flow_file(project, name))
    return files


def _flows_in(folder: Path) -> list[Path]:
    """Return the flows of a folder; end with status 2 if nobody may look into it."""
    if folder.is_dir() and not os.access(folder, os.R_OK | os.X_OK):
        give_up(f"{folder} cannot be read. Let this user read it (`chmod`, `chown`).")
    return flows_in(folder)


def flow_file(project: Project, name: str) -> Path:
    """Return the file of a flow named by a path or an id; end with status 2 if there is none."""
    path = Path(name)
    if path.is_file():
        if path.suffix != ".json" and not _text(name).lstrip("\ufeff \t\r\n").startswith("{"):
            give_up(f"`{name}` is not a flow: a flow is a JSON file, such as flows/NAME.json.")
        return path
    if path.suffix == ".json" and path.exists():
        give_up(f"`{name}` is not a plain file. Name a flow's file, such as flows/NAME.json.")
    by_stem = {p.stem: p for p in _flows_in(project.flows)}
    by_id = {**by_stem, **_by_written_id(project, name)}
    if name in by_stem and _written_id(by_stem[name]) is None:
        return by_stem[name]
    if name in by_id:
        return by_id[name]
    is_path = path.suffix == ".json" or path.name != name
    hint = did_you_mean(path.stem if is_path else name, by_id) or (
        f"The flows here are: {', '.join(sorted(by_id))}." if by_id else "flows/ holds no flow."
    )
    if is_path:
        give_up(f"there is no file `{name}`. {hint}")
    give_up(f"there is no flow `{name}` in {project.flows}. {hint}")


def _written_id(path: Path) -> object:
    """Return the `id` field of a flow's file, None if it has none or cannot be read."""
    from cloudflow_dagster.diagnostics import Diagnostics  # noqa: PLC0415
    from cloudflow_dagster.flow.source import read_document  # noqa: PLC0415

    match read_document(path, str(path), Diagnostics()).data:
        case {"id": written}:
            return written
        case _:
            return None


def _by_written_id(project: Project, name: str) -> dict[str, Path]:
    """Find the file whose `id` field is the name; only files that hold the text are parsed.

    A file that is not JSON is taken too if it seems to have the id: what is wrong with it says more
    than that there is no such flow.
    """
    from cloudflow_dagster.diagnostics import Diagnostics  # noqa: PLC0415
    from cloudflow_dagster.flow.source import read_document  # noqa: PLC0415

    found: dict[str, Path] = {}
    for path in flows_in(project.flows):
        if f'"{name}"' not in _text(str(path)):
            continue
        document = read_document(path, str(path), Diagnostics())
        match document.data:
            case {"id": written} if written == name:
                found[name] = path
            case _ if not document.readable and re.search(
                rf'"id"\s*:\s*"{re.escape(name)}"', document.text
            ):
                found.setdefault(name, path)
            case _:
                pass
    return found


def show_path(path: Path) -> str:
    """Return a path as a user would type it: relative if it lies under the current directory."""
    try:
        # Links are not followed: the name of the link is the name of the flow.
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
