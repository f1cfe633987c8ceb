"""Does a JSON value fit a JSON Schema, where some texts are only known later?"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from cloudflow_dagster.compiler.fitting import Misfit, Problem, find_misfits

VOLUME = {
    "type": "object",
    "properties": {
        "VolumeId": {"type": "string", "minLength": 1},
        "Size": {"type": "integer", "minimum": 1, "maximum": 16384},
        "Tags": {"type": "array", "items": {"$ref": "#/$defs/Tag"}},
        "Kind": {"enum": ["gp3", "io2"]},
    },
    "required": ["VolumeId"],
    "additionalProperties": False,
    "$defs": {
        "Tag": {
            "type": "object",
            "properties": {"Key": {"type": "string"}, "Value": {"type": "string"}},
            "required": ["Key"],
            "additionalProperties": False,
        }
    },
}


def leave_open(*_: object) -> Problem | None:
    return None


def sentences(value: Any, schema: Any) -> list[str]:
    return [
        " ".join(part for part in (p.message, p.suggestion) if part)
        for p in find_misfits(value, schema, leave_open)
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"VolumeId": "v"}, []),
        ({}, ["It needs `VolumeId`."]),
        ({"VolumeId": 7}, ["`VolumeId` must be text, not a whole number. Put it into quotes."]),
        ({"VolumeId": None}, ["`VolumeId` must be text, not null."]),
        ({"VolumeId": ""}, ["`VolumeId` must not be empty."]),
        (
            {"VolumeId": "v", "Size": "8"},
            ["`Size` must be a whole number, not text. Write it without quotes: `8`."],
        ),
        ({"VolumeId": "v", "Size": True}, ["`Size` must be a whole number, not true."]),
        ({"VolumeId": "v", "Size": 0}, ["`Size` must be at least 1, not 0."]),
        ({"VolumeId": "v", "Size": 8.5}, ["`Size` must be a whole number, not a number."]),
        ({"VolumeId": "v", "Size": 8.0}, []),
        (
            {"VolumeId": "v", "Kind": "gp4"},
            ['`Kind` must be one of `gp3`, `io2`, not "gp4". Did you mean `gp3`?'],
        ),
        ({"VolumId": "v"}, ["It has no field `VolumId`. Did you mean `VolumeId`?",
                            "It needs `VolumeId`."]),
        (
            {"VolumeId": "v", "Tags": {"Key": "a"}},
            ["`Tags` must be a list, not an object. Put it into brackets: a list of one."],
        ),
        ({"VolumeId": "v", "Tags": [{"Value": "a"}]}, ["`Tags[0]` needs `Key`."]),
        (
            {"VolumeId": "v", "Tags": [{"Key": "a", "value": "b"}]},
            ["`Tags[0]` has no field `value`. Did you mean `Value`?"],
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_plain_words(value: Any, expected: list[str]) -> None:
    assert sentences(value, VOLUME) == expected


@pytest.mark.parametrize(
    "value",
    [
        {"VolumeId": "{{ item.VolumeId }}", "Size": "{{ params.size }}"},
        {"VolumeId": "v", "Tags": "{{ nodes.tags }}"},
        {"VolumeId": "v", "Tags": ["{{ nodes.tags }}"]},
        {"VolumeId": "v", "Kind": "{{ params.kind }}"},
    ],
)
def test_a_text_with_an_expression_can_be_anything(value: Any) -> None:
    assert sentences(value, VOLUME) == []
    assert find_misfits(value, VOLUME) != [] or value["VolumeId"] != "v"


def test_a_literal_field_is_a_text_whatever_stands_in_it() -> None:
    schema = {"type": "object", "properties": {"code": {"type": "string", "x-literal": True}}}
    assert sentences({"code": "f'{{x}}'"}, schema) == []
    assert sentences({"code": 5}, schema) == [
        "`code` must be text, not a whole number. Put it into quotes."
    ]


def test_entries_that_may_be_dropped_do_not_count_as_too_few() -> None:
    schema = {"type": "array", "minItems": 2, "maxItems": 2}
    assert sentences(["{{ a }}"], schema) == []
    assert sentences([1], schema) == ["It needs at least 2 entries; it has 1."]
    assert sentences([1, 2, 3, "{{ a }}"], schema) == ["It may have at most 2 entries; it has 3."]


def test_of_several_choices_the_closest_is_explained() -> None:
    schema = {
        "anyOf": [
            {"type": "string"},
            {
                "type": "object",
                "properties": {"base64": {"type": "string"}},
                "required": ["base64"],
                "additionalProperties": False,
            },
        ]
    }
    assert sentences({"base46": "x"}, schema) == [
        "It has no field `base46`. Did you mean `base64`?",
        "It needs `base64`.",
    ]
    assert sentences("x", schema) == []


def test_what_a_schema_refers_to_and_is_not_there_asks_for_nothing() -> None:
    assert sentences(5, {"$ref": "https://example.com/schema.json"}) == []
    assert sentences(5, {"$ref": "#/$defs/nothing"}) == []
    assert sentences(5, {"$ref": "#"}) == []


def test_a_pattern_that_would_take_for_ever_does_not() -> None:
    schema = {"type": "string", "pattern": "^(a+)+$"}
    assert sentences("a" * 50 + "!", schema) == ["It does not have the form `^(a+)+$`."]
    assert sentences("a" * 50, schema) == []


def test_a_pattern_that_the_engine_cannot_do_asks_for_nothing() -> None:
    assert sentences("x", {"type": "string", "pattern": r"(?<=a)b"}) == []


def test_a_schema_that_branches_without_end_is_given_up() -> None:
    endless = {"anyOf": [{"$ref": "#"}, {"$ref": "#"}, {"type": "integer"}]}
    assert find_misfits("x", endless) == []
    doubling = {
        "anyOf": [
            {"type": "array", "items": {"$ref": "#"}},
            {"type": "array", "items": {"$ref": "#"}, "minItems": 1},
        ]
    }
    deep: Any = "x"
    for _ in range(90):
        deep = [deep]
    assert find_misfits(deep, doubling) is not None


SCALARS = (
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-5, 5) | st.text("ab{", max_size=3)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=8,
)
TYPES = st.sampled_from(["string", "integer", "number", "boolean", "null", "array", "object"])


def schemas() -> st.SearchStrategy[Any]:
    leaf = st.fixed_dictionaries(
        {},
        optional={
            "type": TYPES | st.lists(TYPES, min_size=1, max_size=3, unique=True),
            "enum": st.lists(SCALARS, min_size=1, max_size=3),
            "minimum": st.integers(-3, 3),
            "exclusiveMaximum": st.integers(-3, 3),
            "minLength": st.integers(0, 2),
            "maxLength": st.integers(0, 2),
            "pattern": st.sampled_from(["a", "^b", "a$"]),
            "multipleOf": st.integers(1, 3),
        },
    )

    def extend(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        several = st.lists(inner, min_size=1, max_size=3)
        return st.fixed_dictionaries(
            {},
            optional={
                "type": TYPES,
                "properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
                "patternProperties": st.dictionaries(st.sampled_from(["a", "^b"]), inner),
                "additionalProperties": inner | st.booleans(),
                "required": st.lists(st.sampled_from("abc"), unique=True, max_size=2),
                "items": inner | st.booleans(),
                "prefixItems": several,
                "minItems": st.integers(0, 2),
                "maxItems": st.integers(0, 2),
                "minProperties": st.integers(0, 2),
                "uniqueItems": st.booleans(),
                "allOf": several,
                "anyOf": several,
                "oneOf": several,
                "not": inner,
                "if": inner,
                "then": inner,
                "else": inner,
            },
        )

    return st.recursive(leaf, extend, max_leaves=6)


@settings(max_examples=400, deadline=None)
@given(VALUES, schemas())
def test_it_agrees_with_jsonschema(value: Any, schema: Any) -> None:
    validator: Any = Draft202012Validator(schema)
    expected = validator.is_valid(value)
    assert (not find_misfits(value, schema)) == expected, (value, schema)


def test_missing_unknown_and_misfitting_are_told_apart() -> None:
    kinds = [p.misfit for p in find_misfits({"Size": "x", "Sise": 1}, VOLUME)]
    assert kinds == [Misfit.VALUE, Misfit.UNKNOWN, Misfit.MISSING]
