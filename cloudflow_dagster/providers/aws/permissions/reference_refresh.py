"""Fetches AWS's Service Reference, what has changed of it only."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx

from cloudflow_dagster.providers.aws.permissions.reference import (
    Document,
    Kept,
    document_of,
    read,
    services_in,
)

ADDRESS = "https://servicereference.us-east-1.amazonaws.com/"
VARIABLE = "CLOUDFLOW_AWS_SERVICE_REFERENCE"
"""Names another address: a mirror inside one's own network."""
_SECONDS, _TO_CONNECT = 20.0, 5.0
_AT_MOST_SECONDS = 300.0
_LARGEST = 32 * 1024 * 1024
_AT_ONCE = 8
_OK, _UNCHANGED = 200, 304


_USER = re.compile(r"//[^/]*@")


class NotReachedError(Exception):
    """Nothing could be fetched; says why, in a few words."""


@dataclass(slots=True)
class Refreshed:
    """What came of it.

    Attributes:
        services: How many there are.
        operations: Of how many operations it says what they are authorized by.
        changed: How many services' documents were others than before.
        failed: Why the documents of services were not fetched.
    """

    services: int = 0
    operations: int = 0
    changed: int = 0
    failed: dict[str, str] = field(default_factory=dict[str, str])


def address() -> str:
    """Return the address of the list of services."""
    given = os.environ.get(VARIABLE) or ADDRESS
    return given if given.endswith("/") else f"{given}/"


def source() -> str:
    """Return the same for messages and for what is kept: without a user and a password."""
    return _USER.sub("//", address())


def refresh(file: Path) -> Refreshed:
    """Fetch all documents that are not as they are in a file, and put the file in its place.

    The documents that cannot be fetched stay as they were.

    Raises:
        NotReachedError: The list of services cannot be had, or none of the documents.
        OSError: The file cannot be written.
    """
    before = _before(file)
    client = httpx.Client(timeout=httpx.Timeout(_SECONDS, connect=_TO_CONNECT))
    with client:
        wanted = _wanted(client)
        fetch = _Fetch(client, before, time.monotonic() + _AT_MOST_SECONDS)
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            found = dict(zip(wanted, threads.map(fetch, wanted.items()), strict=True))
    documents: dict[str, Document] = {}
    done = Refreshed()
    for service, document in found.items():
        if isinstance(document, str):
            done.failed[service] = document
        kept = before.get(service) if isinstance(document, str) else document
        if kept is not None:
            documents[service] = kept
            done.changed += kept is not before.get(service)
    if len(done.failed) == len(wanted):
        raise NotReachedError(next(iter(done.failed.values()), "its list of services is empty"))
    done.services = len(documents)
    done.operations = sum(
        bool(each.actions) for kept in documents.values() for each in kept.operations.values()
    )
    now = datetime.now(UTC).isoformat(timespec="seconds")
    _put(file, Kept.of(source(), now, documents))
    return done


def _before(file: Path) -> Mapping[str, Document]:
    try:
        kept = read(file)
        if kept is None or kept.source != source():
            return {}
        found = {prefix: kept.document(prefix) for prefix in kept.documents}
    except ValueError:  # damaged: everything is fetched again
        return {}
    return {prefix: document for prefix, document in found.items() if document is not None}


def _wanted(client: httpx.Client) -> dict[str, str]:
    """Return the addresses of the documents, by service; all at the server that was asked."""
    try:
        listed = services_in(_got(client, address(), "")[1])
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise NotReachedError(_why(error)) from error
    found: dict[str, str] = {}
    for service, url in listed.items():
        try:
            found[service] = urljoin(address(), urlsplit(url).path.lstrip("/"))
        except ValueError:
            raise NotReachedError(f"its list has no address for {service}") from None
    return found


@dataclass(frozen=True, slots=True)
class _Fetch:
    client: httpx.Client
    before: Mapping[str, Document]
    until: float

    def __call__(self, wanted: tuple[str, str]) -> Document | str:
        """Return the document about a service, or why it was not fetched."""
        service, url = wanted
        known = self.before.get(service)
        if time.monotonic() > self.until:
            return "there was no time left"
        try:
            response, body = _got(self.client, url, known.etag if known else "")
            if known is not None and response.status_code == _UNCHANGED:
                return known
            return document_of(body, response.headers.get("ETag", ""))
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            return _why(error)


def _got(client: httpx.Client, url: str, etag: str) -> tuple[httpx.Response, bytes]:
    """Return an answer and its body.

    Raises:
        httpx.HTTPError: There is none, or it is an error.
        ValueError: It is larger than any that AWS gives.
    """
    headers = {"If-None-Match": etag} if etag else {}
    with client.stream("GET", url, headers=headers) as response:
        if response.status_code not in {_OK, _UNCHANGED}:
            message = f"HTTP {response.status_code}"
            raise httpx.HTTPStatusError(message, request=response.request, response=response)
        body = bytearray()
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > _LARGEST:
                raise ValueError("the answer is too large")
    return response, bytes(body)


def _why(error: Exception) -> str:
    """Return in a few words why something was not fetched."""
    match error:
        case httpx.TimeoutException():
            return "it took too long"
        case httpx.HTTPStatusError():
            return str(error)
        case httpx.HTTPError() | httpx.InvalidURL():
            return str(error) or type(error).__name__
        case _:
            return "the answer is not what AWS documents"


def _put(file: Path, kept: Kept) -> None:
    """Write a file beside its place, and move it there whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f"{file.stem}-", suffix=".part", dir=file.parent)
    part = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as written:
            written.write(kept.model_dump_json())
            written.flush()
            os.fsync(written.fileno())
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
