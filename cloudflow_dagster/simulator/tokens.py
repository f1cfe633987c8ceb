"""Idempotency tokens of EC2, which moto takes and does not heed.

As AWS has it (https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html): a request
that repeats the client token and the parameters of one that succeeded changes nothing and gets the
first one's answer; with other parameters it is refused with `IdempotentParameterMismatch`. A token
counts in one account and region. Here it counts for one operation, and for the latest ten thousand.

Checked with moto 5.2.5. `tests/integration/test_simulator_tokens.py` fails when this has no effect.
"""

from __future__ import annotations

import importlib
import io
import re
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_SCOPE = re.compile(r"Credential=(?P<key>\w+)/\d+/(?P<region>[\w-]+)/ec2/")
_MOST = 10_000
_RESET = "/moto-api/reset"
_FORM = "application/x-www-form-urlencoded"


class _Call(NamedTuple):
    """Whose token for what."""

    account: str
    region: str
    operation: str
    token: str


class _Answer(NamedTuple):
    status: str
    headers: list[tuple[str, str]]
    body: bytes


@dataclass
class _Kept:
    """What is known of a token; whoever asks with it at the same time waits for the lock."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    parameters: list[tuple[str, str]] | None = None
    answer: _Answer | None = None


class HeedsTokens:
    """A simulated cloud that makes nothing a second time for the same client token.

    Args:
        cloud: moto's application.
    """

    def __init__(self, cloud: App) -> None:
        self._cloud = cloud
        self._kept: OrderedDict[_Call, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request."""
        if environ.get("PATH_INFO") == _RESET:
            with self._lock:
                self._kept.clear()
        authorization: str = environ.get("HTTP_AUTHORIZATION", "")
        scope = _SCOPE.search(authorization)
        if scope is None or not environ.get("CONTENT_TYPE", "").startswith(_FORM):
            return self._cloud(environ, start)
        content: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(content)
        parameters = sorted(parse_qsl(content.decode(), keep_blank_values=True))
        given = dict(parameters)
        token = given.get("ClientToken")
        if not token:
            return self._cloud(environ, start)
        call = _Call(_account(scope["key"]), scope["region"], given.get("Action", ""), token)
        answer = self._once(call, parameters, environ)
        start(answer.status, answer.headers)
        return [answer.body]

    def _once(
        self, call: _Call, parameters: list[tuple[str, str]], environ: dict[str, Any]
    ) -> _Answer:
        with self._lock:
            kept = self._kept.setdefault(call, _Kept())
            while len(self._kept) > _MOST:
                self._kept.popitem(last=False)
        with kept.lock:
            if kept.answer is not None:
                return kept.answer if kept.parameters == parameters else _mismatch(call)
            answer = self._ask(environ)
            if answer.status.startswith("2"):
                kept.parameters, kept.answer = parameters, answer
            return answer

    def _ask(self, environ: dict[str, Any]) -> _Answer:
        begun: list[tuple[str, list[tuple[str, str]]]] = []

        def start(status: str, headers: list[tuple[str, str]], _error: Any = None) -> None:
            begun[:] = [(status, headers)]

        body = b"".join(self._cloud(environ, start))
        return _Answer(*begun[0], body)


def _account(access_key: str) -> str:
    """Return whose an access key is, also one that was lent for an hour."""
    account: str = importlib.import_module("moto.iam.models").get_account_id_from(access_key)
    return account


def _mismatch(call: _Call) -> _Answer:
    message = (
        "The request uses the same client token as a previous, but non-identical request. Do not "
        "reuse a client token with different requests, unless the requests are identical: "
        f"{call.token}"
    )
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        "<Response><Errors><Error><Code>IdempotentParameterMismatch</Code>"
        f"<Message>{escape(message)}</Message></Error></Errors>"
        f"<RequestID>{uuid.uuid4()}</RequestID></Response>"
    ).encode()
    headers = [("Content-Type", "text/xml;charset=UTF-8"), ("Content-Length", str(len(body)))]
    return _Answer("400 Bad Request", headers, body)
