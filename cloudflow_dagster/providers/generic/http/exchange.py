"""One request and its answer, redirects followed."""

from __future__ import annotations

import re
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version

import httpx

from cloudflow_dagster.nodes.call import Call
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.providers.generic.http.auth import Credentials
from cloudflow_dagster.providers.generic.http.failures import (
    request_id,
    status_error,
    understood,
)
from cloudflow_dagster.providers.generic.http.transport import timed, transport

MOST_REDIRECTS = 10
_ERROR_BODY = 4096
_SENSITIVE = re.compile(r"auth|cookie|token|secret|password|signature|key", re.IGNORECASE)
"""Headers with such a name are not sent to another host than the one they were written for."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for.

    Attributes:
        shown: The address as the log may show it: as written in the flow, up to its query. It is
            not normalised, so that a secret in it is recognised and hidden.
        content: The body.
        expect: The status codes that are not errors.
        timeout: Seconds from the first connection to the last byte of the answer.
    """

    method: str
    url: httpx.URL
    shown: str
    headers: tuple[tuple[str, str], ...]
    credentials: Credentials
    content: bytes | None
    expect: tuple[range, ...]
    timeout: float

    @property
    def what(self) -> str:
        """Method, host and port."""
        return f"{self.method} {self.url.netloc.decode('ascii')}"


def origin(url: httpx.URL) -> tuple[str, str, int | None]:
    """Return what decides whether credentials may be sent."""
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme)


def is_sensitive(header: str) -> bool:
    """Return whether a header may hold what only its host is to know."""
    return bool(_SENSITIVE.search(header))


@contextmanager
def answered(call: Call, wanted: Wanted) -> Generator[httpx.Response]:
    """Send the request and yield the response, whose body is still to be read.

    Raises:
        NodeError: Nothing came back, or not what was expected.
        Canceled: The run was told to stop.
    """
    began = time.monotonic()

    def clock(at_most: float) -> float:
        left = began + wanted.timeout - time.monotonic()
        if left <= 0:
            raise NodeError(
                "Timeout",
                f"{wanted.what} took longer than {wanted.timeout:g} s. "
                "The node's config may have a longer `timeout`.",
                transient=True,
                unsure=True,
            )
        return call.remaining(min(left, at_most))

    with (
        timed(clock),
        understood(wanted.what),
        httpx.Client(
            transport=transport(private=call.settings.private_addresses),
            headers={"User-Agent": f"cloudflow/{version('cloudflow-dagster')}"},
            trust_env=False,
            timeout=None,  # noqa: S113 - the clock is what limits it
        ) as client,
    ):
        response = _last_response(call, client, wanted)
        try:
            _log(call, wanted, response, time.monotonic() - began)
            if not any(response.status_code in codes for codes in wanted.expect):
                raise status_error(wanted.what, response, _beginning(call, response))
            try:
                yield response
            except NodeError as error:
                # What was asked for is done; it is the answer that cannot be used.
                error.unsure = True
                raise
        finally:
            response.close()


def _last_response(call: Call, client: httpx.Client, wanted: Wanted) -> httpx.Response:
    request = client.build_request(
        wanted.method,
        with_query(wanted.url, wanted.credentials.query),
        # As UTF-8: HTTP leaves it open what the bytes of a header mean.
        headers=[
            (name.encode(), text.encode())
            for name, text in (*wanted.headers, *wanted.credentials.headers)
        ],
        content=wanted.content,
    )
    asked_for = {codes.start for codes in wanted.expect if len(codes) == 1}
    for _ in range(MOST_REDIRECTS + 1):
        _check_url(request.url)
        response = client.send(request, stream=True)
        if response.next_request is None or response.status_code in asked_for:
            return response
        response.close()
        call.log.debug(f"{response.status_code}: goes on at {response.next_request.url.host}.")
        request = _onward(response.next_request, request, wanted)
    raise NodeError(
        "TooManyRedirects", f"{wanted.what}: more than {MOST_REDIRECTS} redirects.", transient=False
    )


def _onward(following: httpx.Request, before: httpx.Request, wanted: Wanted) -> httpx.Request:
    """Leave out of a redirected request what was meant for another host."""
    if origin(following.url) == origin(before.url):
        return following
    own = {name.lower() for name, _ in wanted.credentials.headers}
    for name in list(following.headers):
        if name in own or is_sensitive(name):
            del following.headers[name]
    return following


def _check_url(url: httpx.URL) -> None:
    if url.scheme not in {"http", "https"} or not url.host:
        raise NodeError(
            "InvalidUrl",
            f"`{url.scheme}://{url.host}` is no address of the web; "
            "it must begin with `https://` or `http://` and name a host.",
            transient=False,
        )


def with_query(url: httpx.URL, pairs: tuple[tuple[str, str], ...]) -> httpx.URL:
    """Add to a query without touching what is there: it may be signed."""
    if not pairs:
        return url
    added = str(httpx.QueryParams(pairs)).encode()
    return url.copy_with(query=b"&".join(part for part in (url.query, added) if part))


def _beginning(call: Call, response: httpx.Response) -> str:
    """Return the beginning of a body without secrets.

    More is read than is returned, so that a secret at its end is recognised as a whole.
    """
    body = b""
    for chunk in response.iter_bytes(_ERROR_BODY):
        body += chunk
        if len(body) >= 2 * _ERROR_BODY:
            break
    return call.redact(body.decode(errors="replace"))[:_ERROR_BODY]


def _log(call: Call, wanted: Wanted, response: httpx.Response, seconds: float) -> None:
    given = request_id(response.headers)
    named = f" (request {given})" if given else ""
    took = f"in {seconds * 1000:.0f} ms{named}"
    call.log.info(f"{wanted.method} {wanted.shown} → {response.status_code} {took}")
