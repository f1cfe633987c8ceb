"""Decorators that declare node types.

They attach a `Declaration` to the function as `__node_type__`, change nothing else and register
nothing. The function's signature is the schema of the node's config, its docstring the help:

    @action("acme.greet", label="Greet", icon="hand", category="messaging")
    def greet(call: Call, *, name: str, loudly: bool = False) -> Greeting:
        '''Greets somebody.'''
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.json_schema import plain_schema
from cloudflow_dagster.nodes.permission import Permission
from cloudflow_dagster.nodes.signature import DeclarationError, Signature, adapter_of
from cloudflow_dagster.nodes.spec import (
    ERROR_PORT,
    IN_PORT,
    TOKEN_SECONDS,
    Access,
    Behaviour,
    Carries,
    Kind,
    LookUp,
    NamesOf,
    NodeType,
    PermissionsOf,
    Port,
    Repeat,
)

NODE_TYPE = "__node_type__"
ID_PATTERN = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)+")
SLATE, GREEN, AMBER, BLUE = "#64748b", "#16a34a", "#d97706", "#2563eb"

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound=type)
CheckConfig = Callable[[Mapping[str, Json]], list[tuple[tuple[str | int, ...], str]]]
PortsOf = Callable[[Mapping[str, Json]], tuple[Port, ...]]
RepeatOf = Callable[[Mapping[str, Json]], Repeat]
DestructiveOf = Callable[[Mapping[str, Json]], str | None]


@dataclass(frozen=True)
class Declaration:
    """What a decorator attaches: enough to make the node type when somebody asks for it.

    Attributes:
        function: The declared function.
        id: Id of the node type.
        kind: What a node of it does.
        about: The attributes of the `NodeType` that were given to the decorator.
        fields: Whether each documented field of the output has a port of its own.
        output: Type of the output, where it is not what the function returns.
    """

    function: Callable[..., Any]
    id: str
    kind: Kind
    about: Mapping[str, Any] = field(default_factory=dict[str, Any])
    fields: bool = False
    output: Any = None

    @cached_property
    def node_type(self) -> NodeType:
        """The node type, made on first use.

        Raises:
            DeclarationError: The function does not say what a node type needs.
        """
        signature = Signature(self.function)
        if not signature.help.description:
            raise DeclarationError(f"{self.id}: write a docstring; it is what the palette shows.")
        made: dict[str, Any] = {
            "id": self.id,
            "kind": self.kind,
            "description": signature.help.description,
            "config_schema": signature.config_schema,
        }
        if self.kind is Kind.TRIGGER:
            made |= _trigger_parts(signature)
        else:
            schema = self._output_schema(signature)
            made |= {"output_schema": schema, "handler": signature.handler()}
            given = self.about.get("outputs") or _result_ports(schema, fields=self.fields)
            made["outputs"] = tuple(
                replace(p, schema=schema) if p.carries is Carries.OUTPUT else p for p in given
            )
        return NodeType(**{**self.about, **made})

    def _output_schema(self, signature: Signature) -> dict[str, Json] | None:
        adapter = adapter_of(self.output) if self.output else signature.output
        if adapter is None:
            return None
        return plain_schema(adapter.json_schema(mode="serialization"), closed=True) or None


@dataclass(frozen=True, kw_only=True)
class _Made(Declaration):
    """A declaration of what makes its node type by itself."""

    make: Callable[[], NodeType]

    @cached_property
    def node_type(self) -> NodeType:
        """The node type, made on first use."""
        return self.make()


def _declare(
    kind: Kind,
    id: str,
    about: Mapping[str, Any],
    *,
    fields: bool = False,
    output: Any = None,
) -> Callable[[F], F]:
    if not ID_PATTERN.fullmatch(id):
        raise DeclarationError(
            f"`{id}` cannot be the id of a node type: it is lower case words joined by dots, "
            "such as `acme.greet`."
        )
    given = {key: value for key, value in about.items() if value is not None}

    def attach(function: F) -> F:
        setattr(function, NODE_TYPE, Declaration(function, id, kind, given, fields, output))
        return function

    return attach


def action(
    id: str,
    *,
    label: str,
    icon: str,
    category: str,
    color: str = SLATE,
    provider: str | None = None,
    access: Access | None = None,
    destructive: str | None = None,
    destructive_of: DestructiveOf | None = None,
    calls: Iterable[str] = (),
    permissions: Iterable[Permission] = (),
    permissions_of: PermissionsOf | None = None,
    names_of: NamesOf | None = None,
    transient: Iterable[str] = (),
    repeat: Repeat = Repeat.ASK,
    repeat_of: RepeatOf | None = None,
    token_seconds: float | None = TOKEN_SECONDS,
    look_up: LookUp | None = None,
    behaviour: Behaviour = Behaviour.PLAIN,
    secrets: bool = True,
    outputs: tuple[Port, ...] | None = None,
    fields: bool = True,
    output: Any = None,
    check: CheckConfig | None = None,
    documentation: str | None = None,
) -> Callable[[F], F]:
    """Declare a function that does one thing and returns its output.

    Its first parameter is the `Call`; the keyword-only ones are the fields of the config. It
    returns JSON, a TypedDict or a pydantic model, and raises `NodeError`.

    Args:
        id: Lower case words joined by dots; the module that declares it lies at the same path.
        label: A few words for the palette.
        icon: Name of a Lucide icon.
        category: Group of the palette.
        color: `#rrggbb`.
        provider: Whose credential it asks for: `aws`, `gcp`, `azure`.
        access: Whether it reads, changes or destroys. Without it, what `Repeat.READ` repeats
            reads, what is destructive destroys, and everything else changes.
        destructive: What it does that is harmful by its nature, as a sentence.
        destructive_of: The same from a node's config, where it depends on that.
        permissions: What the credential must be allowed to do.
        calls: The provider's operations that it makes, in the provider's own terms.
        permissions_of: The same from a node's config.
        names_of: Finds what a config names, in the provider's own words.
        transient: Error codes that are worth another attempt.
        repeat: What is done about a call that an interrupted run may have made already.
        repeat_of: The same from a node's config, where it depends on that.
        token_seconds: For `Repeat.TOKEN`: how long a token is certainly remembered; None: for ever.
        look_up: For `Repeat.LOOKUP`: finds what an interrupted call made.
        behaviour: For node types that the compiler and the engine know.
        secrets: Whether `$secret` is allowed in its config.
        outputs: Output ports, where they are not `out`, the result's fields, and `error`.
        fields: Whether each field of the result that its type names has a port.
        output: Type of the output, where it is not what the function returns.
        check: Finds what the schema of the config cannot say: (path in the config, sentence).
        documentation: Address of the API's documentation page.
    """
    about = {
        "label": label,
        "icon": icon,
        "category": category,
        "color": color,
        "provider": provider,
        "access": access or _access(repeat, destructive),
        "destructive": destructive,
        "destructive_of": destructive_of,
        "permissions": tuple(permissions),
        "calls": tuple(calls),
        "permissions_of": permissions_of,
        "names_of": names_of,
        "transient": frozenset(transient),
        "repeat": repeat,
        "repeat_of": repeat_of,
        "token_seconds": token_seconds,
        "look_up": look_up,
        "behaviour": behaviour,
        "secrets": secrets,
        "outputs": outputs,
        "check_config": check,
        "documentation": documentation,
    }
    return _declare(Kind.ACTION, id, about, fields=fields, output=output)


def condition(
    id: str,
    *,
    label: str,
    icon: str,
    ports: Iterable[str],
    category: str = "logic",
    color: str = AMBER,
    secrets: bool = False,
    ports_of: PortsOf | None = None,
    check: CheckConfig | None = None,
) -> Callable[[F], F]:
    """Declare a function that chooses the port at which the flow goes on.

    It returns `Chosen(port)`; what came into the node goes on there.

    Args:
        id: Lower case words joined by dots; the module that declares it lies at the same path.
        label: A few words for the palette.
        icon: Name of a Lucide icon.
        ports: The ports it chooses from, beside those of `ports_of`. It has `error` in any case.
        category: Group of the palette.
        color: `#rrggbb`.
        secrets: Whether `$secret` is allowed in its config.
        ports_of: Makes more ports from a node's config; they come before `ports`.
        check: Finds what the schema of the config cannot say: (path in the config, sentence).
    """
    about = {
        "label": label,
        "icon": icon,
        "category": category,
        "color": color,
        "access": Access.READ,
        "repeat": Repeat.READ,
        "secrets": secrets,
        "outputs": (*(Port(name, Carries.BRANCH) for name in ports), ERROR_PORT),
        "ports_of": ports_of,
        "check_config": check,
    }
    return _declare(Kind.CONDITION, id, about)


def resource(id: str, make: Callable[[], NodeType]) -> Callable[[C], C]:
    """Declare a class that stands for a type of cloud resources (`nodes/resource_fields.py`).

    Args:
        id: Lower case words joined by dots; the module that declares it lies at the same path.
        make: Makes the node type, when somebody asks for it.
    """

    def attach(cls: C) -> C:
        setattr(cls, NODE_TYPE, _Made(cls, id, Kind.RESOURCE, make=make))
        return cls

    return attach


def trigger(
    id: str,
    *,
    label: str,
    icon: str,
    sample: Mapping[str, Json],
    category: str = "triggers",
    color: str = GREEN,
    check: CheckConfig | None = None,
) -> Callable[[F], F]:
    """Declare what starts a flow.

    The function makes the event's payload from what happened, its first parameter; the
    keyword-only ones are the fields of the config, beside `params`, which every trigger has.

    Args:
        id: Lower case words joined by dots; the module that declares it lies at the same path.
        label: A few words for the palette.
        icon: Name of a Lucide icon.
        sample: The payload in a run that is started by hand.
        category: Group of the palette.
        color: `#rrggbb`.
        check: Finds what the schema of the config cannot say: (path in the config, sentence).
    """
    about = {
        "label": label,
        "icon": icon,
        "category": category,
        "color": color,
        "access": Access.READ,
        "repeat": Repeat.READ,
        "sample": sample,
        "check_config": check,
    }
    return _declare(Kind.TRIGGER, id, about)


def _access(repeat: Repeat, destructive: str | None) -> Access:
    if destructive is not None:
        return Access.DESTROY
    return Access.READ if repeat is Repeat.READ else Access.CHANGE


def declaration_of(function: object) -> Declaration | None:
    """Return what a decorator attached to this very object, if one did."""
    found = getattr(function, NODE_TYPE, None)
    return found if isinstance(found, Declaration) and found.function is function else None


def _result_ports(schema: Mapping[str, Json] | None, *, fields: bool) -> tuple[Port, ...]:
    out = Port("out", description="The whole result.")
    known: Mapping[str, Json] = (schema or {}).get("properties", {}) if fields else {}
    return (
        out,
        *(
            Port(name, Carries.FIELD, part, part.get("description", ""))
            for name, part in known.items()
            if name not in {out.name, ERROR_PORT.name}
        ),
        ERROR_PORT,
    )


PARAMS_SCHEMA: Mapping[str, Json] = {
    "type": "object",
    "description": "Fills the flow's params; its expressions see `trigger`, the event.",
}


def _trigger_parts(signature: Signature) -> dict[str, Any]:
    """Return what a trigger has beside the attributes of every node type."""
    payload = signature.output.json_schema(mode="serialization") if signature.output else {}
    event = {
        "type": "object",
        "properties": {
            "type": {"type": "string", "description": "The type of the trigger."},
            "time": {"type": "string", "format": "date-time", "description": "When it happened."},
            "payload": plain_schema(payload, closed=True),
        },
        "required": ["type", "time", "payload"],
        "additionalProperties": False,
    }
    config = dict(signature.config_schema)
    config["properties"] = {**config["properties"], "params": PARAMS_SCHEMA}
    return {
        "inputs": (),
        "outputs": (Port("out", Carries.OUTPUT, event, "The event."),),
        "output_schema": event,
        "config_schema": config,
    }


__all__ = [
    "IN_PORT",
    "CheckConfig",
    "Declaration",
    "DeclarationError",
    "action",
    "condition",
    "declaration_of",
    "resource",
    "trigger",
]
