"""What Dagster's pages show of a step that runs a loop's items: what each node of the body did.

The nodes of a body have no steps of their own, so nothing else would show it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import dagster as dg

from cloudflow_dagster.engine.shown import LONGEST, Metadata
from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.plan import Step
from cloudflow_dagster.runtime.frame import Frame
from cloudflow_dagster.runtime.incoming import incoming
from cloudflow_dagster.runtime.loops import ItemRange
from cloudflow_dagster.runtime.record import Given, Record, RecordKey, Source
from cloudflow_dagster.runtime.redaction import Redactor
from cloudflow_dagster.runtime.run import Run
from cloudflow_dagster.runtime.stored import StoredLoop, StoredText

_FIRST = 3
"""Items that are shown from the beginning of a range."""
_FAILED = 5
"""Items that are shown because they failed."""
_LONGEST_VALUE = 2_000
"""Characters of JSON that are shown of one value."""


def shown_items(run: Run, loop: Step, items: ItemRange, failed: Iterable[int]) -> Metadata:
    """Return what the nodes of a loop's body were given, gave and came to.

    Of several items the first ones and those that failed are shown, all together no longer than
    what is shown of one node elsewhere.

    Args:
        run: The run.
        loop: A loop that is in no other one.
        items: Those that the step ran.
        failed: Indices of items that failed.
    """
    wrong = list(failed)[:_FAILED]
    shown = sorted({*wrong, *range(items.first, min(items.last, items.first + _FIRST - 1) + 1)})
    room = _Room(run.redactor)
    # What failed is what people look for: it has the first choice of the room.
    told = {index: _item(run, loop, index, room) for index in dict.fromkeys([*wrong, *shown])}
    metadata: Metadata = {}
    if items.first == items.last:
        nodes: dict[str, dict[str, Json]] = told[items.first]["nodes"]
        metadata["nodes"] = ", ".join(f"{id}: {state['status']}" for id, state in nodes.items())
    return metadata | {f"item {index}": dg.MetadataValue.json(told[index]) for index in shown}


class _Room:
    """How many characters of values may still be shown."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._left = LONGEST

    def take(self, text: str) -> Json:
        """Return the value of a JSON text, or its beginning as text if that is all there is."""
        # The record may be older than what is known of secrets.
        safe = self._redactor.json_text(text)
        length = min(len(safe), _LONGEST_VALUE, self._left)
        self._left -= length
        return json.loads(safe) if length == len(safe) else f"{safe[:length]} …"

    def value(self, value: Json) -> Json:
        """Return a value, or the beginning of its JSON text."""
        return self.take(json.dumps(value, ensure_ascii=False))

    def output(self, record: Record) -> Json:
        """Return the output of a record; what is large is not read for it."""
        return self._stored(record.source) if record.source else self.value(record.output)

    def _stored(self, source: Source) -> Json:
        match source:
            case Given(text=str(text)) | StoredText(text=str(text)):
                return self.take(text)
            case StoredLoop(count=count):
                return f"`results` and `errors` of {count:,} items"
            case _:
                return "Large: kept in the run's records."


def _item(run: Run, loop: Step, index: int, room: _Room) -> dict[str, Any]:
    """Return `{item, nodes: {<id>: {status, input, output, error}}}` of one item."""
    found = run.records.items(RecordKey(loop.id), loop.id, index, index)
    item = next((item for _, item in found), None)
    frame = Frame(run, settled=True).inside(loop.id, item, index)
    for step in loop.body:
        record = run.records.read(frame.key(step.id), loop.id)
        if record is not None:
            frame.own[step.id] = record
    nodes = {step.id: _node(frame, step, room) for step in loop.body}
    return {"item": room.value(item), "nodes": nodes}


def _node(frame: Frame, step: Step, room: _Room) -> dict[str, Json]:
    record = frame.own.get(step.id)
    if record is None:
        return {"status": "not_run"}
    shown: dict[str, Json] = {"status": record.status}
    if record.status in {"success", "failure"}:
        came_in = incoming(frame, step)
        if came_in is not None and came_in.edges:
            large = any(_is_large(edge.record) for edge in came_in.edges)
            shown["input"] = "See the node before." if large else room.value(came_in.value)
    if record.has_output:
        shown["output"] = room.output(record)
    if record.error:
        shown["error"] = room.value(record.error)
    return shown


def _is_large(record: Record | None) -> bool:
    """Return whether an output would have to be read, or is long."""
    match record.source if record else None:
        case None:
            return False
        case Given(text=text) | StoredText(text=str(text)):
            return len(text) > LONGEST
        case _:
            return True
