"""Starting by hand."""

from __future__ import annotations

from typing import Any

from cloudflow_dagster.nodes.declare import trigger


@trigger("trigger.manual", label="By hand", icon="hand", sample={})
def manual(params: dict[str, Any]) -> dict[str, Any]:
    """Starts the flow when somebody asks for it, in the UI, on the command line or by the API.

    The event's payload is the params that were given.
    """
    return params
