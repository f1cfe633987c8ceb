"""Declares the properties of a resource type by a class with a few fields.

    class Queue(ResourceFields):
        '''A queue.'''

        name: Annotated[str, FIXED, Field(description="What it is called.")]
        delay: Annotated[int | None, Field(description="Seconds until a message is seen.")] = None
        url: Annotated[str | None, GIVEN, Field(description="Its address.")] = None

A field whose default is None is left as it is where the config does not mention it. Any other
default counts as written.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import Enum
from itertools import combinations
from typing import Any, ClassVar, Self, cast

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.difference import Path
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.json_schema import plain_schema
from cloudflow_dagster.nodes.resource import IDENTIFIER
from cloudflow_dagster.nodes.signature import problems

_MOST_UNSURE = 6
"""Fields that are tried with and without a value; any more are taken to have one."""


class Mark(Enum):
    """What is special about a field."""

    FIXED = "fixed"
    """It can only be given when the resource is created."""
    GIVEN = "given"
    """The provider sets it; the config cannot."""
    HIDDEN = "hidden"
    """It is never given back, so that no difference can be seen."""


FIXED, GIVEN, HIDDEN = Mark.FIXED, Mark.GIVEN, Mark.HIDDEN


class ResourceFields(BaseModel):
    """The properties of a type of resources, as its author writes them and as they are given back.

    Attributes:
        noun: What a resource is called in messages.
        has_identifier: Whether `identifier` in a config names one that is there already.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    noun: ClassVar[str]
    has_identifier: ClassVar[bool] = False

    @classmethod
    def clash(cls, given: Collection[str]) -> str | None:
        """Return why the fields that are given do not go together, judged by their names alone.

        A check of a flow asks this too, which does not know the values of expressions.
        """
        return None

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        if why := self.clash([name for name, value in self if value is not None]):
            raise ValueError(why)
        return self

    @classmethod
    def judged(cls, config: Mapping[str, Json]) -> list[tuple[tuple[str | int, ...], str]]:
        """Return what of a config a schema cannot say is wrong; `check_config`."""
        given = [name for name, value in config.items() if value is not None]
        why = cls.clash(given)
        # An expression may give null: it is refused now only if it would be refused in any case.
        unsure = [name for name in given if _is_expression(config[name])][:_MOST_UNSURE]
        sure = [name for name in given if name not in unsure]
        fewer = (some for count in range(len(unsure)) for some in combinations(unsure, count))
        if not all(cls.clash([*sure, *some]) for some in fewer):
            return []
        return [((), f"{why[0].upper()}{why[1:]}.")] if why else []

    @classmethod
    def paths(cls, mark: Mark) -> tuple[Path, ...]:
        """Return the paths of the fields that have a mark."""
        return tuple((name,) for name, field in cls.model_fields.items() if mark in field.metadata)

    @classmethod
    def read_config(cls, config: Mapping[str, Json]) -> dict[str, Json]:
        """Return a config in the form in which properties are given back, defaults included.

        Raises:
            NodeError: `InvalidConfig`, with every field that does not fit.
        """
        given = {name: value for name, value in config.items() if name != IDENTIFIER}
        try:
            made = cls.model_validate(given)
        except ValidationError as error:
            # Not chained: a traceback of pydantic's error could show the values.
            raise NodeError("InvalidConfig", problems(error), transient=False) from None
        return made.model_dump(mode="json", exclude_none=True)

    @classmethod
    def config_schema(cls) -> dict[str, Json]:
        """Return the JSON Schema of what an author gives."""
        schema = cls._schema("validation")
        properties = cast("dict[str, Json]", schema["properties"])
        for (name,) in cls.paths(GIVEN):
            del properties[name]
        if cls.has_identifier:
            properties[IDENTIFIER] = {
                "type": "string",
                "minLength": 1,
                "description": f"Which {cls.noun} is meant, of those that are there already.",
            }
        return schema

    @classmethod
    def output_schema(cls) -> dict[str, Json]:
        """Return the JSON Schema of what is given back."""
        schema = cls._schema("serialization")
        properties = cast("dict[str, Json]", schema["properties"])
        for (name,) in cls.paths(HIDDEN):
            del properties[name]
        properties[IDENTIFIER] = {
            "type": "string",
            "description": "What tells it from all others of its type.",
        }
        schema.pop("required", None)
        return schema

    @classmethod
    def _schema(cls, mode: Any) -> dict[str, Json]:
        schema = plain_schema(cls.model_json_schema(mode=mode), closed=True)
        schema.pop("description", None)
        return schema


def _is_expression(value: Json) -> bool:
    return isinstance(value, str) and value.startswith("{{") and value.endswith("}}")
