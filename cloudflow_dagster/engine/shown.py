"""What Dagster's pages show of a step's input, output and error, as metadata of its output."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import dagster as dg

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.plan import Step
from cloudflow_dagster.runtime.frame import Frame
from cloudflow_dagster.runtime.incoming import Delivered, incoming
from cloudflow_dagster.runtime.large import StoredFile
from cloudflow_dagster.runtime.record import Given, Record, Source
from cloudflow_dagster.runtime.run import Run
from cloudflow_dagster.runtime.stored import StoredLoop, StoredText

LONGEST = 20_000
"""Characters of JSON that are shown."""
_MOST_RESULTS = 100
"""Items of a loop whose results are shown."""

Metadata = dict[str, Any]


def shown_output(record: Record) -> Metadata:
    """Return what a step gave."""
    return (
        {"output": _shown(record.output)}
        if record.has_output and _fits(record.source)
        else ({"output": _large(record.source)} if record.has_output else {})
    )


def shown_error(error: Mapping[str, Json]) -> Metadata:
    """Return why a step failed."""
    return {"error": dg.MetadataValue.json(dict(error))} if error else {}


def shown_input(run: Run, step: Step) -> Metadata:
    """Return what came into a step; what is large is said to be so and not read again."""
    came_in = incoming(Frame(run), step)
    if came_in is None or not came_in.edges:
        return {}
    large = [edge for edge in came_in.edges if not _edge_fits(edge)]
    if large:
        sources = ", ".join(f"`{edge.edge.source}`" for edge in large)
        return {"input": dg.MetadataValue.md(f"Large: see the output of {sources}.")}
    return {"input": _shown(came_in.value)}


def _edge_fits(edge: Delivered) -> bool:
    return edge.record is None or _fits(edge.record.source)


def _fits(source: Source | None) -> bool:
    """Return whether an output is short enough to be shown, without reading it."""
    match source:
        case Given(text=text):
            return len(text) <= LONGEST
        case StoredText(text=text):
            return text is not None and len(text) <= LONGEST
        case StoredLoop(count=count):
            return count <= _MOST_RESULTS
        case StoredFile():
            return False
        case _:
            return True


def _large(source: Source | None) -> dg.MetadataValue[Any]:
    match source:
        case Given(text=text):
            cut = f"{text[:LONGEST]} …"
            return dg.MetadataValue.md(f"{len(text):,} characters:\n```json\n{cut}\n```")
        case StoredLoop(count=count):
            return dg.MetadataValue.md(f"`results` and `errors` of {count:,} items")
        case StoredFile(files=files, name=name, size=size):
            return dg.MetadataValue.md(f"{size:,} bytes of JSON, in `{files / name}`")
        case _:
            return dg.MetadataValue.md("Large: kept in the run's records.")


def _shown(value: Json) -> dg.MetadataValue[Any]:
    if isinstance(value, dict | list):
        text = json.dumps(value, ensure_ascii=False)
        if len(text) > LONGEST:
            return dg.MetadataValue.md(f"```json\n{text[:LONGEST]} …\n```")
        return dg.MetadataValue.json(value)  # pyright: ignore[reportUnknownArgumentType] - JSON
    return dg.MetadataValue.json({"value": value})
