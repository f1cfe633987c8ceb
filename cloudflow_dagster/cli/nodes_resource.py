"""What `cloudflow nodes show` says of a resource type beyond what it says of every node type."""

from __future__ import annotations

from typing import Any

from cloudflow_dagster.nodes.difference import Path, dotted
from cloudflow_dagster.nodes.resource import IDENTIFIER, ResourceModel

_VERBS = ("create", "read", "update", "delete")


def resource_facts(model: ResourceModel | None) -> dict[str, Any] | None:
    """Return what is known of a resource type, as JSON; None for other node types."""
    if model is None:
        return None
    return {
        "name": model.name,
        "can": [verb for verb in _VERBS if getattr(model, verb) is not None],
        "identifier": _names(model.identifier),
        "create_only": _names(model.create_only),
        "maybe_create_only": _names(model.maybe_create_only),
        "read_only": _names(model.read_only),
        "write_only": _names(model.write_only),
    }


def resource_lines(model: ResourceModel | None) -> list[str]:
    """Return the same as lines of text; none for other node types."""
    if model is None:
        return []
    rows = [
        ("told apart by", [name for name in _names(model.identifier) if name != IDENTIFIER]),
        ("another value replaces it", _names(model.create_only)),
        ("another value may replace it", _names(model.maybe_create_only)),
        ("set by the provider", _names(model.read_only)),
        ("never given back", _names(model.write_only)),
    ]
    if model.update is None:
        rows[1] = ("another value replaces it", ["anything: it cannot be changed"])
    return [
        "",
        f"Resource {model.name}",
        *(f"  {what}: {', '.join(names)}" for what, names in rows if names),
    ]


def _names(paths: tuple[Path, ...]) -> list[str]:
    return [dotted(path) for path in paths]
