"""JSON Schemas from the shapes of an API's model.

What the services themselves are lax or newer about is a hint, not a rule: enumerations (`x-enum`)
and patterns (`x-pattern`, many of which are not Python's) lag behind the services, so a flow is
never refused because of one. Lengths, ranges and required members are rules.

A structure that is used twice in a schema, or contains itself, stands in `$defs`; all others stand
where they are used. So a schema is never larger than its part of the model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.providers.aws.models import Service, is_json
from cloudflow_dagster.providers.aws.text import plain
from cloudflow_dagster.providers.aws.tokens import is_token

Schema = dict[str, Any]
Side = Literal["input", "output"]

MEMBER_LIMIT = 200
"""Characters of a member's description."""
FILLED_IN = frozenset({("glacier", "accountId")})
"""Required members that botocore fills in when they are absent, beside idempotency tokens."""

_COMPOSITE = {"structure", "list", "map"}
_BLOB_INPUT: Schema = {
    "anyOf": [
        {"type": "string"},
        {
            "type": "object",
            "properties": {"base64": {"type": "string"}},
            "required": ["base64"],
            "additionalProperties": False,
        },
        {
            "type": "object",
            "properties": {"file": {"type": "string"}},
            "required": ["file"],
            "additionalProperties": False,
        },
    ],
    "x-format": "bytes",
}
_BLOB_OUTPUT: Schema = _BLOB_INPUT
_TIMES: Mapping[Side, Schema] = {
    "input": {"type": ["string", "number"], "x-format": "timestamp"},
    "output": {"type": "string", "format": "date-time"},
}
_SCALARS = {
    "string": "string",
    "character": "string",
    "boolean": "boolean",
    "integer": "integer",
    "long": "integer",
    "float": "number",
    "double": "number",
}


def schema_of(service: Service, operation: str, side: Side) -> Schema:
    """Return the schema of an operation's input or output: an object that holds no other fields.

    Args:
        service: The service's model.
        operation: The API's own name of the operation.
        side: Its input, as a flow's config gives it, or its output, as the node gives it.
    """
    reference = service.operation(operation).get(side)
    if reference is None:
        return {"type": "object", "properties": {}, "additionalProperties": False}
    return _Writer(service, side).root(reference["shape"])


