"""What `cloudflow nodes show` and the pages about node types have in common."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cloudflow_dagster.nodes.spec import Access, Carries, NodeType, Port, Repeat
from cloudflow_dagster.providers.examples import example_of as example_node

_DEPTH = 2
"""Levels of fields within fields that are explained; deeper ones are in the schema."""
_LISTED = 12
_SAMPLES: Mapping[str, Any] = {
    "integer": 1,
    "number": 1,
    "boolean": True,
    "array": [],
    "object": {},
}

ACCESSES: Mapping[Access, str] = {
    Access.READ: "reads",
    Access.CHANGE: "changes",
    Access.DESTROY: "destroys",
}

REPEATS: Mapping[Repeat, str] = {
    Repeat.READ: "it changes nothing, so it is done again.",
    Repeat.SAFE: "it is done again, because twice is the same as once.",
    Repeat.TOKEN: "it is done again with the same idempotency token, so that it happens once.",
    Repeat.LOOKUP: "what it would have made is looked for, and made again if it is not there.",
    Repeat.ASK: "the run stops and asks whether it was done, unless the config makes that certain.",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a config.

    Attributes:
        name: With the names of the fields that it stands in: `approval.message`; `tags[].Key` of
            each entry of a list.
        level: Fields that it stands in.
        kind: Its type in words.
        required: Whether it must be there, if what it stands in is.
        default: As JSON, if there is one that says something.
        meaning: A sentence.
    """

    name: str
    level: int
    kind: str
    required: bool
    default: str | None
    meaning: str


def fields_of(schema: Mapping[str, Any]) -> Iterator[Field]:
    """Yield the fields of a config and those that stand in them."""
    yield from _fields(schema, schema.get("$defs", {}), "", 0)


def port_fields(ports: Sequence[Port]) -> Iterator[Field]:
    """Yield output ports as fields, each before the fields of what it carries.

    Those of the whole output are not said again where they have ports of their own.
    """
    told = any(port.carries is Carries.FIELD for port in ports)
    for port in ports:
        schema = port.schema or {}
        kind = type_words(schema) if schema else ""
        meaning = first_sentence(port.description)
        yield Field(port.name, 0, kind, required=False, default=None, meaning=meaning)
        if not (told and port.carries is Carries.OUTPUT):
            defined = schema.get("$defs", {})
            inner, suffix = _inside(schema, defined)
            yield from _fields(inner, defined, f"{port.name}{suffix}.", _DEPTH)


def _fields(
    schema: Mapping[str, Any], defined: Mapping[str, Any], prefix: str, level: int
) -> Iterator[Field]:
    required = set(schema.get("required", ()))
    for name, field in schema.get("properties", {}).items():
        default = field.get("default")
        yield Field(
            f"{prefix}{name}",
            level,
            type_words(field),
            name in required,
            None if default is None else json.dumps(default, ensure_ascii=False),
            first_sentence(field.get("description", "")),
        )
        if level < _DEPTH:
            inner, suffix = _inside(field, defined)
            yield from _fields(inner, defined, f"{prefix}{name}{suffix}.", level + 1)


def _inside(
    field: Mapping[str, Any], defined: Mapping[str, Any], seen: frozenset[str] = frozenset()
) -> tuple[Mapping[str, Any], str]:
    """Return the schema whose fields stand in a field, and what its name gets: `[]` for lists.

    Args:
        field: The schema of the field.
        defined: What it refers to.
        seen: References on the way to it: a list may hold lists of the same kind.
    """
    if reference := field.get("$ref"):
        if reference in seen:
            return {}, ""
        name = reference.removeprefix("#/$defs/")
        return _inside(defined.get(name, {}), defined, seen | {reference})
    if field.get("x-format") == "bytes":
        return {}, ""
    if "array" in _types(field):
        inner, suffix = _inside(field.get("items", {}), defined, seen)
        return inner, f"[]{suffix}"
    for choice in field.get("anyOf", ()):
        found = _inside(choice, defined, seen)
        if found[0]:
            return found
    return (field, "") if field.get("properties") else ({}, "")


def first_sentence(text: str) -> str:
    """Return the first sentence of a text, with its period."""
    sentence = text.partition("\n")[0].partition(". ")[0].rstrip(".")
    return f"{sentence}." if sentence else ""


def type_words(field: Mapping[str, Any]) -> str:
    """Return a schema's type in words: "list of string"."""
    if "enum" in field:
        return f"one of {_listed([value for value in field['enum'] if value is not None])}"
    if "anyOf" in field:
        words = dict.fromkeys(type_words(f) for f in field["anyOf"])
        return " or ".join(w for w in words if w != "null")
    if "$ref" in field:
        return "object"
    kinds = [kind for kind in _types(field) if kind != "null"]
    if kinds == ["array"]:
        return f"list of {type_words(field.get('items', {}))}"
    return (" or ".join(kinds) or "any JSON") + _known_values(field)


def _types(schema: Mapping[str, Any]) -> list[str]:
    kind: str | list[str] = schema.get("type", [])
    return [kind] if isinstance(kind, str) else kind


def _known_values(field: Mapping[str, Any]) -> str:
    """Return values that are known, where others may be allowed as well."""
    known = field.get("x-enum", ())
    return f" such as {_listed(known)}" if known else ""


def _listed(values: Sequence[Any]) -> str:
    more = ", …" if len(values) > _LISTED else ""
    return f"{', '.join(map(json.dumps, values[:_LISTED]))}{more}"


def example_of(node_type: NodeType) -> str:
    """Return a node of the type as a flow has it: one of an example flow, if there is one."""
    node = example_node(node_type.id) or sample_of(node_type)
    return json.dumps(node, indent=2, ensure_ascii=False)


def sample_of(node_type: NodeType) -> dict[str, Any]:
    """Return a node of the type with the fields that it must have."""
    schema = node_type.config_schema
    fields: Mapping[str, Any] = schema.get("properties", {})
    config = {name: _sample(fields.get(name, {})) for name in schema.get("required", ())}
    check = node_type.check_config
    if check is not None and check(config):
        # One of several fields is wanted, which a schema of fields does not say.
        more = ({**config, name: _sample(field)} for name, field in fields.items())
        config = next((each for each in more if not check(each)), config)
    node: dict[str, Any] = {"id": node_type.id.rpartition(".")[2], "type": node_type.id}
    return {**node, **({"config": config} if config else {})}


def _sample(field: Mapping[str, Any]) -> Any:
    if "default" in field:
        return field["default"]
    for values in ("enum", "x-enum"):
        if field.get(values):
            return field[values][0]
    kind: str | list[str] = field.get("type", "")
    return _SAMPLES.get(kind if isinstance(kind, str) else kind[0], "…")
