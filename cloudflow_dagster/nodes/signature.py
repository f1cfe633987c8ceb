"""Makes config schema, output schema and handler from a function's signature."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic_core import PydanticSerializationError, to_jsonable_python

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.call import Call
from cloudflow_dagster.nodes.docstring import Help, read_help
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.json_schema import plain_schema
from cloudflow_dagster.nodes.spec import Chosen, Handler

_PLAIN_WORDS = {"extra_forbidden": "there is no such field", "missing": "it is missing"}


class DeclarationError(Exception):
    """A node type is declared wrongly; says which function, and how to put it right."""


@dataclass(frozen=True)
class Signature:
    """What a declared function takes and gives.

    Attributes:
        function: Its keyword-only parameters are the fields of the config. A trailing underscore
            of a parameter's name is no part of the field's name (`from_` is the field `from`).
    """

    function: Callable[..., Any]

    @cached_property
    def help(self) -> Help:
        """What the docstring says."""
        return read_help(self.function.__doc__)

    @cached_property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """The parameters that are fields of the config, by the field's name."""
        return {
            p.name.rstrip("_"): p
            for p in inspect.signature(self.function).parameters.values()
            if p.kind is p.KEYWORD_ONLY
        }

    @cached_property
    def hints(self) -> dict[str, Any]:
        """The types of the fields, by parameter name, and the one of `return`."""
        wanted = {p.name for p in self.parameters.values()} | {"return"}
        written = {k: v for k, v in inspect.get_annotations(self.function).items() if k in wanted}
        if missing := wanted - written.keys() - {"return"}:
            raise DeclarationError(
                f"{self._name}: give the parameter `{min(missing)}` a type; "
                "the types are the schema of the config."
            )
        # Only the wanted ones are resolved: what else is in the signature may be known to type
        # checkers alone.
        holder = type("Hints", (), {"__annotations__": written})
        try:
            names = inspect.unwrap(self.function).__globals__
            return get_type_hints(holder, names, include_extras=True)
        except NameError as error:
            raise DeclarationError(
                f"{self._name}: {error}. The types of a node type's parameters must be imported "
                "when the module is, not only under `TYPE_CHECKING`."
            ) from error

    @cached_property
    def model(self) -> type[BaseModel]:
        """Validates a config. Its fields are prefixed: one may be named `json` or `copy`."""
        fields: dict[str, Any] = {}
        for name, parameter in self.parameters.items():
            required = parameter.default is parameter.empty
            options: dict[str, Any] = {"alias": name} | ({} if required else {"default": None})
            if text := self.help.arguments.get(parameter.name):
                options["description"] = text
            fields[f"field_{name}"] = (self.hints[parameter.name], Field(**options))
        config = ConfigDict(extra="forbid", hide_input_in_errors=True)
        try:
            return create_model(self.function.__name__, __config__=config, **fields)
        except PydanticUserError as error:
            raise self._wrong(error) from error

    @cached_property
    def config_schema(self) -> dict[str, Json]:
        """JSON Schema of the config, with the defaults of the signature."""
        schema = plain_schema(self.model.model_json_schema(), closed=True)
        properties = cast("dict[str, dict[str, Json]]", schema.setdefault("properties", {}))
        for name, parameter in self.parameters.items():
            properties[name].pop("default", None)
            default = parameter.default
            if default is parameter.empty or default is None:
                continue
            try:
                properties[name]["default"] = to_jsonable_python(default)
            except PydanticSerializationError:
                continue  # a marker of the function's own for "not given"
        return schema

    @cached_property
    def output(self) -> TypeAdapter[Any] | None:
        """Turns what the function returns into JSON; None if its type says nothing."""
        try:
            return adapter_of(self.hints.get("return", Any))
        except PydanticUserError as error:
            raise self._wrong(error) from error

    def arguments(self, config: dict[str, Any]) -> dict[str, Any]:
        """Return the keyword arguments for a config whose expressions have been evaluated.

        Raises:
            NodeError: `InvalidConfig`, with every field that does not fit.
        """
        try:
            checked = self.model.model_validate(config)
        except ValidationError as error:
            # Not chained: a traceback of pydantic's error could show the values.
            raise NodeError("InvalidConfig", problems(error), transient=False) from None
        return {
            parameter.name: getattr(checked, f"field_{name}")
            for name, parameter in self.parameters.items()
            if f"field_{name}" in checked.model_fields_set
        }

    def handler(self) -> Handler:
        """Return the function as a node type's handler; an `async def` is run to its end."""
        asynchronous = inspect.iscoroutinefunction(self.function)

        def handle(call: Call, config: dict[str, Any]) -> Json | Chosen:
            result = self.function(call, **self.arguments(config))
            if asynchronous:
                result = call.complete(result)
            return result if isinstance(result, Chosen) else self._as_json(result)

        return handle

    def _as_json(self, result: Any) -> Json:
        if self.output is None:
            return result
        try:
            return self.output.dump_python(result, mode="json", by_alias=True, warnings="error")
        except (PydanticSerializationError, ValueError) as error:
            raise NodeError(
                "InvalidOutput",
                f"`{self._name}` returned something that its return type does not allow: "
                f"{type(result).__name__}.",
                transient=False,
            ) from error

    def _wrong(self, error: PydanticUserError) -> DeclarationError:
        return DeclarationError(f"{self._name}: {str(error).partition(chr(10))[0]}")

    @property
    def _name(self) -> str:
        return f"{self.function.__module__}.{self.function.__qualname__}"


def adapter_of(hint: Any) -> TypeAdapter[Any] | None:
    """Return what makes JSON of values of this type; None if the type says nothing."""
    if hint is Any or hint is Chosen or Chosen in get_args(hint):
        return None
    return TypeAdapter(hint)


def problems(error: ValidationError) -> str:
    """Say which fields of a config do not fit and why, without their values."""
    sentences: list[str] = []
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        path = ".".join(str(part) for part in problem["loc"])
        text = _PLAIN_WORDS.get(problem["type"]) or problem["msg"]
        text = text.removeprefix("Value error, ").rstrip(".")
        sentences.append(f"`{path}`: {text}." if path else f"{text}.")
    return " ".join(sentences)
