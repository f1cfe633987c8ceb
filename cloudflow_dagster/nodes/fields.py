"""Types for the parameters of declared node types that say how a field is edited or evaluated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias, cast

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

Condition: TypeAlias = Annotated[
    Callable[[], bool],
    WithJsonSchema({"type": ["string", "boolean"], "x-lazy": "condition"}),
]
"""A condition that is evaluated when the handler calls it, and not at all if it does not."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Adds one key to the JSON Schema of the type that it annotates."""

    key: str

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler, /
    ) -> JsonSchemaValue:
        return {**handler(schema), self.key: True}


MULTILINE = Mark("x-multiline")

Multiline: TypeAlias = Annotated[str, MULTILINE]
"""Text that is edited in a text area."""

LiteralText: TypeAlias = Annotated[str, Mark("x-literal")]
"""Text in which `{{` means nothing: it reaches the handler as it stands in the flow."""

Lines: TypeAlias = Annotated[
    list[str],
    BeforeValidator(lambda value: cast("Any", [value] if isinstance(value, str) else value)),
    WithJsonSchema({"type": ["string", "array"], "items": {"type": "string"}, "x-multiline": True}),
    Field(min_length=1),
]
"""A text, or a list of lines."""
