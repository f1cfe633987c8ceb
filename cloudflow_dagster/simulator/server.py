"""Runs moto's server of the simulated cloud on this machine's loopback address."""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import socket
import threading
import uuid
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, Self
from urllib.parse import urlsplit

from cloudflow_dagster.simulator.bucket_policies import LeavesConditions
from cloudflow_dagster.simulator.caches import DeletesCaches
from cloudflow_dagster.simulator.haste import hasten
from cloudflow_dagster.simulator.tasks import StartsTasks
from cloudflow_dagster.simulator.tokens import App, HeedsTokens

HOST = "127.0.0.1"
CONTROL_PATH = "/_cloudflow"
"""Not a bucket's name, so it hides nothing of the cloud."""

_running: set[int] = set()
_counting = threading.Lock()


class SimulatedAws:
    """A simulated AWS cloud of this process, until `stop`.

    moto keeps its state once for a process: two of these in one process show the same estate, and
    it is gone when the last of them has stopped.

    Attributes:
        endpoint: Its address, for every service.
    """

    def __init__(self, port: int = 0, listener: socket.socket | None = None) -> None:
        """Start it.

        Args:
            port: 0 for any free one.
            listener: A socket that listens already, instead of a port; it is closed.

        Raises:
            OSError: The port is taken.
        """
        serving = importlib.import_module("werkzeug.serving")
        # The socket is opened here because werkzeug would end the process if the port is taken.
        listener = listener or listening(port)
        try:
            self._port: int = listener.getsockname()[1]
            self._server: Any = serving.make_server(
                HOST,
                self._port,
                _control(_cloud(), self._port),
                threaded=True,
                request_handler=_quiet_handler(),
                fd=listener.fileno(),
            )
        finally:
            # The server has a descriptor of its own.
            listener.close()
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.05},
            name="simulated-aws",
            daemon=True,
        )
        self._thread.start()
        with _counting:
            _running.add(self._port)
        self.endpoint = f"http://{HOST}:{self._port}"

    def stop(self) -> None:
        """Stop it. Stopping twice does no harm."""
        if self._server is None:
            return
        with _counting:
            _running.discard(self._port)
            if not _running:
                call(self.endpoint, "POST", "/moto-api/reset")
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def listening(port: int = 0) -> socket.socket:
    """Return a socket of this machine alone that listens; who connects to it waits for an answer.

    Args:
        port: 0 for any free one.

    Raises:
        OSError: The port is taken.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


def call(endpoint: str, method: str, path: str, body: dict[str, Any] | None = None) -> None:
    """Ask for something that is not AWS's, of moto or of ours.

    Raises:
        OSError: It was refused, or nothing answers.
    """
    import http.client  # noqa: PLC0415 - costs 30 ms, and every command imports this module

    parts = urlsplit(endpoint)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        connection.request(method, path, None if body is None else json.dumps(body))
        answer = connection.getresponse()
        answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise OSError(f"The simulated cloud answered {answer.status} to {path}.")
    finally:
        connection.close()


def _cloud() -> App:
    """Return moto's application, set up so that nothing needs Docker or the network."""
    hasten()
    _number_answers()
    app: Any = importlib.import_module("moto.moto_server.werkzeug_app")
    # moto lets every web page of the browser on this machine read its answers.
    app.DISABLE_GLOBAL_CORS = True
    config: dict[str, dict[str, Any]] = importlib.import_module(
        "moto.core.config"
    ).default_user_config
    config["lambda"] = {"use_docker": False}
    config["batch"] = {"use_docker": False}
    config["stepfunctions"] = {"execute_state_machine": True}
    cloud = app.DomainDispatcherApplication(app.create_backend_app)
    return HeedsTokens(StartsTasks(DeletesCaches(LeavesConditions(cloud))))


def _number_answers() -> None:
    """Give each answer a request id of its own, as AWS does; moto calls EC2's all `request-id`."""
    context: Any = importlib.import_module("moto.core.serialize").SerializationContext

    def begin(self: Any, request_id: str | None = None) -> None:
        self.request_id = request_id or str(uuid.uuid4())

    context.__init__ = begin


def _quiet_handler() -> Any:
    """Return moto's request handler, writing each request to a log instead of the terminal."""
    handler: Any = importlib.import_module("moto.moto_server.werkzeug_app").MotoRequestHandler
    log = logging.getLogger("cloudflow.simulator")

    def write(_: Any, level: str, message: str, *values: Any) -> None:
        log.log(logging.ERROR if level == "error" else logging.DEBUG, message, *values)

    return type("QuietRequestHandler", (handler,), {"log": write, "disable_nagle_algorithm": True})


def _control(cloud: App, port: int) -> App:
    """Put our own few routes and a check of who asks before the cloud."""
    names = {f"{HOST}:{port}", f"localhost:{port}"}

    def app(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        origin: str | None = environ.get("HTTP_ORIGIN")
        if environ.get("HTTP_HOST") not in names or (
            origin is not None and urlsplit(origin).netloc not in names
        ):
            # A web page in this machine's browser, perhaps under a name that it made point here.
            return _answer(start, "403 Forbidden", {"error": "Only this machine's programs."})
        path: str = environ.get("PATH_INFO", "")
        if path == f"{CONTROL_PATH}/ready":
            return _answer(start, "200 OK", {"simulated": "aws"})
        if path == f"{CONTROL_PATH}/backdate" and environ.get("REQUEST_METHOD") == "POST":
            length = min(int(environ.get("CONTENT_LENGTH") or 0), 1 << 20)
            backdate(json.loads(environ["wsgi.input"].read(length)))
            return _answer(start, "200 OK", {})
        return cloud(environ, start)

    return app


def _answer(start: Callable[..., Any], status: str, body: dict[str, Any]) -> Iterable[bytes]:
    content = json.dumps(body).encode()
    start(status, [("Content-Type", "application/json"), ("Content-Length", str(len(content)))])
    return [content]


def backdate(order: dict[str, Any]) -> None:
    """Make snapshots as old as the estate says; AWS's API gives no way to.

    Args:
        order: `{account, region, snapshots: {id: age in days}}`.
    """
    backends: Any = importlib.import_module("moto.ec2.models").ec2_backends
    snapshots: Any = backends[order["account"]][order["region"]].snapshots
    ages: dict[str, float] = order["snapshots"]
    for snapshot, days in ages.items():
        with contextlib.suppress(KeyError):
            snapshots[snapshot].start_time -= timedelta(days=days)
