"""A flow's params as typed Dagster config: what the Launchpad shows, completes and checks.

Dagster's config knows fewer constraints than JSON Schema. What it cannot say (patterns, ranges,
alternatives) stands in a field's description and is checked against the schema itself: before the
run is made what was given, when it starts what the trigger gave.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

import dagster as dg

from cloudflow_dagster.diagnostics.wording import sentence
from cloudflow_dagster.flow.model import Json

Schema = Mapping[str, Any]

_LIMITS: Mapping[str, str] = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
    "multipleOf": "a multiple of {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "pattern": "of the form `{}`",
    "format": "format {}",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "minProperties": "at least {} members",
    "maxProperties": "at most {} members",
}
"""Keywords of JSON Schema that Dagster's types do not know, in words."""
_SCALARS: Mapping[str, type] = {"string": str, "integer": int, "number": float, "boolean": bool}


def run_config_schema(name: str, params: Schema, triggers: tuple[str, ...]) -> dict[str, dg.Field]:
    """Return the fields of a run's config.

    Args:
        name: Of the flow; Dagster wants enums to be named.
        params: The JSON Schema of the flow's params.
        triggers: Ids of the flow's triggers.
    """
    fields = {
        "params": _params_field(name, params),
        "event": dg.Field(
            dg.Noneable(dict),
            is_required=False,
            description="The trigger's event `{type, time, payload}`. Without it the params are "
            "the payload of `trigger.manual`, and any other trigger gives its sample.",
        ),
        "pinned": dg.Field(
            bool, default_value=False, description="Nodes with a `pin` give it instead of running."
        ),
    }
    if triggers:
        fields["trigger"] = dg.Field(
            _enum(f"{name}__trigger", list(triggers)),
            is_required=False,
            description="The trigger at which the run starts.",
        )
    return fields


def _params_field(name: str, params: Schema) -> dg.Field:
    fields = _fields(name, params)
    closed = params.get("additionalProperties", True) is False
    shape = _closed(fields) if closed else _permissive(fields)
    required = any(field.is_required for field in fields.values())
    about = params.get("description", "The flow's inputs.")
    if required:
        return dg.Field(shape, is_required=True, description=about)
    return dg.Field(shape, default_value=_defaults(fields), description=about)


def _defaults(fields: Mapping[str, dg.Field]) -> dict[str, Json]:
    return {name: f.default_value for name, f in fields.items() if f.default_provided}


def _fields(name: str, schema: Schema) -> dict[str, dg.Field]:
    required = set(schema.get("required", ()))
    properties: Mapping[str, Any] = schema.get("properties", {})
    return {
        field: _field(f"{name}__{field}", sub, required=field in required)
        for field, sub in properties.items()
    }


def _field(name: str, schema: Json, *, required: bool) -> dg.Field:
    kind = _kind(name, schema)
    described = _object(schema)
    about = _about(described)
    if "default" in described:
        return dg.Field(kind, default_value=described["default"], description=about)
    return dg.Field(kind, is_required=required, description=about)


def _about(schema: Schema) -> str | None:
    """Return what a param is for, and the limits that Dagster's types do not show."""
    said = schema.get("description") or schema.get("title")
    limits = [form.format(schema[name]) for name, form in _LIMITS.items() if name in schema]
    if "const" in schema:
        limits.append(f"always {json.dumps(schema['const'])}")
    values = schema.get("enum", ())
    if not all(isinstance(value, str) for value in values):
        limits.append(f"one of {', '.join(json.dumps(value) for value in values)}")
    if schema.get("uniqueItems"):
        limits.append("no item twice")
    if not limits:
        return said
    limit = ", ".join(limits)
    limit = f"{limit[0].upper()}{limit[1:]}."
    return f"{sentence(said)} {limit}" if said else limit


def _object(schema: Json) -> Schema:
    """Return a schema as an object: `true` and `false` are schemas too."""
    return cast("Schema", schema) if isinstance(schema, Mapping) else {}


def _types(schema: Schema) -> list[str]:
    types = schema.get("type", [])
    return [types] if isinstance(types, str) else list(types)


def _nullable(schema: Schema) -> bool:
    return "null" in _types(schema) or None in schema.get("enum", ())


def _kind(name: str, schema: Json) -> Any:
    """Return the Dagster config type that comes nearest to a JSON Schema."""
    known = _object(schema)
    kind = _kind_without_null(name, known)
    return dg.Noneable(kind) if _nullable(known) and kind is not dg.Any else kind


def _kind_without_null(name: str, schema: Schema) -> Any:
    if "enum" in schema:
        values = [value for value in schema["enum"] if value is not None]
        if values and all(isinstance(value, str) for value in values):
            return _enum(name, values)
    types = [t for t in _types(schema) if t != "null"]
    match types:
        case ["array"]:
            return dg.Array(_kind(f"{name}__item", schema.get("items", True)))
        case ["object"]:
            return _object_kind(name, schema)
        case [one] if one in _SCALARS:
            return _SCALARS[one]
        case _:
            return dg.Any


def _object_kind(name: str, schema: Schema) -> Any:
    fields = _fields(name, schema)
    rest = schema.get("additionalProperties", True)
    if rest is False:
        return _closed(fields)
    if not fields and isinstance(rest, Mapping):
        return dg.Map(str, _kind(f"{name}__value", rest))
    return _permissive(fields)


def _closed(fields: Mapping[str, dg.Field]) -> Any:
    """Return an object type that takes no other fields; its own type is partly unknown."""
    return cast("Any", dg).Shape(fields)


def _permissive(fields: Mapping[str, dg.Field]) -> Any:
    """Return an object type that also takes other fields; its own annotation is wrong."""
    return cast("Any", dg).Permissive(fields)


def _enum(name: str, values: list[str]) -> dg.Enum:
    return dg.Enum(name, [dg.EnumValue(value) for value in dict.fromkeys(values)])
