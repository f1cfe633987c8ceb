"""Two servers that are not killed: a way to the cloud that sees each call, and a small API.

The API (`/tickets`, `/payments`, `/flaky`) stands for whatever else flows talk to: one without
tokens that can be searched, one with an idempotency header, and one whose answers get lost.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

from tests.chaos.moments import Moments

_READS = ("Describe", "List", "Get", "Receive", "AssumeRole")


@dataclass
class Desk:
    """What the API has done, by line."""

    tickets: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    payments: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    flaky: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def find(self, line: str, title: str) -> list[int]:
        """Return the numbers of a line's tickets with a title."""
        with self._lock:
            return [n for n, each in enumerate(self.tickets[line]) if each == title]

    def open(self, line: str, title: str) -> int:
        """Open a ticket, however many there are."""
        with self._lock:
            self.tickets[line].append(title)
            return len(self.tickets[line]) - 1

    def pay(self, line: str, key: str) -> dict[str, int]:
        """Pay, once for each key; return how often was paid up to then."""
        with self._lock:
            if key not in self.payments[line]:
                self.payments[line].append(key)
            return {"count": self.payments[line].index(key) + 1}

    def stumble(self, line: str, key: str) -> bool:
        """Do something once for each key; return whether the answer gets lost."""
        with self._lock:
            new = key not in self.flaky[line]
            if new:
                self.flaky[line].append(key)
            return new

    def of(self, line: str) -> dict[str, Any]:
        """Return what was done for a line."""
        with self._lock:
            paid, flaky = len(self.payments[line]), len(self.flaky[line])
            return {"tickets": sorted(self.tickets[line]), "paid": paid, "flaky": flaky}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    moments: Moments
    desk: Desk
    cloud: tuple[str, int]

    def _do(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = urlsplit(self.path)
        if path.path in {"/tickets", "/payments", "/flaky"}:
            name = f"{self.command} {path.path}"
            self._pass(name if self.command == "POST" else "", lambda: self._api(path, body))
        else:
            self._pass(
                _changes(self.command, self.path, self.headers, body), lambda: self._go(body)
            )

    def _pass(self, name: str, carry_out: Any) -> None:
        if name and self.moments.reached("asked", name):
            # Who asked is gone. The call is not carried out.
            self.close_connection = True
            return
        status, headers, content = carry_out()
        if name:
            self.moments.reached("done", name)
        try:
            self.send_response_only(status)
            for key, value in headers:
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)
            self.wfile.flush()
        except OSError:
            self.close_connection = True
        if name:
            self.moments.reached("answered", name)

    def _go(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(*self.cloud, timeout=60)
        try:
            headers = {k: v for k, v in self.headers.items() if k.lower() not in _OWN}
            headers["Host"] = f"{self.cloud[0]}:{self.cloud[1]}"
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            kept = [(k, v) for k, v in answer.getheaders() if k.lower() not in _OWN]
            return answer.status, kept, content
        finally:
            connection.close()

    def _api(self, path: Any, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        status, given = 200, json.loads(body or b"{}")
        key = self.headers.get("idempotency-key", "")
        answer: Any
        match self.command, path.path:
            case "GET", "/tickets":
                query = dict(parse_qsl(path.query))
                answer = self.desk.find(query["line"], query["title"])
            case "POST", "/tickets":
                answer = self.desk.open(given["line"], given["title"])
            case "POST", "/payments":
                answer = self.desk.pay(given["line"], key)
            case _:
                lost = self.desk.stumble(given["line"], key)
                status, answer = (500, "lost") if lost else (200, "done")
        return status, [("Content-Type", "application/json")], json.dumps(answer).encode()

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = _do  # noqa: N815 - as http.server wants

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of those who were killed while they asked."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


_OWN = {"host", "connection", "content-length", "transfer-encoding", "date", "server", "expect"}


def _changes(method: str, path: str, headers: Mapping[str, str], body: bytes) -> str:
    """Return the name of an AWS call that changes something; "" of others."""
    target = headers.get("x-amz-target")
    if target:
        operation = target.rpartition(".")[2]
    elif headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        operation = parse_qs(body.decode()).get("Action", [""])[0]
    elif path.startswith(("/_cloudflow", "/moto-api")) or method in {"GET", "HEAD"}:
        return ""
    else:
        operation = f"{method} {path}"
    return "" if operation.startswith(_READS) else operation


@contextmanager
def serving(cloud: str, moments: Moments, desk: Desk) -> Iterator[str]:
    """Serve both at one address, which it gives."""
    parts = urlsplit(cloud)
    about = {"moments": moments, "desk": desk, "cloud": (parts.hostname, parts.port)}
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), about))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
