"""Makes the body of a request."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.errors import NodeError

BODY_FIELDS = ("json", "form", "body")
NOT_GIVEN: Any = object()
"""Tells a `json` that is null from none."""
LARGEST = 100 * 2**20


def pairs(fields: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    """Yield name and text for each value of a query, a form or headers; null ones are left out."""
    for name, value in fields.items():
        several = cast("list[Json]", value) if isinstance(value, list) else [value]
        for one in several:
            if one is not None:
                yield name, one if isinstance(one, str) else json.dumps(one)


def content_of(given: Mapping[str, Json], files: Path) -> tuple[bytes | None, str | None]:
    """Return the body and its content type.

    Args:
        given: Those of `json`, `form`, `body` that the config has.
        files: The folder that a file must lie in.

    Raises:
        NodeError: There are two bodies, or it cannot be made.
    """
    if len(given) > 1:
        names = " and ".join(f"`{name}`" for name in given)
        raise _invalid(f"A request has one body; {names} are given.")
    for name, value in given.items():
        if name == "json":
            return json.dumps(value, separators=(",", ":")).encode(), "application/json"
        if name == "form":
            return urlencode(list(pairs(value))).encode(), "application/x-www-form-urlencoded"
        if isinstance(value, str):
            return value.encode(), "text/plain; charset=utf-8"
        return _bytes(value, files), "application/octet-stream"
    return None, None


def _bytes(value: Mapping[str, str], files: Path) -> bytes:
    if set(value) == {"base64"}:
        try:
            return b64decode(value["base64"], validate=True)
        except ValueError:
            raise _invalid("`body.base64` is not base64.") from None
    if set(value) != {"file"}:
        raise _invalid("`body` is a text, `{base64}` or `{file}`.")
    path = Path(value["file"]).resolve()
    if not path.is_relative_to(files.resolve()):
        raise _invalid("`body.file` is no file that a node of this run gave.")
    try:
        if path.stat().st_size > LARGEST:
            raise _invalid(f"`body.file` has more than {LARGEST // 2**20} MB.")
        return path.read_bytes()
    except OSError as error:
        raise NodeError("FileError", f"`body.file` cannot be read: {error.strerror}.") from error


def _invalid(message: str) -> NodeError:
    return NodeError("InvalidConfig", message, transient=False)
