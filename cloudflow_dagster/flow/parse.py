"""Make a `Flow` of a document, or say everything that is wrong with its shape."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias, cast

from pydantic import ValidationError

from cloudflow_dagster.diagnostics.model import Diagnostic, Diagnostics, Location
from cloudflow_dagster.diagnostics.wording import shown
from cloudflow_dagster.flow import shape, syntax
from cloudflow_dagster.flow.document import Document, node_of
from cloudflow_dagster.flow.identifier import ID_IN_WORDS, identifier_from, is_identifier
from cloudflow_dagster.flow.model import Flow, Json
from cloudflow_dagster.flow.params_schema import check_params
from cloudflow_dagster.flow.wrong_fields import explain, without_echoes

MOST_PROBLEMS = 100
MAX_FIELDS = 250_000
_LARGE = 1_000_000
_FREE = {"config", "params", "pin"}
"""Fields that hold any JSON; pydantic does not look into them."""
_Container: TypeAlias = "dict[str, Json] | list[Json]"


def parse_flow(document: Document, found: Diagnostics) -> Flow | None:
    """Return the flow that a document describes, or None if its shape is wrong.

    All that is wrong is recorded in `found`, up to a hundred findings. What the reader has
    recorded of the same file is not looked at: a flow may come out of a file that was put right.
    """
    if not document.readable:
        return None
    root, data = Location(document.file), document.data
    if not isinstance(data, dict):
        message = f"A flow is an object, and this is {shown(data)}."
        found.add(shape.NO_OBJECT, root, message, syntax.SMALLEST_FLOW)
        return None
    data = cast("dict[str, Json]", data)
    here = Diagnostics()
    if not _known_version(data, root, here) or not _of_sane_size(document, root, here):
        found.extend(here)
        return None
    flow, untold = _validated(data, root, here)
    if "tags" in data:
        _check_tags(data["tags"], root.at("tags"), here)
    _check_ids(data.get("nodes"), root.at("nodes"), here)
    check_params(data.get("params"), root.at("params"), here)
    for diagnostic in _first(here, untold):
        at = diagnostic.at
        found.items.append(
            replace(diagnostic, at=replace(at, node=node_of(data, at.pointer.parts)))
        )
    return None if here.failed else flow


def flow_id(flow: Flow, file: str, found: Diagnostics | None) -> str | None:
    """Return the flow's id: its own, or else its file's name without the ending.

    Args:
        flow: The flow.
        file: Path of its file.
        found: Takes the diagnostic if the name cannot be an id; the result then is None.
    """
    if flow.id is not None:
        return flow.id
    stem = Path(file).stem
    if is_identifier(stem):
        return stem
    if found is not None:
        close = identifier_from(stem)
        suggestion = f'Write `"id": "{close}"` into the flow.' if close else ID_IN_WORDS
        message = f"The file's name {shown(stem)} cannot be the flow's id."
        found.add(shape.BAD_FILE_NAME, Location(file), message, suggestion)
    return None


def _known_version(data: dict[str, Json], root: Location, found: Diagnostics) -> bool:
    """Return whether the rest can be understood; a version that is missing is reported later."""
    version = data.get("version", 1)
    if version == 1 and type(version) is int:
        return True
    is_later = isinstance(version, int | float) and version > 1
    suggestion = "Install a later CloudFlow." if is_later else 'Write `"version": 1`.'
    message = f"This CloudFlow reads flows of version 1, not {shown(version)}."
    found.add(shape.BAD_VERSION, root.at("version"), message, suggestion)
    return False


def _of_sane_size(document: Document, root: Location, found: Diagnostics) -> bool:
    """Return whether the parts of a flow are few enough to look at each of them."""
    if len(document.text) < _LARGE:
        return True
    fields = 0
    waiting: list[_Container] = [document.data]
    while waiting and fields <= MAX_FIELDS:
        part = waiting.pop()
        fields += len(part)
        children = part if isinstance(part, list) else (part[key] for key in part.keys() - _FREE)
        waiting.extend(
            cast("_Container", child) for child in children if isinstance(child, dict | list)
        )
    if fields <= MAX_FIELDS:
        return True
    message = f"The nodes and edges have more than {MAX_FIELDS:,} fields."
    found.add(syntax.TOO_LARGE, root, message, "Split the flow and use `flow.call`.")
    return False


def _validated(
    data: dict[str, Json], root: Location, found: Diagnostics
) -> tuple[Flow | None, int]:
    """Return the flow, if there is one, and how many problems were left out of `found`."""
    try:
        return Flow.model_validate(data), 0
    except ValidationError as invalid:
        errors = [e for e in invalid.errors(include_url=False) if e["loc"][0] != "tags"]
    errors = without_echoes(errors)
    for error in errors[:MOST_PROBLEMS]:
        explain(error, root, found)
    return None, max(0, len(errors) - MOST_PROBLEMS)


def _check_tags(tags: Json, at: Location, found: Diagnostics) -> None:
    """Check `tags`, of which pydantic would complain once for each of the two forms."""
    if isinstance(tags, dict):
        items: Iterable[tuple[str | int, Json]] = cast("dict[str | int, Json]", tags).items()
    elif isinstance(tags, list):
        items = enumerate(cast("list[Json]", tags))
    else:
        message = f"`tags` must be a list or an object of texts, not {shown(tags)}."
        found.add(shape.WRONG_TYPE, at, message)
        return
    for key, tag in items:
        if not isinstance(tag, str):
            found.add(shape.WRONG_TYPE, at.at(key), f"A tag must be a text, not {shown(tag)}.")


def _check_ids(nodes: Json, at: Location, found: Diagnostics) -> None:
    """Check that every node has an id of its own."""
    if not isinstance(nodes, list):
        return
    ids = [
        cast("dict[str, Json]", node).get("id") if isinstance(node, dict) else None
        for node in cast("list[Json]", nodes)
    ]
    taken = {id for id in ids if isinstance(id, str)}
    first: dict[str, int] = {}
    for index, id in enumerate(ids):
        if not isinstance(id, str) or first.setdefault(id, index) == index:
            continue
        message = f"`nodes[{first[id]}]` and `nodes[{index}]` have the same id {shown(id)}."
        told = len(found) < MOST_PROBLEMS and is_identifier(id)
        suggestion = f"Call one of them `{_free(id, taken)}`." if told else None
        found.add(shape.DUPLICATE_ID, at.at(index, "id"), message, suggestion)


def _free(id: str, taken: set[str]) -> str:
    number = 2
    while f"{id}_{number}" in taken:
        number += 1
    return f"{id}_{number}"


def _first(found: Diagnostics, untold: int) -> list[Diagnostic]:
    """Return the first findings; the last of them says how many more there are."""
    first = found.items[:MOST_PROBLEMS]
    if more := len(found) - len(first) + untold:
        first[-1] = replace(first[-1], message=f"{first[-1].message} ({more:,} more problems.)")
    return first
