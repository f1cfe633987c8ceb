"""Puts a request together, sends it, and reads the answer, page by page if there are pages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.call import Call
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.providers.generic.http.auth import (
    Auth,
    Credentials,
    basic,
    credentials_of,
)
from cloudflow_dagster.providers.generic.http.content import content_of, pairs
from cloudflow_dagster.providers.generic.http.exchange import (
    Wanted,
    answered,
    is_sensitive,
    origin,
    with_query,
)
from cloudflow_dagster.providers.generic.http.paginate import Paginate
from cloudflow_dagster.providers.generic.http.paging import Page, Turn, all_pages
from cloudflow_dagster.providers.generic.http.reply import Form, read_body

_SIGNING = re.compile(r"sig|token|key|code|secret|auth|pass", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Asked:
    """The node's config; see `request.py` for what each field means."""

    method: str
    url: str
    query: Mapping[str, Json]
    headers: Mapping[str, Json]
    content: Mapping[str, Json]
    auth: Auth | None
    timeout: float
    expect: tuple[range, ...]
    paginate: Paginate | None
    response: Form


def perform(call: Call, asked: Asked) -> dict[str, Json]:
    """Send the request and return `{status, headers, body}`."""
    url, credentials = _address(call, asked)
    if asked.paginate is None:
        return _page(call, asked, Turn(url), credentials).value
    if asked.response in {"text", "file"}:
        text = "Pages are joined as JSON; leave `response` out."
        raise NodeError("InvalidConfig", text, transient=False)
    return all_pages(
        asked.paginate,
        url,
        lambda turn: _page(call, asked, turn, _within(url, turn, credentials)),
        call,
    )


def _address(call: Call, asked: Asked) -> tuple[httpx.URL, Credentials]:
    """Return the first address, without what it says of who asks, and that."""
    try:
        url = httpx.URL(asked.url.strip())
    except httpx.InvalidURL as error:
        text = f"The URL cannot be read: {error}."
        raise NodeError("InvalidUrl", text, transient=False) from None
    credentials = credentials_of(asked.auth, call)
    if url.userinfo:
        if asked.auth is None:
            credentials = basic(url.username, url.password, call)
        url = url.copy_with(username=None, password=None)
    return with_query(url, tuple(pairs(asked.query))), credentials


def _within(url: httpx.URL, turn: Turn, credentials: Credentials) -> Credentials | None:
    """Return the credentials if the page is on the host they are meant for, else None."""
    if origin(turn.url) != origin(url):
        return None
    there = tuple(pair for pair in credentials.query if pair[0] not in turn.url.params)
    return Credentials(credentials.headers, there)


def _page(call: Call, asked: Asked, turn: Turn, credentials: Credentials | None) -> Page:
    """Get one page; without credentials, nothing that may be secret is sent either."""
    url, given = _turned(asked, turn)
    content, kind = content_of(given, call.files)
    headers = {name.lower(): text.strip() for name, text in pairs(asked.headers)}
    if kind is not None:
        headers.setdefault("content-type", kind)
    if credentials is None:
        headers = {name: text for name, text in headers.items() if not is_sensitive(name)}
    wanted = Wanted(
        method=asked.method,
        url=url,
        shown=_shown(asked, url),
        headers=tuple(headers.items()),
        credentials=credentials or Credentials(),
        content=content,
        expect=asked.expect,
        timeout=asked.timeout,
    )
    form: Form = "json" if asked.paginate is not None else asked.response
    with answered(call, wanted) as response:
        value: dict[str, Json] = {
            "status": response.status_code,
            "headers": dict(response.headers),
            "body": read_body(response, call, form),
        }
        return Page(response.url, value, response.links.get("next", {}).get("url"))


def _turned(asked: Asked, turn: Turn) -> tuple[httpx.URL, Mapping[str, Json]]:
    """Return address and content with what differs from page to page."""
    if asked.paginate is None or asked.paginate.place == "query":
        url = turn.url
        for name, value in turn.params.items():
            url = url.copy_set_param(name, value)
        return url, asked.content
    members = asked.content.get("json")
    if not isinstance(members, dict):
        text = "`paginate.place` is `json`, so `json` must be an object."
        raise NodeError("InvalidConfig", text, transient=False)
    return turn.url, {**asked.content, "json": {**members, **turn.params}}


def _shown(asked: Asked, url: httpx.URL) -> str:
    """Return the address as the log shows it: up to its query, as it is written in the flow.

    It is not normalised, so that a secret in it is recognised and hidden. Of an address that is
    signed by its query nothing but the host is shown: the whole of it may be one secret.
    Addresses of other pages are shown as the server names them.
    """
    written = asked.url.strip()
    if any(_SIGNING.search(name) for name in httpx.URL(written).params):
        return f"{url.scheme}://{url.netloc.decode()}"
    same = (httpx.URL(written).host, httpx.URL(written).path) == (url.host, url.path)
    address = re.split(r"[?#]", written if same else str(url), maxsplit=1)[0]
    return re.sub(r"//[^/@]*@", "//", address)
