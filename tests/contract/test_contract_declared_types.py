"""Rules that every declared node type keeps."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from cloudflow_dagster.nodes.declare import declaration_of
from cloudflow_dagster.nodes.declared import DeclaredNodes
from cloudflow_dagster.nodes.spec import Access, Behaviour, Carries, Kind, NodeType
from cloudflow_dagster.providers import FAMILIES

CATEGORIES = {"triggers", "logic", "flows", "data", "web"}
SOURCE = DeclaredNodes("cloudflow_dagster.providers", FAMILIES)
TYPES = {id: found for id in sorted(SOURCE.ids()) if (found := SOURCE.get(id))}
every = pytest.mark.parametrize("declared", TYPES.values(), ids=TYPES)


def test_every_id_that_is_listed_is_found_by_it() -> None:
    assert set(TYPES) == set(SOURCE.ids())
    assert all(id == declared.id for id, declared in TYPES.items())
    assert len(TYPES) >= 11


@every
def test_the_id_is_the_path_of_its_module(declared: NodeType) -> None:
    from importlib import import_module

    path = ".".join(f"{p}_" if p == "if" else p for p in declared.id.split("."))
    module = import_module(f"cloudflow_dagster.providers.{path}")
    ids = [found.id for value in vars(module).values() if (found := declaration_of(value))]
    assert ids == [declared.id]


@every
def test_it_can_be_shown(declared: NodeType) -> None:
    first = declared.description.split("\n\n")[0].replace("\n", " ")
    assert first.endswith(".")
    assert len(first) <= 120
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", declared.icon)
    assert re.fullmatch(r"#[0-9a-f]{6}", declared.color)
    assert declared.category in CATEGORIES
    assert declared.label
    assert len(declared.label) <= 24


@every
def test_it_says_what_it_does_to_what_is_there(declared: NodeType) -> None:
    services = {"generic.slack.message", "generic.github.dispatch", "generic.github.issue"}
    services.add("generic.mail.send")
    changes = {"generic.http.request", "generic.sql.query", "flow.call", *services}
    assert declared.access is (Access.CHANGE if declared.id in changes else Access.READ)
    assert declared.destructive_for({}) is None


@every
def test_its_schemas_are_json_schemas_and_plain(declared: NodeType) -> None:
    Draft202012Validator.check_schema(declared.config_schema)
    assert declared.config_schema["type"] == "object"
    assert declared.config_schema["additionalProperties"] is False
    if declared.output_schema is not None:
        Draft202012Validator.check_schema(declared.output_schema)
    text = f"{declared.config_schema} {declared.output_schema}"
    assert "'title': '" not in text  # the keyword; a field may be called so
    assert "'$ref'" not in text


@every
def test_every_field_is_described(declared: NodeType) -> None:
    for name, field in declared.config_schema.get("properties", {}).items():
        assert field.get("description"), name


@every
def test_defaults_fit_their_fields(declared: NodeType) -> None:
    for name, field in declared.config_schema.get("properties", {}).items():
        if "default" in field:
            Draft202012Validator(field).validate(field["default"])
            assert name not in declared.config_schema.get("required", [])


@every
def test_its_ports_are_those_of_its_kind(declared: NodeType) -> None:
    names = [port.name for port in declared.outputs]
    assert len(set(names)) == len(names)
    if declared.kind is Kind.TRIGGER:
        assert names == ["out"]
        assert declared.inputs == ()
        assert declared.sample is not None
    else:
        assert names[-1] == "error"
        assert names.count("error") == 1
        assert declared.outputs[-1].carries is Carries.ERROR
        assert [port.name for port in declared.inputs] == ["in"]


@every
def test_it_works_or_the_engine_does_it(declared: NodeType) -> None:
    assert (declared.handler is None) == (declared.kind is Kind.TRIGGER)
    if declared.kind is Kind.CONDITION:
        assert declared.behaviour is Behaviour.PLAIN
        assert all(p.carries is Carries.BRANCH for p in declared.outputs[:-1])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)


@every
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_no_config_however_odd_breaks_its_checks(declared: NodeType, data: st.DataObject) -> None:
    fields = list(declared.config_schema.get("properties", {}))
    config: dict[str, Any] = data.draw(st.dictionaries(st.sampled_from(fields), JSON))
    nested = {
        "cases": {"name": JSON, "when": JSON},
        "auth": {
            "type": st.sampled_from(["basic", "bearer", "query"]),
            "name": JSON,
            "token": JSON,
        },
        "paginate": {"by": st.sampled_from(["cursor", "page"]), "next": JSON, "items": JSON},
    }
    for name, shape in nested.items():
        if name in config and data.draw(st.booleans()):
            drawn = data.draw(st.fixed_dictionaries({}, optional=shape))
            config[name] = [drawn] if name == "cases" else drawn
    ports = declared.outputs_for(config)
    assert len({port.name for port in ports}) == len(ports)
    if declared.check_config is not None:
        for path, sentence in declared.check_config(config):
            assert isinstance(path, tuple)
            assert sentence.rstrip().endswith((".", "?", "!"))
