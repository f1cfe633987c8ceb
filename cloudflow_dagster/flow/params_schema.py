"""Check that `params` is a JSON Schema of type object.

Most flows describe their params in a few plain keywords, which are checked here. Only other ones
are worth the time that jsonschema takes to load and to compare.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, cast

from cloudflow_dagster.diagnostics.model import Diagnostics, Location, did_you_mean
from cloudflow_dagster.diagnostics.wording import shortened, shown
from cloudflow_dagster.flow import shape
from cloudflow_dagster.flow.model import Json

MAX_VALUES = 10_000
_MOST_PROBLEMS = 20
_LONGEST_NAME = 100
_TYPES = ("string", "integer", "number", "boolean", "object", "array", "null")
_ONE_SCHEMA = (
    *("items", "contains", "unevaluatedItems", "additionalProperties", "unevaluatedProperties"),
    *("propertyNames", "not", "if", "then", "else", "contentSchema"),
)
_NAMED_SCHEMAS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_LISTED_SCHEMAS = ("allOf", "anyOf", "oneOf", "prefixItems")

Path = tuple[str | int, ...]
Schema = dict[str, Json]


def check_params(params: Json, at: Location, found: Diagnostics) -> None:
    """Record what is wrong with the JSON Schema of a flow's params.

    Args:
        params: The value of `params`. What is no object is somebody else's to report.
        at: Its location.
        found: Takes the findings.
    """
    if not isinstance(params, dict):
        return
    schema = cast("Schema", params)
    if len(list(islice(_values(schema), MAX_VALUES + 1))) > MAX_VALUES:
        message = f"`params` holds more than {MAX_VALUES:,} values."
        found.add(shape.BAD_PARAMS, at, message, "Describe the inputs more briefly.")
        return
    here = Diagnostics()
    _check_top(schema, at, here)
    plain = True
    for path, part in _schemas(schema):
        _check_types(part, at.at(*path), here)
        _check_patterns(part, at.at(*path), here)
        _check_references(part, schema, at.at(*path), here)
        plain = plain and _is_plain(part)
    if not plain and not here.failed:
        _check_metaschema(schema, at, here)
    found.extend(here)


def _values(value: Json) -> Iterator[Json]:
    waiting: list[Any] = [value]
    while waiting:
        value = waiting.pop()
        yield value
        if isinstance(value, dict):
            waiting.extend(cast("Schema", value).values())
        elif isinstance(value, list):
            waiting.extend(cast("list[Json]", value))


def _schemas(schema: Schema) -> Iterator[tuple[Path, Schema]]:
    """Yield every schema in a schema with its path, but nothing of what is data (`default` …)."""
    waiting: list[tuple[Path, Any]] = [((), schema)]
    while waiting:
        path, part = waiting.pop()
        if not isinstance(part, dict):
            continue
        part = cast("Schema", part)
        yield path, part
        waiting.extend(((*path, key), part[key]) for key in _ONE_SCHEMA if key in part)
        for key in _NAMED_SCHEMAS:
            if isinstance(part.get(key), dict):
                waiting.extend(((*path, key, name), child) for name, child in part[key].items())
        for key in _LISTED_SCHEMAS:
            if isinstance(part.get(key), list):
                waiting.extend(((*path, key, i), child) for i, child in enumerate(part[key]))


def _check_top(schema: Schema, at: Location, found: Diagnostics) -> None:
    if "type" not in schema:
        looks_like_names = bool(schema) and all(
            isinstance(value, dict) and not key.startswith("$") for key, value in schema.items()
        )
        suggestion = (
            'Put the inputs into `{"type": "object", "properties": {…}}`.'
            if looks_like_names
            else 'Write `"type": "object"` into it.'
        )
        found.add(shape.BAD_PARAMS, at, "`params` lacks `type`.", suggestion)
    elif schema["type"] != "object":
        message = f'The type of `params` must be "object", not {shown(schema["type"])}.'
        found.add(shape.BAD_PARAMS, at.at("type"), message, 'Write `"type": "object"`.')


def _check_types(part: Schema, at: Location, found: Diagnostics) -> None:
    named: Json = part.get("type")
    for index, name in enumerate(cast("list[Json]", named) if isinstance(named, list) else [named]):
        if isinstance(name, str) and name not in _TYPES:
            place = at.at("type", index) if isinstance(named, list) else at.at("type")
            close = did_you_mean(name.lower(), _TYPES) if len(name) <= _LONGEST_NAME else None
            message = f"JSON Schema has no type {shown(name)}."
            types = ", ".join(f"`{name}`" for name in _TYPES)
            found.add(shape.BAD_PARAMS, place, message, close or f"The types are {types}.")


def _check_patterns(part: Schema, at: Location, found: Diagnostics) -> None:
    named = part.get("patternProperties")
    patterns: list[tuple[Path, Json]] = [(("pattern",), part.get("pattern"))]
    if isinstance(named, dict):
        patterns += [(("patternProperties", p), p) for p in cast("Schema", named)]
    for path, pattern in patterns:
        if not isinstance(pattern, str):
            continue
        try:
            re.compile(pattern)
        except (re.error, RecursionError, OverflowError) as error:
            message = f"The pattern {shown(pattern)} is not a regular expression: {error}."
            found.add(shape.BAD_PARAMS, at.at(*path), message)


def _check_references(part: Schema, whole: Schema, at: Location, found: Diagnostics) -> None:
    for key in ("$ref", "$dynamicRef"):
        reference = part.get(key)
        if not isinstance(reference, str):
            continue
        if not reference.startswith("#"):
            message = (
                f"{shown(reference)} is another document; a flow's params stand by themselves."
            )
            found.add(
                shape.BAD_PARAMS, at.at(key), message, "Put the schema into `$defs` of `params`."
            )
        elif reference.startswith("#/") and not _leads_somewhere(reference, whole):
            message = f"{shown(reference)} is not in `params`."
            found.add(
                shape.BAD_PARAMS, at.at(key), message, "`#` is `params` itself: `#/$defs/name`."
            )


def _leads_somewhere(reference: str, whole: Json) -> bool:
    value: Any = whole
    for part in reference.removeprefix("#/").split("/"):
        name = part.replace("~1", "/").replace("~0", "~")
        try:
            value = value[int(name) if isinstance(value, list) else name]
        except (LookupError, TypeError, ValueError):
            return False
    return True


# What a plain schema is


def _text(value: Json) -> bool:
    return isinstance(value, str)


def _number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _count(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _flag(value: Json) -> bool:
    return isinstance(value, bool)


def _list(value: Json) -> bool:
    return isinstance(value, list)


def _schema(value: Json) -> bool:
    return isinstance(value, dict | bool)


def _named_schemas(value: Json) -> bool:
    return isinstance(value, dict) and all(
        _schema(child) for child in cast("Schema", value).values()
    )


def _names(value: Json) -> bool:
    return (
        isinstance(value, list)
        and all(isinstance(name, str) for name in cast("list[Json]", value))
        and len(set(cast("list[str]", value))) == len(cast("list[str]", value))
    )


def _type(value: Json) -> bool:
    return isinstance(value, str) or (_names(value) and bool(value))


def _anything(value: Json) -> bool:
    del value
    return True


_PLAIN: dict[str, Callable[[Json], bool]] = {
    "type": _type,
    "default": _anything,
    "const": _anything,
    "required": _names,
    "properties": _named_schemas,
    "deprecated": _flag,
    "uniqueItems": _flag,
    **dict.fromkeys(("title", "description", "format", "$comment", "pattern"), _text),
    **dict.fromkeys(("enum", "examples"), _list),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _number),
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems"), _count),
    **dict.fromkeys(("items", "additionalProperties"), _schema),
}


def _is_plain(part: Schema) -> bool:
    """Return whether the metaschema could find nothing wrong with the keywords of one schema."""
    return all(key in _PLAIN and _PLAIN[key](value) for key, value in part.items())


def _check_metaschema(schema: Schema, at: Location, found: Diagnostics) -> None:
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - costs 60 ms, is rarely needed

    try:
        validator: Any = Draft202012Validator(Draft202012Validator.META_SCHEMA)
        # The same keyword may be in several vocabularies of the metaschema: hence a dict.
        problems = {
            cast("Path", tuple(error.absolute_path)): shortened(error.message, 200)
            for error in islice(validator.iter_errors(schema), _MOST_PROBLEMS)
        }
        for path, message in problems.items():
            found.add(shape.BAD_PARAMS, at.at(*path), f"This is not JSON Schema: {message}.")
    except RecursionError:
        message = "`params` is nested too deeply."
        found.add(shape.BAD_PARAMS, at, message, "Describe the inputs more briefly.")
