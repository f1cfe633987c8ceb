"""Which fields of a curated node type name what IAM's policies can be limited to.

    Bucket = Annotated[str, one("bucket", "name"), ONE, Names("BucketName")]

A field without the mark names nothing: the queue for dead letters is not the one that is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast, get_args, get_type_hints

from pydantic import BaseModel, BeforeValidator

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.signature import Signature

_HIDDEN = "{{ unknown }}"
"""Stands for what is not known before it runs, as an expression does."""


@dataclass(frozen=True, slots=True)
class Names:
    """Marks a field whose text is a part of the ARNs that the node's calls are about, or an ARN.

    Attributes:
        what: The variable of the ARN, as IAM's list calls it (`QueueName`), or the API's own name
            of a field that means the same (`RoleArn`).
        made_up: Whether the node makes up a text where the field is not given.
    """

    what: str
    made_up: bool = False


@dataclass(frozen=True, slots=True)
class _Field:
    """A field that names something.

    Attributes:
        what: What.
        default: Its text where the config does not mention it; an expression where that is made up.
        read: What its type does with what is given, one after the other: finds the id in an object.
    """

    what: str
    default: Json
    read: tuple[BeforeValidator, ...]

    def texts(self, given: Json) -> list[Json]:
        """Return the texts that a value stands for."""
        try:
            for each in self.read:
                given = cast("Any", each.func)(given)
        except ValueError:  # it is an object without what is asked for, or may become one
            return [_HIDDEN]
        listed = cast("list[Json]", given) if isinstance(given, list) else [given]
        return [each if isinstance(each, str) else _HIDDEN for each in listed]


class Naming:
    """The fields of one node type that name something.

    Args:
        read: Yields (field, type, default) for each field of the config.
    """

    def __init__(self, read: Callable[[], Iterator[tuple[str, Any, Any]]]) -> None:
        self._read = read

    @cached_property
    def fields(self) -> Mapping[str, _Field]:
        """The fields that have the mark, by their names."""
        found: dict[str, _Field] = {}
        for name, type, default in self._read():
            said = _said_of(type)
            mark = next((each for each in said if isinstance(each, Names)), None)
            if mark is not None:
                found[name] = _Field(
                    mark.what,
                    _HIDDEN if mark.made_up else default if isinstance(default, str) else None,
                    tuple(each for each in said if isinstance(each, BeforeValidator)),
                )
        return found

    def __call__(self, config: Mapping[str, Json]) -> dict[str, Json]:
        """Return what a config names, by what it is: `{"QueueName": ["jobs"]}`."""
        named: dict[str, list[Json]] = {}
        for name, field in self.fields.items():
            value = config.get(name) or field.default
            if value:
                named.setdefault(field.what, []).extend(field.texts(value))
        return cast("dict[str, Json]", named)


def of_function(function: Callable[..., Any]) -> Naming:
    """Return the naming of a node type that is declared by a function."""

    def read() -> Iterator[tuple[str, Any, Any]]:
        signature = Signature(function)
        for name, parameter in signature.parameters.items():
            yield name, signature.hints[parameter.name], parameter.default

    return Naming(read)


def of_class(cls: type[BaseModel]) -> Naming:
    """Return the naming of a node type whose fields are those of a class."""

    def read() -> Iterator[tuple[str, Any, Any]]:
        hints = get_type_hints(cls, include_extras=True)
        for name, field in cls.model_fields.items():
            yield name, hints[name], field.default

    return Naming(read)


def _said_of(type: Any) -> list[Any]:
    """Return what a type is annotated with, also where it is one of several alternatives."""
    own = list(getattr(type, "__metadata__", ()))
    return own + [each for part in get_args(type) for each in _said_of(part)]