class _Writer:
    """Writes one schema."""

    def __init__(self, service: Service, side: Side) -> None:
        self._service = service
        self._side: Side = side
        self._uses: Counter[str] = Counter()
        self._definitions: dict[str, Schema] = {}

    def root(self, name: str) -> Schema:
        self._count(name)
        schema = self._structure(name)
        if self._definitions:
            schema["$defs"] = self._definitions
        return schema

    def _count(self, root: str) -> None:
        """Count how often each composite shape is used by the shapes that `root` is made of."""
        self._uses[root] += 1
        waiting = [root]
        while waiting:
            for child in _children(self._service.shape(waiting.pop())):
                if not self._is_composite(child):
                    continue
                self._uses[child] += 1
                if self._uses[child] == 1:
                    waiting.append(child)

    def _is_composite(self, name: str) -> bool:
        """Whether a shape is worth a definition: not for a list or a map of scalars."""
        shape = self._service.shape(name)
        if shape["type"] == "structure":
            return not (shape.get("document") or shape.get("eventstream"))
        if shape["type"] not in _COMPOSITE:
            return False
        return any(self._service.shape(child)["type"] in _COMPOSITE for child in _children(shape))

    def _member(self, member: Mapping[str, Json]) -> Schema:
        """Write the schema of a member of a structure."""
        name = member["shape"]
        shape = self._service.shape(name)
        schema: Schema = {} if is_json(member) else self._value(name, shape)
        if text := plain(member.get("documentation") or shape.get("documentation"), MEMBER_LIMIT):
            schema["description"] = text
        if member.get("deprecated") or shape.get("deprecated"):
            schema["deprecated"] = True
        return schema

    def _value(self, name: str, shape: Mapping[str, Json]) -> Schema:
        """Write the schema of a shape, or a reference to it."""
        if self._uses[name] <= 1:
            return self._described(name, shape)
        if name not in self._definitions:
            self._definitions[name] = {}
            self._definitions[name].update(self._described(name, shape))
        return {"$ref": f"#/$defs/{name}"}

    def _described(self, name: str, shape: Mapping[str, Json]) -> Schema:
        match shape["type"]:
            case "structure":
                schema = self._structure(name)
            case "list":
                schema = self._list(shape)
            case "map":
                schema = self._map(shape)
            case "blob":
                schema = dict(_BLOB_INPUT if self._side == "input" else _BLOB_OUTPUT)
            case "timestamp":
                schema = dict(_TIMES[self._side])
            case kind:
                schema = self._scalar(name, kind, shape)
        if shape.get("sensitive"):
            schema["x-sensitive"] = True
        return schema

    def _structure(self, name: str) -> Schema:
        shape = self._service.shape(name)
        if shape.get("document") or shape.get("eventstream"):
            return {}
        members: Mapping[str, Json] = shape["members"]
        properties = {key: self._member(member) for key, member in members.items()}
        schema: Schema = {
            "type": "object",
            "properties": properties,
            "additionalProperties": False,
        }
        if self._side == "output":
            self._add_what_botocore_adds(shape, properties)
            return schema
        if shape.get("union"):
            schema |= {"minProperties": 1, "maxProperties": 1}
        if required := [key for key in shape.get("required", ()) if self._is_required(key, shape)]:
            schema["required"] = required
        return schema

    def _is_required(self, key: str, shape: Mapping[str, Json]) -> bool:
        member = shape["members"].get(key)
        if member is None or is_token(key, member):
            return False
        return (self._service.name, key) not in FILLED_IN

    def _list(self, shape: Mapping[str, Json]) -> Schema:
        item = shape["member"]["shape"]
        schema: Schema = {"type": "array", "items": self._element(item, shape)}
        return schema | self._limits(shape, "minItems", "maxItems")

    def _map(self, shape: Mapping[str, Json]) -> Schema:
        value = shape["value"]["shape"]
        schema: Schema = {"type": "object", "additionalProperties": self._element(value, shape)}
        least = self._service.shape(shape["key"]["shape"]).get("min", 0)
        if self._side == "input" and least > 1:
            schema["propertyNames"] = {"minLength": least}
        return schema | self._limits(shape, "minProperties", "maxProperties")

    def _element(self, name: str, container: Mapping[str, Json]) -> Schema:
        """Write what a list or a map holds; a sparse one also holds null."""
        schema = self._value(name, self._service.shape(name))
        if container.get("sparse") and schema:
            return {"anyOf": [schema, {"type": "null"}]}
        return schema

    def _scalar(self, name: str, kind: str, shape: Mapping[str, Json]) -> Schema:
        if (self._service.name, name) in _DECODED and self._side == "output":
            return {}
        schema: Schema = {"type": _SCALARS[kind]}
        if enum := shape.get("enum"):
            schema["x-enum"] = list(enum)
        if self._side == "input" and (pattern := shape.get("pattern")):
            schema["x-pattern"] = pattern
        limits = ("minLength", "maxLength") if kind == "string" else ("minimum", "maximum")
        return schema | self._limits(shape, *limits)

    def _limits(self, shape: Mapping[str, Json], least: str, most: str) -> Schema:
        """Write the limits of an input. An output is what the service gave, whatever it is."""
        if self._side == "output":
            return {}
        return {
            key: shape[limit] for key, limit in ((least, "min"), (most, "max")) if limit in shape
        }

    def _add_what_botocore_adds(
        self, shape: Mapping[str, Json], properties: dict[str, Schema]
    ) -> None:
        if shape.get("union"):
            properties["SDK_UNKNOWN_MEMBER"] = {
                "type": "object",
                "description": "A member that is newer than the installed model of the API.",
            }
        if self._service.name == "s3" and "Expires" in properties:
            properties["ExpiresString"] = {
                "type": "string",
                "description": "`Expires` as the service gave it, which need not be a time.",
            }


_DECODED = frozenset({("iam", "policyDocumentType"), ("cloudformation", "TemplateBody")})
"""Strings of outputs that botocore decodes: the node gives the JSON value that they spell."""


def _children(shape: Mapping[str, Json]) -> list[str]:
    """Return the names of the shapes that a shape is directly made of, once for each use."""
    match shape["type"]:
        case "structure" if not (shape.get("document") or shape.get("eventstream")):
            return [member["shape"] for member in shape["members"].values()]
        case "list":
            return [shape["member"]["shape"]]
        case "map":
            return [shape["value"]["shape"]]
        case _:
            return []
