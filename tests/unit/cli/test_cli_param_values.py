"""How a text on the command line is read as a param's value."""

from __future__ import annotations

from typing import Any

import pytest

from cloudflow_dagster.cli.param_values import UnreadableValueError, read_value, takes


def read(schema: Any, text: str, **more: Any) -> Any:
    return read_value({"type": "object", "properties": {"p": schema}, **more}, "p", text)


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        ({"type": "string"}, "7", "7"),
        ({"type": "string"}, '"7"', '"7"'),
        ({"type": "integer"}, "7", 7),
        ({"type": "number"}, "1e3", 1000.0),
        ({"type": "boolean"}, "false", False),
        ({"type": "array"}, "[1]", [1]),
        ({"type": "object"}, "{}", {}),
        ({"type": ["string", "null"]}, "7", "7"),
        ({"type": ["string", "null"]}, "null", None),
        ({"type": ["string", "integer"]}, "7", 7),
        ({"enum": ["1", "2"]}, "1", "1"),
        ({"enum": [1, 2]}, "1", 1),
        ({}, "7", 7),
        ({}, "a=b", "a=b"),
        (True, "a", "a"),
        ({"$ref": "#/$defs/text"}, "7", "7"),
    ],
)
def test_text_stays_text_and_the_rest_is_json(schema: Any, text: str, value: Any) -> None:
    assert read(schema, text, **{"$defs": {"text": {"type": "string"}}}) == value


def test_what_cannot_be_read_says_what_can() -> None:
    with pytest.raises(UnreadableValueError, match="of type integer"):
        read({"type": "integer"}, "many")


@pytest.mark.parametrize(
    ("more", "open_"),
    [
        ({}, False),
        ({"additionalProperties": False}, False),
        ({"additionalProperties": True}, True),
        ({"additionalProperties": {"type": "integer"}}, True),
        ({"patternProperties": {"^x": {}}}, True),
    ],
)
def test_which_names_a_flow_takes(more: dict[str, Any], open_: bool) -> None:
    schema = {"type": "object", "properties": {"known": {}}, **more}

    assert takes(schema, "known")
    assert takes(schema, "other") is open_


def test_a_param_that_the_schema_does_not_name_is_read_by_what_lets_it_in() -> None:
    schema = {"type": "object", "additionalProperties": {"type": "string"}}

    assert read_value(schema, "other", "7") == "7"
