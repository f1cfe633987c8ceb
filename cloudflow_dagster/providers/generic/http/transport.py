"""Connections of HTTP nodes: checked addresses, one clock for the whole request, kept for reuse.

The name is resolved here, every address it stands for is checked, and the connection is made to one
of those very addresses, so that a name whose address changes between check and use (DNS rebinding)
gains nothing. TLS still verifies the name. Proxies and `.netrc` of the environment are not used.
"""

from __future__ import annotations

import atexit
import os
import socket
import ssl
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any, cast

import httpcore
import httpx

from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.providers.generic.http.addresses import refusal

Clock = Callable[[float], float]
"""Returns the seconds left, at most so many; raises when there are none or the run was stopped."""

_SLICE = 0.25
"""Seconds after which a read looks at the clock again."""
_CONNECT = 10.0
_clock: ContextVar[Clock] = ContextVar("clock")
_making = threading.Lock()


@contextmanager
def timed(clock: Clock) -> Generator[None]:
    """Let a clock limit whatever this thread reads and writes."""
    token = _clock.set(clock)
    try:
        yield
    finally:
        _clock.reset(token)


def transport(*, private: bool) -> httpx.BaseTransport:
    """Return the transport of this process, whose connections are shared by all nodes.

    Args:
        private: Whether private addresses are allowed.
    """
    # A forked process must not use its parent's connections.
    key = (os.getpid(), private, os.environ.get("SSL_CERT_FILE"))
    # `cache` lets several threads that come at once make one each, and all but one would be lost
    # with their connections still open.
    with _making:
        return _transport(*key)


@cache
def _transport(process: int, private: bool, certificates: str | None) -> httpx.BaseTransport:  # noqa: FBT001 - key of a cache
    del process, certificates
    made = _Transport(_Backend(private=private))
    atexit.register(made.end)
    return made


class _Stream(httpcore.NetworkStream):
    """A connection that looks at the clock while it waits."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        del timeout
        while True:
            try:
                return self._inner.read(max_bytes, _clock.get()(_SLICE))
            except httpcore.ReadTimeout:
                continue  # the clock says when it is enough

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        del timeout
        self._inner.write(buffer, _clock.get()(_CONNECT))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        del timeout
        limit = _clock.get()(_CONNECT)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, limit))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    """Connects to checked addresses alone."""

    def __init__(self, *, private: bool) -> None:
        self._private = private
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        del timeout
        failure: httpcore.NetworkError | httpcore.TimeoutException | None = None
        for address in self._addresses(host, port):
            limit = _clock.get()(_CONNECT)
            try:
                return _Stream(
                    self._inner.connect_tcp(address, port, limit, local_address, socket_options)
                )
            except (httpcore.NetworkError, httpcore.TimeoutException) as error:
                failure = error
        raise failure or httpcore.ConnectError(f"no address of {host}")

    def _addresses(self, host: str, port: int) -> list[str]:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        for address in addresses:
            if reason := refusal(address, private=self._private):
                name = "" if address == host else f"`{host}` stands for "
                raise NodeError(
                    "ForbiddenAddress", f"{name}`{address}`: {reason}.", transient=False
                )
        return addresses


class _Body(httpx.SyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        yield from self._stream

    def close(self) -> None:
        self._stream.close()


class _Transport(httpx.BaseTransport):
    """Stays open when a client that uses it is closed: other nodes go on with its connections."""

    def __init__(self, backend: _Backend) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(),
            max_connections=1000,
            max_keepalive_connections=50,
            keepalive_expiry=5,
            network_backend=backend,
        )

    def end(self) -> None:
        """Close all connections: the process ends."""
        self._pool.close()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        answer = self._pool.handle_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(
                    scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
                ),
                headers=request.headers.raw,
                content=request.stream,
                extensions={},
            )
        )
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=_Body(answer.stream),
            extensions=cast("Any", answer).extensions,
        )
