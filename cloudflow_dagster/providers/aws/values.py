"""Turns JSON into what botocore takes, and what botocore gives into JSON."""

from __future__ import annotations

import base64
import binascii
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, cast

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.providers.aws.models import Service, is_json

INLINE_LIMIT = 256 * 1024
"""Bytes of a stream that become a value; a longer one becomes a file."""
Redact = Callable[[Iterable[bytes]], Iterator[bytes]]
_CHUNK = 1024 * 1024
_FRACTION = re.compile(r"(\.\d{6})\d+")


class Arguments:
    """Turns a node's config into an operation's arguments.

    Args:
        service: The service's model.
        folder: The run's. `{"file": path}` may point into it and into those of other runs, which
            lie beside it: a value that came from outside must not be able to name just any file
            of this machine.
        files: Closes the files that are opened.
    """

    def __init__(self, service: Service, folder: Path, files: ExitStack) -> None:
        self._service = service
        self._folder = folder
        self._files = files

    def of(self, operation: str, config: Mapping[str, Json]) -> dict[str, Any]:
        """Return the arguments. What does not fit the model is left for botocore to refuse.

        Raises:
            NodeError: A time, bytes or a file cannot be read (`ParamValidation`).
        """
        members = self._service.members(operation, "input")
        return {
            name: self._member(members[name], value, name) if name in members else value
            for name, value in config.items()
        }

    def _member(self, member: Mapping[str, Json], value: Json, path: str) -> Any:
        if is_json(member):
            return value
        stream = bool(member.get("streaming"))
        return self._value(member["shape"], value, path, stream=stream)

    def _value(self, name: str, value: Json, path: str, *, stream: bool = False) -> Any:
        shape = self._service.shape(name)
        match shape["type"]:
            case "structure" | "list" | "map":
                return self._composite(shape, value, path)
            case "blob":
                return self._bytes(value, path, stream=stream or bool(shape.get("streaming")))
            case "timestamp" if isinstance(value, str):
                return _time(value, path)
            case "integer" | "long" if isinstance(value, float) and value.is_integer():
                return int(value)
            case _:
                return value

    def _composite(self, shape: Mapping[str, Json], value: Json, path: str) -> Any:
        match shape["type"]:
            case "structure" if isinstance(value, dict) and not shape.get("document"):
                members = shape["members"]
                return {
                    key: self._member(members[key], field, f"{path}.{key}")
                    if key in members
                    else field
                    for key, field in cast("dict[str, Json]", value).items()
                }
            case "list" if isinstance(value, list):
                inner = shape["member"]["shape"]
                return [
                    self._value(inner, item, f"{path}[{i}]")
                    for i, item in enumerate(cast("list[Json]", value))
                ]
            case "map" if isinstance(value, dict):
                inner = shape["value"]["shape"]
                return {
                    key: self._value(inner, item, f"{path}.{key}")
                    for key, item in cast("dict[str, Json]", value).items()
                }
            case _:
                return cast("Any", value)

    def _bytes(self, value: Json, path: str, *, stream: bool) -> Any:
        match value:
            case str():
                return value.encode()
            case {"base64": str(text)} if len(value) == 1:
                try:
                    return base64.b64decode(text, validate=True)
                except (binascii.Error, ValueError) as error:
                    raise NodeError(
                        "ParamValidation",
                        f"`{path}.base64` is not base64 ({error}).",
                        transient=False,
                    ) from error
            case {"file": str(name)} if len(value) == 1:
                file = self._open(name, path)
                return file if stream else file.read()
            case _:
                return value

    def _open(self, name: str, path: str) -> BinaryIO:
        file = (self._folder / name).resolve()
        if not file.is_relative_to(self._folder.resolve().parent):
            raise NodeError(
                "FileNotAllowed",
                f"`{path}.file` must be a file that a node gave, and `{name}` lies elsewhere.",
                transient=False,
            )
        try:
            return self._files.enter_context(file.open("rb"))
        except OSError as error:
            raise NodeError(
                "FileNotReadable",
                f"`{path}.file`: {name}: {error.strerror or error}.",
                transient=False,
            ) from error


