"""The same for each item."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from pydantic import Field
from typing_extensions import TypedDict

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.call import Call
from cloudflow_dagster.nodes.declare import AMBER, action
from cloudflow_dagster.nodes.spec import ERROR_PORT, Behaviour, Carries, Port, Repeat


class ItemError(TypedDict):
    """Why an iteration failed."""

    index: int
    node: str
    code: str
    message: str


class Collected(TypedDict):
    """What the iterations gave."""

    results: Annotated[
        list[Any],
        Field(description="One entry for each item, in their order; null where it failed."),
    ]
    errors: Annotated[list[ItemError], Field(description="Why iterations failed.")]
    count: Annotated[int, Field(description="The number of items.")]


@action(
    "logic.loop",
    label="Loop",
    icon="repeat",
    category="logic",
    color=AMBER,
    behaviour=Behaviour.LOOP,
    repeat=Repeat.READ,
    secrets=False,
    output=Collected,
    outputs=(
        Port("item", Carries.ITEM, description="The body: once for each item."),
        Port("done", description="Once, when all items are done."),
        ERROR_PORT,
    ),
)
def loop(
    call: Call,
    *,
    items: Json,
    concurrency: Annotated[int, Field(ge=1)] = 10,
    on_item_error: Literal["fail", "collect"] = "fail",
    batch_size: Annotated[int, Field(ge=1)] | None = None,
) -> list[Json]:
    """Does what hangs on `item` once for each item of a list, then goes on at `done`.

    The nodes of the body read the item as `item` and its number as `index`, from 0. `done` gives
    what the last nodes of the body gave, in the order of the items.

    Args:
        call: What surrounds the attempt.
        items: The list. What is absent or null is an empty list, a single value a list of one.
        concurrency: How many iterations may go on at the same time.
        on_item_error: `fail`: after a failed iteration no new one starts, and the loop fails.
            `collect`: all items are tried, and the loop succeeds and lists the errors.
        batch_size: Makes `item` a list of up to so many.
    """
    del call, concurrency, on_item_error
    return batches(items, batch_size)


def batches(items: Json, batch_size: int | None = None) -> list[Json]:
    """Return what the body is run for, in order: items, or lists of up to `batch_size`."""
    if items is None:
        return []
    each = cast("list[Json]", items) if isinstance(items, list) else [items]
    if batch_size is None:
        return each
    return [each[n : n + batch_size] for n in range(0, len(each), batch_size)]
