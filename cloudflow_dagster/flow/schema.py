"""The JSON Schema of the flow format, for editors and for programs that write flows."""

from __future__ import annotations

from typing import Any, cast

from cloudflow_dagster.flow.model import Flow, Json

SCHEMA_ID = "urn:cloudflow:flow:1"
_PARAMS: dict[str, Json] = {
    "type": ["object", "null"],
    "properties": {
        "type": {"const": "object"},
        "properties": {"type": "object", "additionalProperties": {"type": ["object", "boolean"]}},
        "required": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["type"],
}


def flow_schema() -> dict[str, Json]:
    """Return the JSON Schema (2020-12) of a flow.

    It allows what the reader takes, but for what a schema cannot say (that ids are unique, that
    `params` is a schema throughout).
    """
    made = Flow.model_json_schema(by_alias=True)
    definitions = made.pop("$defs")
    properties = made["properties"]
    properties["params"] = {**_PARAMS, "description": properties["params"]["description"]}
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "CloudFlow flow",
        **{key: value for key, value in made.items() if key != "title"},
        "$defs": definitions,
    }
    return {key: _tidied(value) for key, value in schema.items()}


def _tidied(value: Any) -> Any:
    """Return a part of the schema without what only tells how pydantic works."""
    if isinstance(value, list):
        return [_tidied(item) for item in cast("list[Json]", value)]
    if not isinstance(value, dict):
        return value
    part = {key: _tidied(child) for key, child in cast("dict[str, Json]", value).items()}
    if "title" in part and not ("properties" in part and part.get("type") == "object"):
        del part["title"]
    if "default" in part and part["default"] is None:
        del part["default"]
    if isinstance(part.get("description"), str):
        part["description"] = " ".join(part["description"].split())
    match part.get("anyOf"):
        case [{"type": str(type_), **more}, {"type": "null"}] if "enum" not in more:
            del part["anyOf"]
            part = {"type": [type_, "null"], **more, **part}
        case _:
            pass
    return part
