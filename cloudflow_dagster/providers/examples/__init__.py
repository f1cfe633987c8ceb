"""Example flows of the node types, which the tests run, and a node of each type from them.

Each file has a `flow` as a user writes it. Where it has a `result`, the tests run the flow on the
simulated cloud and compare what it gives; `simulated` is what that cloud is told beforehand.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


def example_of(node_type: str) -> Mapping[str, Any] | None:
    """Return a node of a type as it stands in an example flow; None if there is none.

    Args:
        node_type: Id of the node type.
    """
    return _nodes().get(node_type)


@cache
def _nodes() -> Mapping[str, Mapping[str, Any]]:
    nodes: dict[str, Mapping[str, Any]] = {}
    for file in sorted(FOLDER.glob("*.json")):
        for node in json.loads(file.read_text("utf-8"))["flow"]["nodes"]:
            nodes.setdefault(node["type"], node)
    return nodes
