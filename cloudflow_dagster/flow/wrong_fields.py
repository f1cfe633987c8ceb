"""Turn what pydantic finds wrong with a flow into sentences for its author."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from pydantic import BaseModel

from cloudflow_dagster.diagnostics.model import Diagnostics, Location, Rule, did_you_mean
from cloudflow_dagster.diagnostics.wording import shortened, shown
from cloudflow_dagster.flow import shape
from cloudflow_dagster.flow.identifier import ID_IN_WORDS, identifier_from
from cloudflow_dagster.flow.model import (
    Compensate,
    Concurrency,
    Edge,
    Flow,
    Json,
    Node,
    Position,
    Retry,
    Until,
)

_PARTS: dict[str, type[BaseModel]] = {
    "nodes": Node,
    "edges": Edge,
    "retry": Retry,
    "until": Until,
    "compensate": Compensate,
    "position": Position,
    "concurrency": Concurrency,
}
_TYPES = {
    "string_type": "a text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "`true` or `false`",
    "dict_type": "an object",
    "model_type": "an object",
    "tuple_type": "a list",
}
_RANGES = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}
# What the same thing is called in other tools.
_OTHER_NAMES: dict[type[BaseModel], dict[str, str]] = {
    Flow: {
        "steps": "nodes",
        "tasks": "nodes",
        "states": "nodes",
        "connections": "edges",
        "links": "edges",
        "inputs": "params",
        "parameters": "params",
        "title": "name",
    },
    Node: {
        "parameters": "config",
        "params": "config",
        "inputs": "config",
        "with": "config",
        "name": "label",
        "title": "label",
        "description": "notes",
        "retries": "retry",
        "uses": "type",
    },
    Edge: {
        "from": "source",
        "to": "target",
        "from_port": "source_port",
        "to_port": "target_port",
        "sourceHandle": "source_port",
        "targetHandle": "target_port",
    },
}
_ORDER = {"depends_on", "dependsOn", "needs", "after", "next", "then", "run_after", "runAfter"}
_LONGEST_NAME = 100
_ECHOES = 1000
"""Of so many wrong names it is asked what they mean, which takes 0.1 ms each."""


def path_in_words(parts: tuple[str | int, ...]) -> str:
    """Return how messages name a value: `nodes[2].retry.max_attempts`; the flow if no parts."""
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return f"`{shortened(text.removeprefix('.'), 200)}`" if text else "The flow"


def explain(error: Any, root: Location, found: Diagnostics) -> None:
    """Record one of pydantic's errors.

    Args:
        error: One of `ValidationError.errors()`.
        root: The flow that was validated.
        found: Takes the diagnostic.
    """
    loc: tuple[str | int, ...] = error["loc"]
    at, value, context = root.at(*loc), error["input"], error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            _unknown_field(loc, root, found)
        case "missing":
            _missing_field(loc, root, found)
        case "string_pattern_mismatch" | "string_too_long":
            bad_id(at, value, found)
        case "literal_error":
            _no_choice(at, value, context["expected"], found)
        case kind if kind in _TYPES:
            message = f"{path_in_words(loc)} must be {_TYPES[kind]}, not {shown(value)}."
            found.add(shape.WRONG_TYPE, at, message, _converted(value, kind))
        case kind if kind in _RANGES:
            words, limit = _RANGES[kind]
            message = (
                f"{path_in_words(loc)} must be {words} {context[limit]:g}, not {shown(value)}."
            )
            found.add(shape.WRONG_VALUE, at, message)
        case _:
            message = f"{path_in_words(loc)} cannot be used: {error['msg']}."
            found.add(shape.WRONG_VALUE, at, message)


def bad_id(at: Location, value: str, found: Diagnostics, rule: Rule = shape.BAD_ID) -> None:
    """Record that a text cannot be an id, with one that can."""
    path = path_in_words(at.pointer.parts)
    close = identifier_from(value)
    suggestion = f"Write `{close}`. {ID_IN_WORDS}" if close else ID_IN_WORDS
    found.add(rule, at, f"{path} is {shown(value)}, which cannot be an id.", suggestion)


def _part_at(loc: tuple[str | int, ...]) -> type[BaseModel]:
    names = [part for part in loc if isinstance(part, str)]
    return _PARTS[names[-1]] if names else Flow


def _fields(part: type[BaseModel]) -> list[str]:
    return [info.alias or name for name, info in part.model_fields.items()]


def without_echoes(errors: Iterable[Any]) -> list[Any]:
    """Return pydantic's errors without fields that are missing only because of a wrong name."""
    listed = list(errors)
    meant: set[tuple[str | int, ...]] = set()
    wrong = [error["loc"] for error in listed if error["type"] == "extra_forbidden"]
    for *above, name in wrong[:_ECHOES]:
        if field := _name_meant(str(name), _part_at(tuple(above))):
            meant.add((*above, field))
    return [e for e in listed if e["type"] != "missing" or e["loc"] not in meant]


