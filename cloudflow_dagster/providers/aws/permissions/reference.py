"""AWS's Service Reference, as far as it was fetched (`reference_refresh.py`).

It says of operations which actions they are authorized by, and of actions what they can be limited
to. Nothing is fetched here; a program that runs sees what it saw first.
https://docs.aws.amazon.com/service-authorization/latest/reference/service-reference.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from cloudflow_dagster.nodes.cache_folder import cache_folder
from cloudflow_dagster.providers.aws.permissions.action import Action

_FILE = "aws-service-reference.json"


class Operation(BaseModel):
    """An operation of an API.

    Attributes:
        actions: What IAM may ask for: `s3:GetObject`.
        sdk: What botocore calls it: `s3.get_object`.
    """

    actions: list[str]
    sdk: list[str]


class ListedAction(BaseModel):
    """An action of a service.

    Attributes:
        level: IAM's access level.
        resources: The types of resource that it may be limited to.
    """

    level: str
    resources: list[str]


class Document(BaseModel):
    """What is kept of the document about one service.

    Attributes:
        etag: By which the server knows it again; empty if it gave none.
        operations: By their names.
        actions: By their names, without the prefix.
        arns: Patterns of ARNs by types of resource.
    """

    etag: str
    operations: dict[str, Operation]
    actions: dict[str, ListedAction]
    arns: dict[str, str]


class Kept(BaseModel):
    """What was fetched. All documents together take 0.4 s to read, one a few milliseconds.

    Attributes:
        form: Number of the form in which documents are kept; a file of any other is not used.
        source: Address of its list of services.
        fetched_at: When, in ISO 8601.
        services: The documents that say something of a service, by botocore's name of it.
        documents: Each a text, by IAM's prefix of the service.
    """

    form: Literal[1] = 1
    source: str
    fetched_at: str
    services: dict[str, list[str]]
    documents: dict[str, str]

    @classmethod
    def of(cls, source: str, fetched_at: str, documents: Mapping[str, Document]) -> Kept:
        """Return what is kept of documents."""
        services: dict[str, list[str]] = {}
        for prefix, document in documents.items():
            said = (method for each in document.operations.values() for method in each.sdk)
            for service in sorted({method.partition(".")[0] for method in said}):
                services.setdefault(service, []).append(prefix)
        texts = {prefix: document.model_dump_json() for prefix, document in documents.items()}
        return cls(source=source, fetched_at=fetched_at, services=services, documents=texts)

    def document(self, prefix: str) -> Document | None:
        """Return a document; None if there is none.

        Raises:
            ValueError: It is damaged.
        """
        text = self.documents.get(prefix)
        return None if text is None else Document.model_validate_json(text)


class Reference:
    """What was fetched, as it is asked. Documents are read when something is asked of them."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._read: dict[str, Document | None] = {}
        self._methods: dict[str, dict[str, tuple[str, ...]]] = {}

    def actions(self, service: str, method: str) -> tuple[str, ...]:
        """Return what an operation is authorized by; nothing if that is not said."""
        if service not in self._methods:
            documents = [self._document(each) for each in self._kept.services.get(service, ())]
            self._methods[service] = {
                called: tuple(operation.actions)
                for document in documents
                if document is not None
                for operation in document.operations.values()
                for called in operation.sdk
                if operation.actions
            }
        return self._methods[service].get(f"{service}.{method}", ())

    def action(self, name: str) -> Action | None:
        """Return an action by its whole name."""
        prefix, _, rest = name.partition(":")
        document = self._document(prefix)
        listed = document.actions.get(rest) if document else None
        if document is None or listed is None:
            return None
        return Action(
            name=name,
            level=listed.level,
            # It does not say whether one of each type is always there; an only one is.
            resources=dict.fromkeys(listed.resources, len(listed.resources) == 1),
            dependents=(),
            arns={type: document.arns.get(type, "*") for type in listed.resources},
        )

    def _document(self, prefix: str) -> Document | None:
        if prefix not in self._read:
            try:
                self._read[prefix] = self._kept.document(prefix)
            except ValueError:  # as if it had not been fetched
                self._read[prefix] = None
        return self._read[prefix]


