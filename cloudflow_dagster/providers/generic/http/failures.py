"""Makes errors of HTTP into errors that the author of a flow can act on."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpcore
import httpx

from cloudflow_dagster.nodes.errors import NodeError

TRANSIENT_STATUS = frozenset({408, 425, 429, *range(500, 600)})
REQUEST_IDS = ("x-request-id", "x-amzn-requestid", "x-amz-request-id", "x-ms-request-id")
_NOT_CONNECTED = (
    httpcore.ConnectTimeout,
    httpcore.PoolTimeout,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
)
_SERVER = 500
_LONGEST_WAIT = 86_400.0
_LONGEST_TEXT = 300
_BETWEEN = re.compile(r"[\s\"',;<>{}\[\]()]")


@contextmanager
def understood(what: str) -> Generator[None]:
    """Turn what goes wrong inside into a `NodeError`.

    None of the messages holds a header, a query or a body: they may be secret.

    Args:
        what: Method and host, the subject of the sentences.
    """
    try:
        yield
    except socket.gaierror as error:
        passing = error.errno == socket.EAI_AGAIN
        text = f"{what}: the host's name has no address ({error.strerror})."
        raise NodeError("UnknownHost", text, transient=passing) from error
    except (httpcore.TimeoutException, httpx.TimeoutException) as error:
        text = f"{what}: no connection came about in time."
        sent = not isinstance(error, _NOT_CONNECTED)
        raise NodeError("Timeout", text, transient=True, unsure=sent) from error
    except httpcore.ConnectError as error:
        raise _connect_error(what, error) from error
    except httpx.RemoteProtocolError as error:  # httpx itself raises it for redirects alone
        text = f"{what}: it redirects to an address that cannot be read."
        raise NodeError("InvalidResponse", text, transient=False, unsure=True) from error
    except (httpcore.LocalProtocolError, httpx.LocalProtocolError, UnicodeEncodeError) as error:
        text = f"{what}: a header has a character that HTTP does not allow, such as a line break."
        raise NodeError("InvalidConfig", text, transient=False) from error
    except (httpcore.NetworkError, httpcore.RemoteProtocolError, httpx.TransportError) as error:
        text = f"{what}: the connection broke off ({_reason(error)})."
        raise NodeError("ConnectionFailed", text, transient=True, unsure=True) from error
    except httpx.DecodingError as error:
        text = f"{what}: the body is not compressed as its `content-encoding` says."
        raise NodeError("InvalidResponse", text, transient=False, unsure=True) from error


def _connect_error(what: str, error: httpcore.ConnectError) -> NodeError:
    cause = error.__context__  # the pool drops `__cause__`
    if isinstance(cause, ssl.SSLCertVerificationError):
        text = f"{what}: the certificate cannot be trusted ({cause.verify_message})."
        way_out = " A certificate authority of your own is named by SSL_CERT_FILE."
        return NodeError("TlsError", text + way_out, transient=False)
    if isinstance(cause, ssl.SSLError):
        text = f"{what}: no TLS connection came about ({cause.reason}). Is it `http://`?"
        return NodeError("TlsError", text, transient=False)
    text = f"{what}: no connection came about ({_reason(error)})."
    return NodeError("ConnectionFailed", text, transient=True)


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def request_id(headers: httpx.Headers) -> str | None:
    """Return the id by which the provider knows the request."""
    return next((headers[name] for name in REQUEST_IDS if name in headers), None)


def status_error(what: str, response: httpx.Response, body: str) -> NodeError:
    """Return the error for a status that is not expected.

    Args:
        what: Method and host, the subject of the sentence.
        response: The response.
        body: The beginning of its body, without secrets.
    """
    start = _shortened(" ".join(body.split()))
    answered = f"{what} answered {response.status_code} {response.reason_phrase}".rstrip()
    return NodeError(
        "HttpStatus",
        f"{answered}: {start}" if start else f"{answered}.",
        provider_request_id=request_id(response.headers),
        transient=response.status_code in TRANSIENT_STATUS,
        retry_after=retry_after(response.headers.get("retry-after")),
        unsure=response.status_code >= _SERVER,
    )


def _shortened(text: str) -> str:
    """Cut a text between two words: what is left of a secret cut in two would not be recognised."""
    if len(text) <= _LONGEST_TEXT:
        return text
    ends = [found.start() for found in _BETWEEN.finditer(text, 0, _LONGEST_TEXT)]
    return f"{text[: ends[-1] if ends else 0]}…"


def retry_after(text: str | None) -> float | None:
    """Return the seconds that a `Retry-After` header asks to wait; it holds seconds or a date."""
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            date = parsedate_to_datetime(text)
        except ValueError:
            return None
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        seconds = (date - datetime.now(UTC)).total_seconds()
    return min(max(0.0, seconds), _LONGEST_WAIT) if seconds == seconds else None  # noqa: PLR0124 - NaN
