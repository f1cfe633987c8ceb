"""Tasks of ECS's services, which moto starts only when a service is changed.

A service that has just been created would never have its tasks, and who waits for it would wait in
vain. Here each one is changed, to what it is, right after it was created.

Checked with moto 5.2.5. `tests/integration/test_simulator_server.py` fails when this has no effect.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from typing import Any

from cloudflow_dagster.simulator.tokens import App

_TARGET = "HTTP_X_AMZ_TARGET"
_CREATE, _UPDATE = ".CreateService", ".UpdateService"


class StartsTasks:
    """A simulated cloud in which the tasks of a new service run at once.

    Args:
        cloud: moto's application.
    """

    def __init__(self, cloud: App) -> None:
        self._cloud = cloud

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request."""
        target: str = environ.get(_TARGET, "")
        if not target.endswith(_CREATE) or "ContainerService" not in target:
            return self._cloud(environ, start)
        content: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        answer = list(self._cloud({**environ, "wsgi.input": io.BytesIO(content)}, start))
        asked = json.loads(content)
        change = json.dumps(
            {
                "cluster": asked.get("cluster") or "default",
                "service": asked.get("serviceName"),
                "desiredCount": asked.get("desiredCount", 0),
            }
        ).encode()
        # Where the service was refused, there is none to change, and nothing happens.
        changing = {
            **environ,
            _TARGET: target.replace(_CREATE, _UPDATE),
            "CONTENT_LENGTH": str(len(change)),
            "wsgi.input": io.BytesIO(change),
        }
        list(self._cloud(changing, lambda *_: None))
        return answer
