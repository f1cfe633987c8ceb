"""Configs and answers for any operation of AWS, the same ones each time."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
from botocore.exceptions import ParamValidationError
from botocore.model import OperationModel, ServiceModel, Shape
from botocore.serialize import create_serializer
from botocore.utils import is_json_value_header

from cloudflow_dagster.nodes.spec import NodeType
from cloudflow_dagster.providers.aws.invoke import PAGINATE, WAIT_FOR
from cloudflow_dagster.providers.aws.models import Service
from cloudflow_dagster.providers.aws.schemas import FILLED_IN
from cloudflow_dagster.providers.aws.tokens import add_token
from cloudflow_dagster.providers.aws.values import Arguments, Results

TOKEN = "0123456789abcdef" * 4
MOMENT = datetime(2026, 11, 23, 6, 0, 0, 250000, UTC)
NOT_TEXT = b"\xff\x00\xfe"
_FOLDER = Path("/nonexistent")  # nothing here is read from files


@dataclass(frozen=True, slots=True)
class Extent:
    """How much of a config or an answer is given.

    Attributes:
        depth: How many levels have all their fields; deeper ones have only what they must.
        choice: Which member of a union is given, counted round.
    """

    depth: int
    choice: int = 0

    @property
    def inner(self) -> Extent:
        return replace(self, depth=self.depth - 1)


LEAST = Extent(0)


class Configs:
    """Makes configs from the schema of one node type."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self._within: list[str] = []

    def of(self, extent: Extent) -> dict[str, Any]:
        config = self._object(self._schema, extent)
        return {key: value for key, value in config.items() if key not in {PAGINATE, WAIT_FOR}}

    def _value(self, schema: Mapping[str, Any], extent: Extent) -> Any:
        if reference := schema.get("$ref"):
            return self._defined(reference.removeprefix("#/$defs/"), extent)
        if schema.get("x-format") == "bytes":
            return "text" if extent.depth % 2 else {"base64": "/wD+"}
        if schema.get("x-format") == "timestamp":
            return "2026-11-23T08:00:00.250000999+02:00" if extent.depth % 2 else 1_700_000_000
        if "anyOf" in schema:
            return self._value(schema["anyOf"][0], extent)
        return self._of_type(schema.get("type"), schema, extent)

    def _defined(self, name: str, extent: Extent) -> Any:
        if name in self._within and extent.depth <= 0:
            raise RecursionError(name)
        self._within.append(name)
        try:
            return self._value(self._schema["$defs"][name], extent)
        finally:
            self._within.pop()

    def _of_type(self, kind: str | None, schema: Mapping[str, Any], extent: Extent) -> Any:
        match kind:
            case "object":
                return self._object(schema, extent)
            case "array":
                count = max(schema.get("minItems", 0), extent.depth > 0)
                count = min(count, schema.get("maxItems", count))
                return [self._value(schema["items"], extent.inner) for _ in range(count)]
            case None:
                return {"any": ["JSON", 1, True, {"ä": "ö"}]}
            case _:
                return _scalar(kind, schema)

    def _object(self, schema: Mapping[str, Any], extent: Extent) -> dict[str, Any]:
        fields = schema.get("properties")
        if fields is None:
            count = max(schema.get("minProperties", 0), extent.depth > 0)
            inner = schema["additionalProperties"]
            least = schema.get("propertyNames", {}).get("minLength", 0)
            return {
                f"key{n}".ljust(least, "x"): self._value(inner, extent.inner) for n in range(count)
            }
        if schema.get("maxProperties") == 1:  # a union
            return self._one_of(fields, extent)
        must = set(schema.get("required", ()))
        made: dict[str, Any] = {}
        for name, field in fields.items():
            if name in must:
                made[name] = self._value(field, extent.inner)
            elif extent.depth > 0:
                try:
                    made[name] = self._value(field, extent.inner)
                except RecursionError:
                    continue
        return made

    def _one_of(self, fields: Mapping[str, Any], extent: Extent) -> dict[str, Any]:
        names = list(fields)
        for n in range(len(names)):
            name = names[(extent.choice + n) % len(names)]
            try:
                return {name: self._value(fields[name], extent.inner)}
            except RecursionError:
                continue
        raise RecursionError


def _scalar(kind: str, schema: Mapping[str, Any]) -> Any:
    match kind:
        case "boolean":
            return True
        case "string":
            return (schema.get("x-enum") or ["ä"])[0].ljust(schema.get("minLength", 0), "x")
        case _:
            least, most = schema.get("minimum", 1), schema.get("maximum", 1)
            number = least if least > 1 else min(1, most)
            # JSON has one kind of number: an integer may come as 1.0.
            return float(number) if kind == "number" or number < 1e15 else number


