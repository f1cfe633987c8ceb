"""Make a flow of what is left when parts of a file have the wrong shape.

A slip in one node, such as an unknown field, must not hide what is wrong with the others. So the
damaged parts are taken out and the rest is checked; what is found about a damaged part itself is
not reported, since it may follow from the damage.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from pydantic import ValidationError

from cloudflow_dagster.diagnostics.model import Diagnostic, Severity
from cloudflow_dagster.flow.model import Flow, Json

_ANY_PARAMS: Json = {"type": "object", "additionalProperties": True}
_NEEDED = {"id", "type"}
_Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Salvaged:
    """A flow without its damaged parts.

    Attributes:
        flow: What is left.
        damaged: Where something was taken out.
    """

    flow: Flow
    damaged: frozenset[_Path]

    def certain(self, found: Iterable[Diagnostic]) -> list[Diagnostic]:
        """Return the findings that are not about a damaged part."""
        return [d for d in found if d.at.pointer.parts[:2] not in self.damaged]


def salvage(data: Json, found: Iterable[Diagnostic]) -> Salvaged | None:
    """Return what is left of a flow, or None if what is damaged holds the rest together.

    Args:
        data: The document.
        found: What is wrong with its shape.
    """
    if not isinstance(data, dict):
        return None
    left: dict[str, Any] = dict(cast("dict[str, Any]", data))
    damaged: set[_Path] = set()
    for diagnostic in found:
        if diagnostic.severity is Severity.ERROR:
            path = diagnostic.at.pointer.parts
            if not _take_out(left, path):
                return None
            damaged.add(path[:2])
    try:
        return Salvaged(Flow.model_validate(left), frozenset(damaged))
    except ValidationError:
        return None


def _take_out(left: dict[str, Any], path: _Path) -> bool:
    """Take the part at a path out, if the flow is still one without it."""
    match path:
        case ("params", *_):
            left["params"] = _ANY_PARAMS
            return True
        case ("nodes", int(index), str(field), *_) if field not in _NEEDED:
            nodes: list[Any] = list(left["nodes"])
            if not isinstance(nodes[index], dict):
                return False
            nodes[index] = {key: value for key, value in nodes[index].items() if key != field}
            left["nodes"] = nodes
            return True
        case (str(field), *_) if field not in {"version", "nodes", "edges"}:
            left.pop(field, None)
            return True
        case _:
            return False