def _time(text: str, path: str) -> datetime:
    """Read ISO 8601. Without a zone it is UTC, wherever this machine stands."""
    try:
        found = datetime.fromisoformat(_FRACTION.sub(r"\1", text.strip()))
    except ValueError as error:
        raise NodeError(
            "ParamValidation",
            f"`{path}` is not a time. Write it like `2026-11-23T08:00:00Z`, or as seconds since "
            "1970.",
            transient=False,
        ) from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


class Results:
    """Turns an operation's answer into JSON.

    Args:
        folder: Where long streams go.
        stem: Begins their files' names; unique to this call in its folder.
        proceed: Called between the parts of a long stream; raises if the call must stop.
        redact: Takes secrets out of what is written to a file.
    """

    def __init__(
        self, folder: Path, stem: str, proceed: Callable[[], object], redact: Redact
    ) -> None:
        self._folder = folder
        self._stem = stem
        self._proceed = proceed
        self._redact = redact

    def of(self, answer: Mapping[str, Any]) -> dict[str, Json]:
        """Return the answer's members as JSON, without what botocore says about the request."""
        return {
            name: self._value(value, name)
            for name, value in answer.items()
            if name != "ResponseMetadata"
        }

    def _value(self, value: Any, path: str) -> Json:
        match value:
            case dict():
                fields = cast("dict[Any, Any]", value)
                return {
                    str(key): self._value(each, f"{path}.{key}") for key, each in fields.items()
                }
            case list() | tuple():
                return [self._value(each, path) for each in cast("list[Any]", value)]
            case _ if hasattr(value, "read"):
                return self._stream(value, path)
            case _:
                return scalar_as_json(value)

    def _stream(self, stream: Any, path: str) -> Json:
        try:
            beginning = _read(stream, INLINE_LIMIT + 1)
            if len(beginning) <= INLINE_LIMIT:
                return bytes_as_json(beginning)
            return {"file": str(self._save(stream, beginning, path))}
        finally:
            stream.close()

    def _chunks(self, stream: Any, beginning: bytes) -> Iterator[bytes]:
        yield beginning
        while chunk := stream.read(_CHUNK):
            self._proceed()
            yield chunk

    def _save(self, stream: Any, beginning: bytes, path: str) -> Path:
        """Write a stream to a file, which is there whole or not at all."""
        target = self._folder / f"{self._stem}-{path}"
        partial = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            with partial.open("wb") as file:
                for chunk in self._redact(self._chunks(stream, beginning)):
                    file.write(chunk)
            partial.replace(target)
        except OSError as error:
            if error.errno is None:  # the connection's, not the disk's
                raise
            raise NodeError(
                "FileNotWritable", f"{target}: {error.strerror}.", transient=False
            ) from error
        finally:
            partial.unlink(missing_ok=True)
        return target


def _read(stream: Any, limit: int) -> bytes:
    """Read up to `limit` bytes; a single `read` of a connection may give fewer."""
    parts: list[bytes] = []
    left = limit
    while left and (part := stream.read(left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def scalar_as_json(value: Any) -> Json:
    """Return a single value as JSON."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else _spelled(value)
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case datetime():
            return time_as_json(value)
        case bytes() | bytearray():
            return bytes_as_json(bytes(value))
        case _:
            return str(value)


def bytes_as_json(data: bytes) -> Json:
    """Return bytes as text where they are UTF-8, else as `{"base64": …}`."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def time_as_json(moment: datetime) -> str:
    """Return a time in ISO 8601, in UTC."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        moment = moment.astimezone(UTC)
    except OverflowError:  # the very first or last day that Python knows
        return moment.isoformat()
    return moment.isoformat().replace("+00:00", "Z")


def _spelled(value: float) -> str:
    """Return what JSON has no number for as AWS's own protocols spell it."""
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
