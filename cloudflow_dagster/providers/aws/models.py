"""The API models that come with botocore, read as they are.

Nothing here makes a client. botocore is imported when the first model is needed, because that alone
takes a tenth of a second; the models stay plain dictionaries, which is faster than botocore's
classes for them. What is read is shared with the clients that are made later.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.simulator.session import service_models

_KIND = "service-2"
_SHAPES = re.compile(rb'"shapes"\s*:\s*\{')
_METADATA = re.compile(rb'"metadata"\s*:\s*(?=\{)')
_CHUNK = 32_768


@dataclass(frozen=True, slots=True)
class Service:
    """One service's model.

    Attributes:
        name: botocore's name of it, as `client()` takes it: `application-autoscaling`.
        operations: The API's operation names by their names in Python: `create_snapshot` →
            `CreateSnapshot`.
        model: The content of `service-2.json`.
        paginators: Pagination settings by the API's operation name.
        waiters: Waiter settings by the API's waiter name.
    """

    name: str
    operations: Mapping[str, str]
    model: Mapping[str, Json]
    paginators: Mapping[str, Json]
    waiters: Mapping[str, Json]

    @property
    def rest(self) -> bool:
        """Whether its protocol is one of REST, where a request's method has a meaning."""
        return is_rest(self.model)

    def operation(self, operation: str) -> Mapping[str, Json]:
        """Return what the model says of an operation, by the API's own name."""
        return self.model["operations"][operation]

    def shape(self, name: str) -> Mapping[str, Json]:
        """Return a shape by its name."""
        return self.model["shapes"][name]

    def members(self, operation: str, side: str) -> Mapping[str, Json]:
        """Return the members of an operation's `input` or `output`; none if it has no such."""
        reference = self.operation(operation).get(side)
        return self.shape(reference["shape"])["members"] if reference else {}


def is_json(member: Mapping[str, Json]) -> bool:
    """Return whether a member's text is JSON that botocore itself writes and reads.

    Models mark more (`jsonvalue`); botocore does it for headers alone, and takes and gives all
    others as the text that they are.
    """
    return bool(member.get("jsonvalue")) and member.get("location") == "header"


def is_rest(model: Mapping[str, Json]) -> bool:
    """Return whether a model's protocol is one of REST."""
    return str(model["metadata"].get("protocol", "")).startswith("rest")


@cache
def snake_case() -> Callable[[str], str]:
    """Return botocore's own naming of methods: `CreateDBInstance` is `create_db_instance`."""
    import botocore  # noqa: PLC0415 - 100 ms

    return cast("Callable[[str], str]", cast("Any", botocore).xform_name)


@cache
def services() -> Mapping[str, str]:
    """Return botocore's service names by their names in node type ids, sorted.

    A hyphen becomes an underscore: `aws.application_autoscaling.…`. No two services of botocore
    become one that way; if it ever happened, the first in the alphabet would keep the id.
    """
    found: dict[str, str] = {}
    names = {
        entry.name
        for root in service_models().search_paths
        if Path(root).is_dir()
        for entry in os.scandir(root)
        if entry.is_dir()
    }
    for name in sorted(names):
        found.setdefault(name.replace("-", "_"), name)
    return found


def service_named(name: str) -> str | None:
    """Return botocore's name of a service, given either spelling of it, or None."""
    return services().get(name.replace("-", "_"))


@cache
def load_service(name: str) -> Service:
    """Return a service's model; 5 ms for most, 100 ms for ec2.

    Args:
        name: botocore's name of the service.
    """
    version = _version(name)
    model = _load(name, version, _KIND)
    return Service(
        name=name,
        operations={snake_case()(operation): operation for operation in model["operations"]},
        model=model,
        paginators=_load(name, version, "paginators-1").get("pagination", {}),
        waiters=_load(name, version, "waiters-2").get("waiters", {}),
    )


def outline_of(name: str) -> Mapping[str, Json]:
    """Return a service's model without its shapes: `metadata`, and `operations` by the API's names.

    Reads only the first part of the model's file, up to the shapes, which are three quarters of
    it: all services together take a second. `load_service` is for everything else.

    Args:
        name: botocore's name of the service.
    """
    text = _beginning(_file(name))
    if text is not None:
        try:
            found: dict[str, Json] = json.loads(text.rstrip().rstrip(b",") + b"}")
        except ValueError:
            pass
        else:
            if "metadata" in found and "operations" in found:
                return found
    return load_service(name).model  # they do not stand before the shapes in this file


@cache
def metadata_of(name: str) -> Mapping[str, Json]:
    """Return what a service's model says of the service itself, without reading the rest.

    Args:
        name: botocore's name of the service.
    """
    file = _file(name)
    if file is not None:
        with file.open("rb") as packed:
            text = zlib.decompressobj(wbits=31).decompress(packed.read(_CHUNK))
        if start := _METADATA.search(text):
            try:
                found, _ = json.JSONDecoder().raw_decode(
                    text[start.end() :].decode(errors="ignore")
                )
            except ValueError:  # it stands further down
                return load_service(name).model["metadata"]
            return found
    return load_service(name).model["metadata"]


def operations_of(name: str) -> Mapping[str, Mapping[str, Json]]:
    """Return a service's operations by the API's own names, as `outline_of` reads them."""
    return outline_of(name)["operations"]


def _version(name: str) -> str:
    return service_models().determine_latest_version(name, _KIND)


def _load(name: str, version: str, kind: str) -> dict[str, Any]:
    """Return a model file with botocore's own additions to it, or an empty one."""
    from botocore.exceptions import DataNotFoundError  # noqa: PLC0415 - 100 ms
    from botocore.loaders import ExtrasProcessor  # noqa: PLC0415

    try:
        model: dict[str, Any] = service_models().load_data(f"{name}/{version}/{kind}")
    except DataNotFoundError:
        return {}
    try:
        extras = service_models().load_data(f"{name}/{version}/{kind}.sdk-extras")
    except DataNotFoundError:
        return model
    cast("Any", ExtrasProcessor()).process(model, [extras])
    return model


def _file(name: str) -> Path | None:
    version = _version(name)
    for root in service_models().search_paths:
        file = Path(root) / name / version / f"{_KIND}.json.gz"
        if file.is_file():
            return file
    return None


def _beginning(file: Path | None) -> bytes | None:
    """Return a compressed model's text up to its shapes; None if it is not compressed."""
    if file is None:
        return None
    unpack = zlib.decompressobj(wbits=31)
    text = bytearray()
    with file.open("rb") as packed:
        while chunk := packed.read(_CHUNK):
            seen = max(0, len(text) - 64)
            text += unpack.decompress(chunk)
            if found := _SHAPES.search(text, seen):
                return bytes(text[: found.start()])
    return bytes(text)
