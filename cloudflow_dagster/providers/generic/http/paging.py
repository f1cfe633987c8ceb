"""Getting all pages of an answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import cast

import httpx

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.call import Call
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.providers.generic.http.find import find
from cloudflow_dagster.providers.generic.http.paginate import MOST_PAGES, Paginate


@dataclass(frozen=True, slots=True)
class Page:
    """One answer.

    Attributes:
        url: Where it came from, after redirects.
        value: What the node gives: `{status, headers, body}`.
        following: The address of the `Link` header with `rel=next`.
    """

    url: httpx.URL
    value: dict[str, Json]
    following: str | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """What differs from page to page: the address, and parameters to set."""

    url: httpx.URL
    params: dict[str, str | int] = field(default_factory=dict[str, "str | int"])


Fetch = Callable[[Turn], Page]


def all_pages(paginate: Paginate, url: httpx.URL, fetch: Fetch, call: Call) -> dict[str, Json]:
    """Get every page and return the last one's status and headers with the items of all.

    Raises:
        NodeError: A page failed, or the pages do not come to an end.
    """
    items: list[Json] = []
    turn = _first(paginate, url)
    seen = {repr(turn)}
    for number in count(1):
        page = fetch(turn)
        found = _items(paginate, page)
        items += found
        following = _next(paginate, turn, page, len(found))
        if following is None or _enough(paginate, number, call):
            return {**page.value, "body": items}
        if repr(following) in seen:
            text = "A page names one as its next that was already got; the pages never end."
            raise NodeError("InvalidPaging", text, transient=False)
        seen.add(repr(following))
        turn = following
    raise AssertionError  # count() has no end


def _enough(paginate: Paginate, number: int, call: Call) -> bool:
    if paginate.max_pages is not None:
        if number >= paginate.max_pages:
            call.log.info(f"Stopped after {number} pages, as `max_pages` says; there are more.")
            return True
        return False
    if number >= MOST_PAGES:
        text = f"There are more than {MOST_PAGES} pages. Say in `max_pages` how many to get."
        raise NodeError("TooManyPages", text, transient=False)
    return False


def _items(paginate: Paginate, page: Page) -> list[Json]:
    found = page.value["body"] if paginate.items is None else find(paginate.items, page.value)
    if isinstance(found, list):
        return cast("list[Json]", found)
    if paginate.items is None and paginate.by in {"page", "offset"} and found is not None:
        text = "The body is no list; say in `items` where in it the items are."
        raise NodeError("InvalidPaging", text, transient=False)
    return [] if found is None else [found]


def _first(paginate: Paginate, url: httpx.URL) -> Turn:
    if paginate.by not in {"page", "offset"}:
        return Turn(url, _size(paginate))
    start = 1 if paginate.by == "page" else 0
    return Turn(url, _numbered(paginate, start if paginate.start is None else paginate.start))


def _next(paginate: Paginate, turn: Turn, page: Page, found: int) -> Turn | None:
    """Return the next turn, or None after the last page."""
    match paginate.by:
        case "link":
            return Turn(_joined(page, page.following)) if page.following else None
        case "next_url":
            address = find(paginate.next or "", page.value)
            return Turn(_joined(page, str(address))) if address else None
        case "cursor":
            cursor = find(paginate.next or "", page.value)
            if not cursor and cursor != 0:
                return None
            sent = cursor if isinstance(cursor, int) else str(cursor)
            return Turn(turn.url, {**_size(paginate), _param(paginate): sent})
        case "page" | "offset":
            if not found or (paginate.size and found < paginate.size):
                return None
            step = 1 if paginate.by == "page" else (paginate.size or found)
            return Turn(turn.url, _numbered(paginate, int(turn.params[_param(paginate)]) + step))


def _param(paginate: Paginate) -> str:
    return paginate.param or paginate.by


def _numbered(paginate: Paginate, number: int) -> dict[str, str | int]:
    return {**_size(paginate), _param(paginate): number}


def _size(paginate: Paginate) -> dict[str, str | int]:
    if paginate.size_param and paginate.size:
        return {paginate.size_param: paginate.size}
    return {}


def _joined(page: Page, address: str) -> httpx.URL:
    try:
        return page.url.join(address)
    except httpx.InvalidURL as error:
        raise NodeError(
            "InvalidPaging", "The next page's address cannot be read.", transient=False
        ) from error
