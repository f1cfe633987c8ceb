"""Declaring node types by functions."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.declare import (
    DeclarationError,
    action,
    condition,
    declaration_of,
    trigger,
)
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.fields import MULTILINE, Condition, LiteralText, Multiline
from cloudflow_dagster.nodes.spec import Carries, Chosen, Kind, NodeType, Port
from tests.fixtures.calls import WorkingCall

if TYPE_CHECKING:
    from cloudflow_dagster.nodes.call import Call

NONE: Any = object()


class Greeting(TypedDict):
    """What was said."""

    text: Annotated[str, Field(description="The words.")]
    when: datetime
    error: NotRequired[str]


class Place(BaseModel):
    city: str
    near: Place | None = None


class Case(TypedDict):
    name: str
    when: Condition


@action("acme.greet", label="Greet", icon="hand", category="messaging")
def greet(
    call: Call,
    *,
    name: Annotated[str, Field(max_length=5)],
    mood: Literal["kind", "gruff"] = "kind",
    from_: Place | None = None,
    json: Json = NONE,
    note: Multiline = "",
    code: Annotated[LiteralText, MULTILINE] = "",
) -> Greeting:
    """Greets somebody. Kindly.

    In Markdown.

    Args:
        call: Not a field.
        name: Who it is
            that is greeted.
        mood: How.

    Returns:
        A greeting.
    """
    text = f"{mood} {name} {json is NONE} {from_ and from_.city}"
    return {"text": text, "when": datetime(2026, 1, 2, tzinfo=UTC)}


@condition("acme.first", label="First", icon="split", ports=("yes", "no"))
def first(call: Call, *, cases: list[Case]) -> Chosen:
    """Goes on at `yes` if any case holds."""
    return Chosen("yes" if any(case["when"]() for case in cases) else "no")


@trigger("acme.rang", label="Rang", icon="bell", sample={"by": "nobody"})
def rang(by: str, *, door: str = "front") -> dict[str, str]:
    """Starts when somebody rings."""
    return {"by": by, "door": door}


def node_type(function: object) -> NodeType:
    declared = declaration_of(function)
    assert declared is not None
    return declared.node_type


def run(function: object, config: dict[str, Any]) -> Any:
    handler = node_type(function).handler
    assert handler is not None
    return handler(NONE, config)


def test_a_declared_function_is_still_the_function() -> None:
    assert greet(NONE, name="x")["text"] == "kind x True None"


def test_the_signature_is_the_schema_of_the_config() -> None:
    schema = node_type(greet).config_schema
    assert list(schema["properties"]) == ["name", "mood", "from", "json", "note", "code"]
    assert schema["required"] == ["name"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["name"] == {
        "type": "string",
        "maxLength": 5,
        "description": "Who it is that is greeted.",
    }
    assert schema["properties"]["mood"] == {
        "type": "string",
        "enum": ["kind", "gruff"],
        "default": "kind",
        "description": "How.",
    }


def test_markers_reach_the_schema() -> None:
    properties = node_type(greet).config_schema["properties"]
    assert properties["note"]["x-multiline"] is True
    assert "x-literal" not in properties["note"]
    assert properties["code"]["x-literal"] is True
    assert properties["code"]["x-multiline"] is True
    case = node_type(first).config_schema["properties"]["cases"]["items"]
    assert case["properties"]["when"] == {"type": ["string", "boolean"], "x-lazy": "condition"}


def test_a_schema_that_contains_itself_keeps_its_reference() -> None:
    schema = node_type(greet).config_schema
    assert schema["properties"]["from"]["properties"]["city"] == {"type": "string"}
    assert "Place" in schema["$defs"]


def test_the_docstring_is_the_help() -> None:
    assert node_type(greet).description == "Greets somebody. Kindly.\n\nIn Markdown."


def test_the_return_type_gives_output_schema_and_ports() -> None:
    declared = node_type(greet)
    assert declared.output_schema is not None
    assert declared.output_schema["additionalProperties"] is False
    assert [(p.name, p.carries) for p in declared.outputs] == [
        ("out", Carries.OUTPUT),
        ("text", Carries.FIELD),
        ("when", Carries.FIELD),
        ("error", Carries.ERROR),
    ]
    assert declared.outputs[0].schema == declared.output_schema
    assert declared.outputs[1] == Port(
        "text", Carries.FIELD, {"type": "string", "description": "The words."}, "The words."
    )


def test_the_result_becomes_json() -> None:
    assert run(greet, {"name": "x"}) == {
        "text": "kind x True None",
        "when": "2026-01-02T00:00:00Z",
    }


def test_an_async_function_is_run_to_its_end(tmp_path: Path) -> None:
    @action("test.later", label="Later", icon="clock", category="test")
    async def later(call: Call, *, name: str) -> Greeting:
        """Greets later."""
        await asyncio.sleep(0)
        return {"text": f"{call.node} {name}", "when": datetime(2026, 1, 1, tzinfo=UTC)}

    declared = node_type(later)
    assert {"text", "when"} <= {port.name for port in declared.outputs}
    assert declared.handler is not None
    given = declared.handler(WorkingCall(tmp_path), {"name": "x"})
    assert given == {"text": "work x", "when": "2026-01-01T00:00:00Z"}


def test_null_is_not_the_same_as_nothing() -> None:
    assert run(greet, {"name": "x", "json": None})["text"] == "kind x False None"


def test_a_parameter_with_an_underscore_is_a_field_without() -> None:
    assert run(greet, {"name": "x", "from": {"city": "Ulm"}})["text"].endswith("Ulm")


def test_config_that_does_not_fit_names_every_field_and_no_value() -> None:
    with pytest.raises(NodeError) as caught:
        run(greet, {"name": "hunter2", "mood": "hunter2", "hunger": 1})
    assert caught.value.code == "InvalidConfig"
    assert caught.value.transient is False
    for field in ("`name`", "`mood`", "`hunger`: there is no such field"):
        assert field in caught.value.message
    assert "hunter2" not in caught.value.message
    assert caught.value.__suppress_context__
    with pytest.raises(NodeError, match="`name`: it is missing"):
        run(greet, {})


def test_a_result_that_its_type_does_not_allow_is_an_error() -> None:
    @action("acme.count", label="Count", icon="hash", category="data")
    def count(call: object) -> int:
        """Counts."""
        wrong: Any = "three"
        return wrong

    with pytest.raises(NodeError, match="InvalidOutput"):
        run(count, {})


def test_conditions_are_called_only_when_the_handler_does() -> None:
    asked: list[str] = []

    def holds(name: str, value: bool) -> Any:
        return {"name": name, "when": lambda: asked.append(name) or value}

    cases = [holds("a", False), holds("b", True), holds("c", True)]
    assert run(first, {"cases": cases}) == Chosen("yes")
    assert asked == ["a", "b"]


def test_a_condition_has_its_ports_and_error() -> None:
    declared = node_type(first)
    assert declared.kind is Kind.CONDITION
    assert [p.name for p in declared.outputs] == ["yes", "no", "error"]
    assert declared.outputs[0].carries is Carries.BRANCH
    assert declared.output_schema is None
    assert declared.secrets is False


def test_a_trigger_has_params_and_gives_an_event() -> None:
    declared = node_type(rang)
    assert list(declared.config_schema["properties"]) == ["door", "params"]
    assert declared.inputs == ()
    assert [p.name for p in declared.outputs] == ["out"]
    assert declared.output_schema is not None
    assert list(declared.output_schema["properties"]) == ["type", "time", "payload"]
    assert declared.sample == {"by": "nobody"}
    assert declared.handler is None


def test_declaring_makes_nothing_until_it_is_asked_for() -> None:
    @action("acme.broken", label="Broken", icon="bug", category="data")
    def broken(call: object, *, x) -> None:
        """Has a field without a type."""

    with pytest.raises(DeclarationError, match="give the parameter `x` a type"):
        node_type(broken)


def test_what_is_declared_wrongly_says_how_to_put_it_right() -> None:
    def silent(call: object) -> None: ...

    def unknown(call: object, *, x: Missing) -> None:  # noqa: F821 - what is tested
        """Names a type that is not there."""

    kwargs: Any = {"label": "X", "icon": "x", "category": "data"}
    with pytest.raises(DeclarationError, match="docstring"):
        node_type(action("acme.silent", **kwargs)(silent))
    with pytest.raises(DeclarationError, match=r"`Missing`|'Missing'"):
        node_type(action("acme.unknown", **kwargs)(unknown))
    with pytest.raises(DeclarationError, match="`Greet` cannot be the id"):
        action("Greet", **kwargs)
