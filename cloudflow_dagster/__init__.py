"""CloudFlow: cloud automations and architectures as graphs, compiled to Dagster.

The public Python API. Names are imported when they are first used, so that
`import cloudflow_dagster` costs next to nothing and the CLI's checks start without Dagster.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cloudflow_dagster.compiler.pipeline import compile_flow
    from cloudflow_dagster.engine.definitions import build_definitions
    from cloudflow_dagster.flow.source import load_flow
    from cloudflow_dagster.nodes.declare import action, condition, trigger

__all__ = ["action", "build_definitions", "compile_flow", "condition", "load_flow", "trigger"]
__version__ = "0.1.0"

_HOMES = {
    "action": "cloudflow_dagster.nodes.declare",
    "build_definitions": "cloudflow_dagster.engine.definitions",
    "compile_flow": "cloudflow_dagster.compiler.pipeline",
    "condition": "cloudflow_dagster.nodes.declare",
    "load_flow": "cloudflow_dagster.flow.source",
    "trigger": "cloudflow_dagster.nodes.declare",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
