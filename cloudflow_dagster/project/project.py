"""A project: the folder with `cloudflow.yaml`, and what it gives to the flows in it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from cloudflow_dagster.credentials import Credentials, Secrets, SecretValues
from cloudflow_dagster.credentials.sources import read_environment, read_file
from cloudflow_dagster.credentials.spec import AwsSpec, Reference
from cloudflow_dagster.diagnostics.model import Diagnostic, Diagnostics, FlowError, Location
from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.project.check import ProjectFile, check_project_file
from cloudflow_dagster.project.rules import LITERAL_SECRET, SECRET_IN_VARIABLE, UNREADABLE
from cloudflow_dagster.project.server import RecordsServer
from cloudflow_dagster.project.settings import Settings
from cloudflow_dagster.project.source import MAX_BYTES, YamlDocument, read_yaml
from cloudflow_dagster.simulator.discover import discover

FILE_NAME = "cloudflow.yaml"


class ProjectError(FlowError):
    """A project file that cannot be used.

    Attributes:
        diagnostics: Why, with places.
        sources: The file's text by its name, for showing the lines in question instead of the
            file's own: secrets that stand in it are blotted out, and all of it if it is no YAML.
    """

    def __init__(self, diagnostics: tuple[Diagnostic, ...], sources: Mapping[str, str]) -> None:
        super().__init__(diagnostics)
        self.sources = dict(sources)


@dataclass(frozen=True, slots=True)
class Project:
    """A folder of flows with its accounts, secrets, variables and settings.

    Attributes:
        root: The project's folder, absolute.
        file: Its `cloudflow.yaml`, or None if it has none.
        credentials: How to log in to the accounts that it names.
        secrets: The secrets that it names. Take `secrets.for_run()` for each run.
        variables: What flows read as `vars`.
        settings: What it allows and prefers.
        diagnostics: Warnings about its file, placed.
        sources: As in `ProjectError`.
    """

    root: Path
    file: Path | None
    credentials: Credentials
    secrets: Secrets
    variables: Mapping[str, Json] = field(default_factory=dict[str, Json])
    settings: Settings = field(default_factory=Settings)
    diagnostics: tuple[Diagnostic, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def flows(self) -> Path:
        """The folder of its flows."""
        return self.root / "flows"

    @property
    def state(self) -> Path:
        """The folder of what it leaves behind: history, records, logs. Never in version control."""
        return self.root / ".cloudflow"

    @property
    def records(self) -> Path | RecordsServer:
        """The database of what its runs remember; it is made when the first one starts."""
        where = self.settings.database
        if where is None:
            return self.state / "records.sqlite"
        return RecordsServer(str(where), self.state / "files", partial(self.read, where))

    def read(self, reference: Reference) -> str:
        """Return the value that a reference of the project file points to.

        Raises:
            SecretError: It is not there.
        """
        if reference.env is not None:
            return read_environment(reference.env)
        if reference.file is not None:
            return read_file(reference.file, self.root)
        return self.secrets.get(reference.secret or "")

    @property
    def simulated(self) -> bool:
        """Whether any of its credentials opens the simulated cloud."""
        return any(self.credentials.simulated(name) for name in self.credentials.names())


def find_project(start: Path | str = ".") -> Project:
    """Return the project that a folder or file belongs to.

    It is the nearest folder above that has a `cloudflow.yaml`. Without one it is `start` itself,
    with the simulated AWS account as its only credential (`sim`): nothing real is touched by
    somebody who has not said so.

    Args:
        start: A folder, or a file in one.

    Raises:
        ProjectError: The project file is wrong; all problems, with their places.
    """
    here = Path(os.path.abspath(start))  # noqa: PTH100 - resolve() would leave a linked checkout
    if here.is_file():
        here = here.parent
    for folder in (here, *here.parents):
        file = folder / FILE_NAME
        if file.is_file():
            return load_project(file)
    contents = ProjectFile(
        credentials={"sim": AwsSpec(provider="aws", simulated=True, region="us-east-1")},
        defaults={"aws": "sim"},
    )
    return _open(here, None, contents)


def load_project(file: Path) -> Project:
    """Return the project of a `cloudflow.yaml`.

    Raises:
        ProjectError: The file is wrong; all problems, with their places.
    """
    found = Diagnostics()
    shown = _shown(file)
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        found.add(
            UNREADABLE,
            Location(shown),
            f"The file cannot be read: {error.strerror}.",
            "Let this user read it (`chmod`, `chown`).",
        )
        content = b""
    document = read_yaml(content, shown, found)
    contents = check_project_file(document.data, shown, found)
    placed = tuple(document.place(found))
    sources = {shown: _blotted(document, placed)}
    if found.failed:
        raise ProjectError(placed, sources)
    return _open(file.parent, file, contents, placed, sources)


def _open(
    root: Path,
    file: Path | None,
    contents: ProjectFile,
    diagnostics: tuple[Diagnostic, ...] = (),
    sources: Mapping[str, str] | None = None,
) -> Project:
    values = SecretValues()

    # Credentials may be kept in secrets, and secrets be fetched with credentials; that no secret
    # needs itself was checked.
    def secret(name: str) -> str:
        return secrets.get(name)

    def login(name: str | None, provider: str, region: str | None) -> Any:
        return credentials.login(name, provider, region)

    state = root / ".cloudflow"
    secrets = Secrets(contents.secrets, root=root, login=login, values=values)
    credentials = Credentials(
        contents.credentials,
        defaults=contents.defaults,
        root=root,
        secret=secret,
        simulated_endpoint=lambda: discover(state),
        values=values,
    )
    return Project(
        root=root,
        file=file,
        credentials=credentials,
        secrets=secrets,
        variables=contents.variables,
        settings=contents.settings,
        diagnostics=diagnostics,
        sources=sources or {},
    )


def _shown(file: Path) -> str:
    try:
        return str(file.relative_to(Path.cwd()))
    except ValueError:
        return str(file)


def _blotted(document: YamlDocument, diagnostics: tuple[Diagnostic, ...]) -> str:
    """Return the file's text with the secrets that stand in it blotted out, same in length."""
    if document.data is None:
        # Of a file that is not YAML nobody knows which of its lines hold a secret.
        return ""
    text = document.text
    for found in diagnostics:
        if found.code in {LITERAL_SECRET.code, SECRET_IN_VARIABLE.code}:
            span = document.values.get(found.at.pointer.parts) or document.span(found.at)
            hidden = "".join(c if c in "\r\n" else "*" for c in text[span.start : span.end])
            text = text[: span.start] + hidden + text[span.end :]
    return text
