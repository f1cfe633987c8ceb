"""What a node gives of a response."""

from __future__ import annotations

import json
import mimetypes
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NoReturn

import httpx

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.call import Call
from cloudflow_dagster.nodes.errors import NodeError

Form = Literal["auto", "json", "text", "file"]

LARGEST_VALUE = 256 * 1024
"""Bytes up to which a body that is not JSON is a value; a larger one becomes a file."""
LARGEST_JSON = 32 * 2**20
LARGEST_FILE = 100 * 2**20
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}")


def read_body(response: httpx.Response, call: Call, form: Form) -> Json:
    """Read the body of a response.

    Args:
        response: A response of which nothing has been read.
        call: Its folder takes what becomes a file.
        form: `auto` reads JSON where the response says that it is, else text if it is UTF-8, else
            bytes as `{"base64"}`; what is larger than 256 kB becomes `{"file"}`.
    """
    chunks = response.iter_bytes()
    if form == "file":
        return _file(response, call, b"", chunks)
    if form == "json" or (form == "auto" and _says_json(response)):
        return _json(response, _whole(chunks, LARGEST_JSON), strict=form == "json")
    if form == "text":
        return _text(response, _whole(chunks, LARGEST_JSON), errors="replace")
    start = b""
    for chunk in chunks:
        start += chunk
        if len(start) > LARGEST_VALUE:
            return _file(response, call, start, chunks)
    return _value(response, start)


def _says_json(response: httpx.Response) -> bool:
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


def _whole(chunks: Iterator[bytes], limit: int) -> bytes:
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > limit:
            _too_large(limit, 'Set `response` to `"file"` to get it as a file.')
    return bytes(body)


def _too_large(limit: int, way_out: str) -> NoReturn:
    raise NodeError(
        "ResponseTooLarge",
        f"The body has more than {limit // 2**20} MB. {way_out}",
        transient=False,
    )


def _json(response: httpx.Response, body: bytes, *, strict: bool) -> Json:
    if not body.strip():
        return None
    try:
        return json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        if not strict:
            return _value(response, body)
        raise NodeError(
            "InvalidResponse", f"The body is not JSON: {error}.", transient=False
        ) from None


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _value(response: httpx.Response, body: bytes) -> Json:
    if not body:
        return None
    try:
        return _text(response, body, errors="strict")
    except UnicodeDecodeError:
        return {"base64": b64encode(body).decode()}


def _text(response: httpx.Response, body: bytes, *, errors: str) -> str:
    try:
        return body.decode(response.charset_encoding or "utf-8", errors)
    except LookupError:
        return body.decode("utf-8", errors)


def _file(
    response: httpx.Response, call: Call, start: bytes, chunks: Iterator[bytes]
) -> dict[str, Any]:
    path = call.files / f"{call.node}-{call.token[:16]}{_suffix(response)}"
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            for chunk in call.redact_stream(_limited(chain([start], chunks))):
                file.write(chunk)
        part.replace(path)
    except OSError as error:
        raise NodeError("FileError", f"The body could not be stored: {error.strerror}.") from error
    finally:
        part.unlink(missing_ok=True)
    return {"file": str(path)}


def _limited(chunks: Iterable[bytes]) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > LARGEST_FILE:
            _too_large(LARGEST_FILE, "That is more than a node takes.")
        yield chunk


def _suffix(response: httpx.Response) -> str:
    suffix = Path(response.url.path).suffix
    if _SUFFIX.fullmatch(suffix):
        return suffix
    kind = response.headers.get("content-type", "").partition(";")[0].strip()
    return mimetypes.guess_extension(kind) or ".bin"
