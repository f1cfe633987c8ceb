"""Policies of buckets whose conditions moto does not look at.

It takes each statement for one without a condition: who refuses what does not come over TLS refuses
everything. Here a statement with a condition neither allows nor refuses.

Checked with moto 5.2.5. `tests/integration/test_simulator_server.py` fails when this has no effect.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from cloudflow_dagster.simulator.tokens import App


class LeavesConditions:
    """A simulated cloud that leaves statements with a condition out of a bucket's policy.

    Args:
        cloud: moto's application.
    """

    def __init__(self, cloud: App) -> None:
        self._cloud = cloud

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request."""
        if environ.get("REQUEST_METHOD") == "PUT" and "policy" in environ.get("QUERY_STRING", ""):
            _leave_conditions()  # moto's S3 is imported now at the latest
        return self._cloud(environ, start)


@cache
def _leave_conditions() -> None:
    models: Any = importlib.import_module("moto.s3.models")
    permitted = models.FakeBucket.get_permission

    def get_permission(self: Any, action: str, resource: str) -> Any:
        whole = self.policy
        if whole is None:
            return permitted(self, action, resource)
        certain = _Policy(_without_conditions(whole))
        return permitted(certain, action, resource)

    models.FakeBucket.get_permission = get_permission


class _Policy:
    """As much of a bucket as moto asks for its policy."""

    def __init__(self, policy: bytes) -> None:
        self.policy = policy


def _without_conditions(policy: bytes) -> bytes:
    document: dict[str, Any] = json.loads(policy)
    statements: list[dict[str, Any]] | dict[str, Any] = document.get("Statement", [])
    listed = statements if isinstance(statements, list) else [statements]
    certain = [each for each in listed if not each.get("Condition")]
    return json.dumps({**document, "Statement": certain}).encode()