def place_of_the_reference() -> Path | None:
    """Return where it is kept, whether it is there or not; None if the user has no home."""
    try:
        return cache_folder() / _FILE
    except RuntimeError:
        return None


def read(file: Path) -> Kept | None:
    """Return what is kept in a file; None if there is none.

    Raises:
        ValueError: It is damaged.
    """
    try:
        text = file.read_text("utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ValueError(error.strerror) from error
    try:
        return Kept.model_validate_json(text)
    except ValidationError:
        raise ValueError("it is damaged") from None


@cache
def reference() -> Reference | None:
    """Return what was fetched; None if nothing was, or it cannot be read (`why_not`)."""
    file = place_of_the_reference()
    try:
        kept = read(file) if file else None
    except ValueError:
        return None
    return Reference(kept) if kept else None


def why_not() -> str | None:
    """Return why what was fetched is not used, as a sentence; None if it is, or nothing was."""
    file = place_of_the_reference()
    try:
        if file:
            read(file)
    except ValueError as error:
        return (
            f"{file} is not used: {error}. Fetch it again with `cloudflow permissions --refresh`, "
            "or delete it."
        )
    return None


def edition() -> str:
    """Return a text that is another one when something else was fetched."""
    file = place_of_the_reference()
    try:
        about = file.stat() if file else None
    except OSError:
        about = None
    return f"{about.st_mtime_ns} {about.st_size}" if about else "absent"


def document_of(text: bytes, etag: str) -> Document:
    """Return what is kept of a document.

    Raises:
        ValueError: It is none about a service.
    """
    parsed = _Service.model_validate(_parsed(text))
    return Document(
        etag=etag,
        operations={
            each.Name: Operation(
                actions=[f"{action.Service}:{action.Name}" for action in each.AuthorizedActions],
                sdk=[f"{sdk.Name}.{sdk.Method}" for sdk in each.SDK if sdk.Package == "Boto3"],
            )
            for each in parsed.Operations
        },
        actions={
            each.Name: ListedAction(
                level=each.Annotations.level, resources=[of.Name for of in each.Resources]
            )
            for each in parsed.Actions
        },
        arns={each.Name: each.ARNFormats[0] for each in parsed.Resources if each.ARNFormats},
    )


def services_in(text: bytes) -> dict[str, str]:
    """Return the addresses of the documents, by service, from the list of services.

    Raises:
        ValueError: It is no such list.
    """
    parsed: Any = _parsed(text)
    if not isinstance(parsed, list):
        raise ValueError("it is no list of services")  # noqa: TRY004 - of the same kind
    listed = [_Listed.model_validate(each) for each in parsed]  # pyright: ignore[reportUnknownVariableType]
    return {each.service: each.url for each in listed}


def _parsed(text: bytes) -> Any:
    return json.loads(text)


class _Listed(BaseModel):
    service: str
    url: str


class _Properties(BaseModel):
    IsList: bool = False
    IsPermissionManagement: bool = False
    IsTaggingOnly: bool = False
    IsWrite: bool = False


class _Annotations(BaseModel):
    Properties: _Properties | None = None

    @property
    def level(self) -> str:
        """IAM's access level; where it does not say, one that is never taken for reading."""
        said = self.Properties
        if said is None:
            return "Write"
        if said.IsPermissionManagement:
            return "Permissions management"
        if said.IsTaggingOnly:
            return "Tagging"
        if said.IsWrite:
            return "Write"
        return "List" if said.IsList else "Read"


class _Named(BaseModel):
    Name: str


class _Authorized(BaseModel):
    Name: str
    Service: str


class _Sdk(BaseModel):
    Name: str
    Method: str
    Package: str


class _Action(BaseModel):
    Name: str
    Annotations: _Annotations = _Annotations()
    Resources: list[_Named] = []


class _Operation(BaseModel):
    Name: str
    AuthorizedActions: list[_Authorized] = []
    SDK: list[_Sdk] = []


class _Resource(BaseModel):
    Name: str
    ARNFormats: list[str] = []


class _Service(BaseModel):
    """The document about one service, as AWS writes it."""

    Name: str
    Actions: list[_Action]
    Operations: list[_Operation] = []
    Resources: list[_Resource] = []