_SINGLE: Mapping[str, Any] = {
    "boolean": False,
    "character": "ä",
    "double": 0.25,
    "float": 0.25,
    "integer": 2**30,
    "long": 2**40,
    "string": "ä",
    "timestamp": MOMENT,
}


def answer_of(shape: Shape, extent: Extent, within: tuple[str, ...] = ()) -> Any:
    """Return what botocore's parsers give for a shape; all levels of `extent.depth`."""
    if shape.type_name in _SINGLE:
        return _SINGLE[shape.type_name]
    if shape.type_name == "structure":
        document = getattr(shape, "is_document_type", False)
        return {"any": ["JSON", 1.5, None]} if document else _structure(shape, extent, within)
    if shape.type_name == "blob":
        return b"text" if extent.depth % 2 else NOT_TEXT
    several: Any = shape
    if shape.type_name == "list":
        inner = _nested(several.member, extent, within)
        return [] if inner is None else [inner, inner]
    inner = _nested(several.value, extent, within)
    return {} if inner is None else {"a key": inner}


def _nested(shape: Shape, extent: Extent, within: tuple[str, ...]) -> Any:
    composite = shape.type_name in {"structure", "list", "map"}
    if composite and extent.depth <= 0:
        return None
    return answer_of(shape, extent.inner if composite else extent, (*within, shape.name))


def _structure(shape: Any, extent: Extent, within: tuple[str, ...]) -> dict[str, Any]:
    members = list(shape.members.items())
    if shape.is_tagged_union and members:
        members = [members[extent.choice % len(members)]]
    made: dict[str, Any] = {}
    for name, member in members:
        if is_json_value_header(member):
            made[name] = {"any": ["JSON"]}
            continue
        value = _nested(member, extent, within)
        if value is not None:
            made[name] = value
    return made


@cache
def _serializer(protocol: str) -> Any:
    return create_serializer(protocol)


class Conversions:
    """Holds what becomes of configs and answers against what botocore itself makes of them."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._model = ServiceModel(service.model, service.name)

    def complaints(self, node_type: NodeType, operation: str, extent: Extent) -> Iterator[str]:
        """Say what is lost or refused on the way to botocore and back."""
        model = self._model.operation_model(operation)
        if not model.has_event_stream_input:
            yield from self._sent(node_type, model, extent)
        if not model.has_event_stream_output:
            yield from self._received(node_type, model, extent)

    def _sent(self, node_type: NodeType, model: OperationModel, extent: Extent) -> Iterator[str]:
        try:
            config = Configs(node_type.config_schema).of(extent)
        except RecursionError as error:
            yield f"nothing finite fits its schema: {error}"
            return
        arguments = self._arguments(self._service, model.name, config)
        arguments = add_token(self._service, model.name, arguments, TOKEN)
        for name, member in self._service.members(model.name, "input").items():
            if member.get("hostLabel") and name in arguments:  # a part of the address
                arguments[name] = "label"
            if (self._service.name, name) in FILLED_IN:
                arguments.setdefault(name, "-")
        try:
            _serializer(self._model.resolved_protocol).serialize_to_request(arguments, model)
        except ParamValidationError as error:
            yield f"botocore refuses what its schema allows, {config}: {error}"

    def _received(
        self, node_type: NodeType, model: OperationModel, extent: Extent
    ) -> Iterator[str]:
        shape = model.output_shape
        answer = answer_of(shape, extent) if shape else {}
        streams = {
            name: io.BytesIO(value)
            for name, value in answer.items()
            if isinstance(value, bytes) and shape and name == shape.serialization.get("payload")
        }
        results = Results(_FOLDER, "sample", lambda: None, iter)
        output = results.of({**answer, **streams, "ResponseMetadata": {}})
        if json.loads(json.dumps(output, allow_nan=False)) != output:
            yield "its output is not JSON"
        schema = node_type.output_schema or {}
        for error in jsonschema.Draft202012Validator(schema).iter_errors(output):
            yield f"its output {error.json_path} does not fit its schema: {error.message}"
        # What one node gives, another can be given: read as an input, it is what botocore gave.
        taken = self._arguments(self._turned(model.name), model.name, output)
        if taken != answer:
            yield f"{answer} comes back as {taken}"

    def _turned(self, operation: str) -> Service:
        """Return the service as if the operation's input were its output."""
        settings = self._service.operation(operation)
        operations = {operation: {**settings, "input": settings.get("output")}}
        return replace(self._service, model={**self._service.model, "operations": operations})

    def _arguments(self, service: Service, operation: str, config: Any) -> dict[str, Any]:
        with ExitStack() as files:
            return Arguments(service, _FOLDER, files).of(operation, config)
