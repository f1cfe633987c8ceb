"""What a node type is.

Nothing here knows a cloud, Dagster, or a flow's graph. A provider makes `NodeType`s, by declaring
functions (`nodes/declare.py`) or from an API's model (`providers/aws/`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.call import Call
from cloudflow_dagster.nodes.permission import Permission
from cloudflow_dagster.nodes.resource import ResourceModel


class Kind(StrEnum):
    """What a node of this type does in a flow."""

    TRIGGER = "trigger"
    ACTION = "action"
    CONDITION = "condition"
    RESOURCE = "resource"


class Access(StrEnum):
    """What a node of this type does to what is there."""

    READ = "read"
    """It changes nothing."""
    CHANGE = "change"
    """It makes or changes something."""
    DESTROY = "destroy"
    """It takes away what it alone cannot bring back."""


class Carries(StrEnum):
    """What an output port carries, and when it delivers."""

    OUTPUT = "output"
    """The node's whole output, whenever the node succeeds."""
    FIELD = "field"
    """The field of the output with the port's name, if it is there."""
    BRANCH = "branch"
    """What came in, if the handler chose this port."""
    ITEM = "item"
    """A loop's body: once for each item."""
    ERROR = "error"
    """The error, when the node fails."""


@dataclass(frozen=True, slots=True)
class Port:
    """Where an edge begins or ends.

    Attributes:
        name: Unique among the node type's input or output ports.
        carries: For output ports.
        schema: JSON Schema of what passes here; None if nothing is known of it.
        description: One sentence for the palette.
    """

    name: str
    carries: Carries = Carries.OUTPUT
    schema: Mapping[str, Json] | None = None
    description: str = ""


ERROR_SCHEMA: Mapping[str, Json] = {
    "type": "object",
    "properties": {
        "node": {"type": "string"},
        "code": {"type": "string"},
        "message": {"type": "string"},
        "provider_request_id": {"type": ["string", "null"]},
        "attempts": {"type": "integer"},
    },
    "additionalProperties": False,
}
ERROR_PORT = Port("error", Carries.ERROR, ERROR_SCHEMA, "What went wrong, after the last attempt.")
IN_PORT = Port("in")


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the handler of a condition returns: the port to go on at, carrying what came in."""

    port: str


Handler = Callable[[Call, dict[str, Any]], Json | Chosen]
"""Does the work of one attempt.

Gets the call's surroundings and the config with all expressions evaluated (fields marked `x-lazy`
in the config schema are callables). Returns JSON, or `Chosen`. Raises `NodeError`.
"""


TOKEN_SECONDS = 3600.0
"""For how long a provider is taken to remember an idempotency token if nothing is known of that."""


class Repeat(StrEnum):
    """What is done about a call that an interrupted run may have made already."""

    READ = "read"
    """It changes nothing, so it is made again."""
    SAFE = "safe"
    """It is made again: what it asks for is the same after two calls as after one."""
    TOKEN = "token"  # noqa: S105 - it opens nothing
    """It is made again with the same idempotency token: the provider carries it out once. Not when
    the token may be forgotten (`NodeType.token_seconds`): then a person says whether it was."""
    LOOKUP = "lookup"
    """What it would have made is looked for, and it is made again if that is not there."""
    ASK = "ask"
    """None of these is possible: the run stops at the node and a person says what happened."""


class Behaviour(StrEnum):
    """Whether the compiler and the engine treat a node type in a way of its own."""

    PLAIN = "plain"
    LOOP = "loop"
    CALL = "call"
    RESULT = "result"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Found:
    """What a call that was interrupted has made after all.

    Attributes:
        output: What the handler would have given.
    """

    output: Json


LookUp = Callable[[Call, dict[str, Any], datetime], Found | None]
"""Looks for what an interrupted call may have made.

