"""Caches of ElastiCache, which moto never gets rid of once they are being deleted.

Who waits until one is gone would wait in vain. Here it is gone when its deletion was answered.

Checked with moto 5.2.5. `tests/integration/test_simulator_server.py` fails when this has no effect.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from typing import Any

from cloudflow_dagster.simulator.tokens import App


class DeletesCaches:
    """A simulated cloud in which caches that were deleted are gone.

    Args:
        cloud: moto's application.
    """

    def __init__(self, cloud: App) -> None:
        self._cloud = cloud

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request."""
        authorization: str = environ.get("HTTP_AUTHORIZATION", "")
        if "/elasticache/" not in authorization:
            return self._cloud(environ, start)
        answer = list(self._cloud(environ, start))
        accounts: Any = importlib.import_module("moto.elasticache.models").elasticache_backends
        for account in list(accounts.values()):
            for region in list(account.values()):
                groups: dict[str, Any] = region.replication_groups
                for name in [name for name, each in groups.items() if each.status == "deleting"]:
                    groups.pop(name, None)
        return answer
