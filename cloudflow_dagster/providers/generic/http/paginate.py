"""What a node's config says about pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.fields import LiteralText
from cloudflow_dagster.providers.generic.http.find import find_problem

MOST_PAGES = 100
"""Pages after which the node fails if its config does not say `max_pages`."""


class Paginate(BaseModel):
    """How one page leads to the next. The node's body is the items of all pages in one list."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    by: Annotated[
        Literal["link", "next_url", "cursor", "page", "offset"],
        Field(
            description="`link`: the `Link` header with `rel=next`. `next_url`: `next` finds the "
            "next page's address. `cursor`: `next` finds a cursor, sent as `param`. `page`, "
            "`offset`: a number that grows, sent as `param`, until a page has no items."
        ),
    ]
    next: Annotated[
        LiteralText | None,
        Field(
            description="JSONata over `status`, `headers` and `body`, such as `body.next`, "
            "without braces. Finding nothing, null, false or an empty text ends it."
        ),
    ] = None
    param: Annotated[
        str | None, Field(description="The parameter to send; without it as `by` is called.")
    ] = None
    place: Annotated[
        Literal["query", "json"],
        Field(description="Whether `param` is sent in the query or as a member of `json`."),
    ] = "query"
    start: Annotated[
        int | None, Field(ge=0, description="The first number: 1 for `page`, 0 for `offset`.")
    ] = None
    size: Annotated[
        int | None, Field(ge=1, description="Items of a full page; a shorter one is the last.")
    ] = None
    size_param: Annotated[
        str | None, Field(description="The parameter that tells the server `size`.")
    ] = None
    items: Annotated[
        LiteralText | None,
        Field(
            description="JSONata as for `next` that finds a page's items; without it the body is "
            "the list, or one item if it is no list."
        ),
    ] = None
    max_pages: Annotated[
        int | None,
        Field(
            ge=1,
            le=10_000,
            description=f"Pages to get at most. Without it more than {MOST_PAGES} are an error.",
        ),
    ] = None


def paginate_findings(paginate: Mapping[str, Json]) -> list[tuple[str, str]]:
    """Find what the schema cannot say; returns field and sentence."""
    found: list[tuple[str, str]] = []
    by = paginate.get("by")
    if by in ("next_url", "cursor") and not paginate.get("next"):
        found.append(("by", f"`{by}` needs `next`, an expression such as `body.next`."))
    if by in ("link", "page", "offset") and paginate.get("next") is not None:
        found.append(("next", f"`{by}` does not use `next`."))
    if paginate.get("size_param") is not None and paginate.get("size") is None:
        found.append(("size_param", "`size_param` needs `size`, the number to send."))
    for name in ("next", "items"):
        text = cast("Any", paginate.get(name))
        if isinstance(text, str) and text and (problem := find_problem(text)):
            found.append((name, problem))
    return found
