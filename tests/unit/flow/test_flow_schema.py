from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ValidationError

from cloudflow_dagster.flow import model
from cloudflow_dagster.flow.model import Flow
from cloudflow_dagster.flow.schema import flow_schema
from tests.unit.flow.written_flows import flows, unhurried

VALIDATOR = Draft202012Validator(flow_schema())


def reader_takes(flow: Any) -> bool:
    try:
        Flow.model_validate(flow)
    except ValidationError:
        return False
    return True


def test_it_is_a_json_schema_of_2020_12() -> None:
    Draft202012Validator.check_schema(flow_schema())
    assert flow_schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert flow_schema()["$id"] == "urn:cloudflow:flow:1"


def test_a_truth_value_is_not_a_version() -> None:
    flow = {"version": True, "nodes": []}
    assert not reader_takes(flow)
    assert not Draft202012Validator(flow_schema()).is_valid(flow)


@unhurried
@given(flows())
def test_it_allows_every_flow_of_the_right_shape(flow: Any) -> None:
    assert VALIDATOR.is_valid(flow)


@unhurried
@given(flows(), st.data())
def test_it_agrees_with_the_reader_on_flows_with_a_strange_value(
    flow: Any, data: st.DataObject
) -> None:
    flow = copy.deepcopy(flow)
    flow.pop("params", None)  # the schema says more of it than the model does
    part = data.draw(st.sampled_from([flow, *flow["nodes"], *flow.get("edges", [])]))
    keys = [*part, "unknown", "retry", "timeout", "disabled", "position"]
    strange = [None, True, 0, -1, 1.5, "", "a b", "a__b", [], {}, [0], {"x": 0}, ["a"]]
    part[data.draw(st.sampled_from(keys))] = data.draw(st.sampled_from(strange))
    assert VALIDATOR.is_valid(flow) == reader_takes(flow)


@pytest.mark.parametrize(
    "part",
    [v for v in vars(model).values() if isinstance(v, type) and issubclass(v, model.Part)],
    ids=lambda part: part.__name__,
)
def test_every_field_is_described_for_editors(part: type[BaseModel]) -> None:
    for name, field in part.model_fields.items():
        assert field.description, f"{part.__name__}.{name} has no docstring"


def test_it_shows_nothing_of_how_it_is_made() -> None:
    schema = flow_schema()
    node = schema["$defs"]["Node"]
    assert "title" not in node["properties"]["on_error"]
    assert node["properties"]["label"] == {
        "type": ["string", "null"],
        "description": "What people read instead of the id.",
    }
    assert "$schema" in schema["properties"]
    assert schema["required"] == ["version", "nodes"]
