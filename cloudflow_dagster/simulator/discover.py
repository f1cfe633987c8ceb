"""Finds a simulated cloud that is already running."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

ENVIRONMENT_VARIABLE = "CLOUDFLOW_SIMULATED_AWS"
"""Holds the endpoint; set for everything that `cloudflow dev` and `cloudflow run` start."""
STATE_FILES = ("dev.json", "simulated_aws.json")
"""Written by `cloudflow dev`, and by a simulated cloud that was started by itself."""


def discover(state: Path) -> str | None:
    """Return the endpoint of the project's running simulated cloud, or None.

    Args:
        state: The project's state folder.
    """
    given = os.environ.get(ENVIRONMENT_VARIABLE)
    if given:
        # Who set it has started it; nothing here could tell better.
        return given
    for name in STATE_FILES:
        endpoint = _endpoint_in(state / name)
        if endpoint is not None and answers(endpoint):
            return endpoint
    return None


def answers(endpoint: str, timeout: float = 2) -> bool:
    """Return whether a simulated cloud answers at an address of this machine."""
    import http.client  # noqa: PLC0415 - with what it needs costs 10 ms
    from urllib.parse import urlsplit  # noqa: PLC0415 - see above

    try:
        parts = urlsplit(endpoint)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
        try:
            connection.request("GET", "/_cloudflow/ready")
            return b'"simulated"' in connection.getresponse().read(200)
        finally:
            connection.close()
    except (OSError, ValueError, http.client.HTTPException):
        return False


def is_running(pid: int) -> bool:
    """Return whether there is a process with this id."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _endpoint_in(file: Path) -> str | None:
    try:
        found: Any = json.loads(file.read_text())
        endpoint = found.get("simulated_aws")
        pid = found.get("pid")
    except (OSError, ValueError, AttributeError):
        return None
    if not isinstance(endpoint, str) or not isinstance(pid, int) or pid <= 0:
        return None
    # The file may have come with somebody's folder: never be sent to another machine by it.
    if not endpoint.startswith("http://127.0.0.1:"):
        return None
    return endpoint if is_running(pid) else None