Gets the call's surroundings, the config that was sent, and when; whatever is older is not meant.
Returns None if it is not there, so that the call is made again. Raises `NodeError` if that cannot
be told.
"""


_CHANGES_BY_ITSELF = re.compile(r"\$(now|millis|random|shuffle)\b")
"""Functions that give something else each time, so that they cannot be evaluated again."""


@dataclass(frozen=True, slots=True)
class Inverse:
    """What undoes a node of some type, and what that has to be given.

    Attributes:
        type: Id of the node type that undoes.
        output: Fields of its config by their paths in what the node gave.
        same: Fields of its config that the node's own config has under the same name.
        required: Those of `same` without which it cannot be called.
    """

    type: str
    output: Mapping[str, str] = field(default_factory=dict[str, str])
    same: tuple[str, ...] = ()
    required: tuple[str, ...] = ()

    def config_for(self, config: Mapping[str, Json]) -> dict[str, Json] | None:
        """Return the config that undoes a node with this config, expressions included.

        Returns:
            None if a field is missing that has to be there, or would be another one the next time.
        """
        made: dict[str, Json] = {
            name: f"{{{{ output.{path} }}}}" for name, path in self.output.items()
        }
        for name in self.same:
            value = config.get(name)
            if value is None:
                if name in self.required:
                    return None
                continue
            if _CHANGES_BY_ITSELF.search(json.dumps(value)):
                return None
            made[name] = value
        return made or None


PermissionsOf = Callable[[Mapping[str, Json] | None], tuple[Permission, ...]]
"""Finds what must be allowed for a node with a config; without one, for any node of the type."""

NamesOf = Callable[[Mapping[str, Json]], Mapping[str, Json]]
"""Finds what a config names, in the provider's own words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeType:
    """A kind of node.

    Attributes:
        id: `<provider>.<service>.<operation>`, or `<family>.<name>`.
        kind: Trigger, action, condition or resource.
        provider: `aws`, `gcp`, `azure`, or None; whose credential the handler may ask for.
        category: Group of the palette: `compute`, `storage`, `logic`, `triggers`, …
        label: A few words: "Create snapshot".
        description: The first sentence stands alone; Markdown.
        icon: Name of a Lucide icon (lucide.dev), such as `hard-drive`.
        color: `#rrggbb`.
        inputs: Input ports; none for triggers.
        outputs: Output ports, the default one first. Those that depend on a node's config come
            from `ports_of`.
        config_schema: JSON Schema (2020-12) of the config, `additionalProperties: false`.
            `x-lazy: "condition"` marks a field that holds a condition, evaluated when the handler
            calls it; `x-literal: true` a field in which `{{` means nothing.
        output_schema: JSON Schema of `nodes.<id>`, or None if nothing is known of it.
        handler: Does the work; None where the engine does it (`Behaviour`).
        access: Whether it reads, changes or destroys.
        destructive: What a node of this type does that is harmful by its nature, as a sentence.
        destructive_of: The same from a node's config, where it depends on that.
        calls: The provider's operations that it makes (`ec2.StartInstances`), where it makes others
            than the one that its id names.
        permissions: What the credential must be allowed to do.
        permissions_of: The same from a node's config, where it depends on that or is costly to find
            out; without a config (None) all that some node of the type may need. Instead of
            `permissions`.
        names_of: Finds what a config names that permissions can be limited to, in the provider's
            own words, where the config is not in those.
        behaviour: See `Behaviour`.
        secrets: Whether `$secret` is allowed in its config.
        transient: Error codes that are worth another attempt when `retry.on` does not say.
        repeat: What is done about a call that may have been made already; see `Repeat`.
        repeat_of: The same from a node's config, where it depends on that. `repeat` is then what
            holds for a node that says no more than it must.
        token_seconds: For `Repeat.TOKEN`: how long the provider certainly remembers a token, from
            when the call was first about to be made; None: for ever.
        look_up: For `Repeat.LOOKUP`: finds what an earlier call made.
        inverse: Finds what undoes a node of this type, if anything certainly does.
        ports_of: More output ports, from a node's config (the cases of a switch), which go between
            the declared ones and `error`.
        check_config: Finds what a JSON Schema cannot say; yields (path in config, sentence).
        sample: For triggers: the event's payload in a run that is started by hand.
        documentation: Address of the API's documentation page.
        resource: For resources: how one is created, read, updated and deleted, and what of it can
            be changed.
    """

    id: str
    kind: Kind
    provider: str | None = None
    category: str
    label: str
    description: str
    icon: str
    color: str = "#64748b"
    inputs: tuple[Port, ...] = (IN_PORT,)
    outputs: tuple[Port, ...] = (Port("out"), ERROR_PORT)
    config_schema: Mapping[str, Json] = field(default_factory=dict[str, Json])
    output_schema: Mapping[str, Json] | None = None
    handler: Handler | None = None
    access: Access = Access.CHANGE
    destructive: str | None = None
    destructive_of: Callable[[Mapping[str, Json]], str | None] | None = None
    calls: tuple[str, ...] = ()
    permissions: tuple[Permission, ...] = ()
    permissions_of: PermissionsOf | None = None
    names_of: NamesOf | None = None
    behaviour: Behaviour = Behaviour.PLAIN
    secrets: bool = True
    transient: frozenset[str] = frozenset()
    repeat: Repeat = Repeat.ASK
    repeat_of: Callable[[Mapping[str, Json]], Repeat] | None = None
    token_seconds: float | None = TOKEN_SECONDS
    look_up: LookUp | None = None
    inverse: Callable[[], Inverse | None] | None = None
    ports_of: Callable[[Mapping[str, Json]], tuple[Port, ...]] | None = None
    check_config: Callable[[Mapping[str, Json]], list[tuple[tuple[str | int, ...], str]]] | None = (
        None
    )
    sample: Mapping[str, Json] | None = None
    documentation: str | None = None
    resource: ResourceModel | None = None

    def repeat_for(self, config: Mapping[str, Json]) -> Repeat:
        """Return what is done about an interrupted call with this config."""
        return self.repeat if self.repeat_of is None else self.repeat_of(config)

    def destructive_for(self, config: Mapping[str, Json]) -> str | None:
        """Return the sentence that says what is harmful about a node with this config, if it is.

        Args:
            config: As written: any text may still hold an expression.
        """
        found = None if self.destructive_of is None else self.destructive_of(config)
        return found or self.destructive

    def permissions_for(self, config: Mapping[str, Json] | None = None) -> tuple[Permission, ...]:
        """Return what must be allowed for a node with this config.

        Args:
            config: As written, with its expressions. Without it all that some node of the type may
                need is returned, and its notes say when.
        """
        return self.permissions if self.permissions_of is None else self.permissions_of(config)

    def names_for(self, config: Mapping[str, Json]) -> Mapping[str, Json]:
        """Return what a config names that permissions can be limited to: `{"QueueName": ["jobs"]}`.

        Args:
            config: As written, with its expressions, which are in what is returned.
        """
        return config if self.names_of is None else self.names_of(config)

    def undone_by(self) -> Inverse | None:
        """Return what undoes a node of this type; None if nothing certainly does."""
        return None if self.inverse is None else self.inverse()

    def outputs_for(self, config: Mapping[str, Json]) -> tuple[Port, ...]:
        """Return the output ports of a node with this config, the default one first."""
        if self.ports_of is None:
            return self.outputs
        *declared, last = self.outputs
        return (*self.ports_of(config), *declared, last)
