"""From a file to a `Flow`: the way through this room, for those who come from outside."""

from __future__ import annotations

from pathlib import Path

from cloudflow_dagster.diagnostics.model import Diagnostics, FlowError
from cloudflow_dagster.flow.document import Document, read_document
from cloudflow_dagster.flow.model import Flow
from cloudflow_dagster.flow.parse import flow_id, parse_flow

__all__ = ["Document", "flow_id", "load_flow", "parse_flow", "read_document"]


def load_flow(path: str | Path) -> Flow:
    """Read a flow from a file. What its nodes and expressions mean is not looked at.

    Args:
        path: Path of the JSON file.

    Raises:
        FlowError: The file is not a flow; says everything that is wrong, with places.
    """
    found = Diagnostics()
    document = read_document(Path(path), str(path), found)
    flow = parse_flow(document, found)
    if flow is not None:
        flow_id(flow, str(path), found)
    if flow is None or found.failed:
        raise FlowError(tuple(document.place(found)))
    return flow