def _unknown_field(loc: tuple[str | int, ...], root: Location, found: Diagnostics) -> None:
    *above, last = loc
    name, part, at = str(last), _part_at(tuple(above)), root.at(*above)
    if field := _name_meant(name, part):
        suggestion = f"Did you mean `{field}`?"
    elif part is Node and name in _ORDER:
        suggestion = "What runs after what stands in the `edges` of the flow."
    elif part is Node:
        suggestion = "What configures a node stands in its `config`."
    else:
        suggestion = f"It has {', '.join(f'`{field}`' for field in _fields(part))}."
    if len(name) <= _LONGEST_NAME:
        at = replace(at.at(name), on_key=True)
    message = f"{path_in_words(tuple(above))} has no field `{shortened(name)}`."
    found.add(shape.UNKNOWN_FIELD, at, message, suggestion)


@lru_cache(maxsize=1000)
def _name_meant(name: str, part: type[BaseModel]) -> str | None:
    if len(name) > _LONGEST_NAME:
        return None
    close = get_close_matches(name, _fields(part), n=1)
    return _OTHER_NAMES.get(part, {}).get(name) or (close[0] if close else None)


def _missing_field(loc: tuple[str | int, ...], root: Location, found: Diagnostics) -> None:
    *above, name = loc
    hints: dict[tuple[str | int, ...], str] = {
        ("version",): 'Write `"version": 1`.',
        ("nodes",): "Write the list of nodes, which may be empty.",
    }
    suggestion = hints.get(loc)
    if suggestion is None:
        info = _part_at(tuple(above)).model_fields[str(name)]
        suggestion = f"`{name}`: {info.description}" if info.description else None
    message = f"{path_in_words(tuple(above))} lacks `{name}`."
    found.add(shape.MISSING_FIELD, root.at(*above), message, suggestion)


def _no_choice(at: Location, value: Json, expected: str, found: Diagnostics) -> None:
    choices = re.findall(r"'([^']*)'", expected)
    if isinstance(value, str):
        close = did_you_mean(value.lower(), choices) if len(value) <= _LONGEST_NAME else None
        rule = shape.WRONG_VALUE
    else:
        close, rule = None, shape.WRONG_TYPE
    words = expected.replace("'", "`")
    path = path_in_words(at.pointer.parts)
    found.add(rule, at, f"{path} must be {words}, not {shown(value)}.", close)


def _converted(value: Json, kind: str) -> str | None:
    """Suggest the value of the right type that was most likely meant."""
    if not isinstance(value, str):
        return None
    if "{{" in value and kind != "tuple_type":
        return "Expressions are for `config`; this value is fixed when the flow is loaded."
    number = re.fullmatch(r"-?(0|[1-9]\d{0,15})(\.\d{1,15})?", value.strip())
    if number and (kind == "float_type" or (kind == "int_type" and not number.group(2))):
        return f"Write {number.group()} without quotes."
    if kind == "bool_type" and value.strip().lower() in {"true", "false"}:
        return f"Write {value.strip().lower()} without quotes."
    if kind == "tuple_type" and len(value) <= _LONGEST_NAME:
        return f"Write `[{shown(value)}]`."
    return None
