"""What a cloud resource is: its properties, how it is told from others, what may be changed.

Knows no cloud. A provider makes a `ResourceModel` for each type, from an API's schema or by hand,
with functions that create, read, update and delete one resource. `ensure` is what a node of such a
type does in a workflow; an architecture plans and applies with the same model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.call import Call
from cloudflow_dagster.nodes.difference import Change, Path, dotted, find_changes, values_at
from cloudflow_dagster.nodes.errors import NodeError

IDENTIFIER = "identifier"
"""Field of a config that names a resource which is there already; field of each output."""

Properties: TypeAlias = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Existing:
    """A resource that is there.

    Attributes:
        identifier: What the provider calls it, in one text.
        properties: As the provider gives them: without the write-only ones, often with defaults.
    """

    identifier: str
    properties: Properties


class AlreadyExists(NodeError):  # noqa: N818 - it is told as the provider tells it
    """A resource that was to be created is there already.

    Args:
        message: One or two sentences for people.
        identifier: Which one it is, if the provider says so.
    """

    def __init__(self, message: str, identifier: str | None) -> None:
        super().__init__("AlreadyExists", message, transient=False)
        self.identifier = identifier


Identify: TypeAlias = Callable[[Properties], str | None]
"""Returns the identifier that properties lead to; None if the provider chooses one."""
Read: TypeAlias = Callable[[Call, str], Existing | None]
"""Returns the resource with an identifier; None if it is not there."""
Create: TypeAlias = Callable[[Call, Properties], Existing]
"""Makes a resource and waits until it is there. Raises `AlreadyExists` if it is already."""
Update: TypeAlias = Callable[[Call, Existing, Properties, Sequence[Change]], Existing]
"""Makes changes to a resource, waits until they are made, and returns it as it is then.

Gets the resource as it was found, all properties that are wanted, and what of them differs.
"""
Delete: TypeAlias = Callable[[Call, str], None]
"""Deletes the resource with an identifier and waits until it is gone. If it is not there, well."""

Complete: TypeAlias = Callable[[Properties], Properties]
"""Returns properties that are wanted with their defaults, as they are given back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceModel:
    """A type of cloud resources.

    Every function takes the surroundings of a call (login, region, deadline, token) first, may be
    called again after an interruption, and raises `NodeError`. A path is made of names; `*` stands
    for each item of a list and each value of a map.

    Attributes:
        name: The provider's own name of the type: `AWS::S3::Bucket`.
        schema: JSON Schema of all properties, as the provider gives them.
        identifier: Paths of the properties that tell one resource from another.
        create_only: Paths of what can only be given when a resource is created: another value
            means another resource in its place.
        maybe_create_only: Paths of what may be that too, which only the provider knows.
        read_only: Paths of what the provider sets.
        write_only: Paths of what is never given back, so that no difference can be seen.
        identify: Tells the identifier from properties.
        create: Makes one.
        delete: Deletes one.
        read: Looks at one; None if the provider cannot.
        update: Changes one; None if each change needs another one.
        complete: Fills in what is wanted without being written.
        loss: What is lost when one is deleted, as a sentence; None if it can be made again.
    """

    name: str
    schema: Mapping[str, Json]
    identifier: tuple[Path, ...]
    create_only: tuple[Path, ...] = ()
    maybe_create_only: tuple[Path, ...] = ()
    read_only: tuple[Path, ...] = ()
    write_only: tuple[Path, ...] = ()
    identify: Identify
    create: Create
    delete: Delete
    read: Read | None = None
    update: Update | None = None
    complete: Complete = dict
    loss: str | None = None

    def changes(self, existing: Existing, wanted: Properties) -> list[Change]:
        """Return what of the properties that are wanted is otherwise in a resource."""
        return find_changes(wanted, existing.properties, self.schema, ignored=self.write_only)

    def replacing(self, changes: Sequence[Change]) -> list[str]:
        """Return the names of the properties whose change means another resource."""
        if self.update is None:
            return [change.name for change in changes]
        found: dict[str, None] = {}
        for change in changes:
            for path in self.create_only:
                if change.is_within(path):
                    found[change.name] = None
                elif change.concerns(path):
                    found[dotted(path)] = None
        return list(found)

    def misplaced(self, config: Properties) -> list[tuple[tuple[str | int, ...], str]]:
        """Return where a config gives what the provider sets, with a sentence; `check_config`."""
        return [
            (path[:1], f"`{dotted(path)}` is read-only: only the provider sets it.")
            for path in self.read_only
            if values_at(config, path)
        ]


def ensure(model: ResourceModel, call: Call, config: Mapping[str, Json]) -> dict[str, Json]:
    """Make sure that a resource is as a config says; return its properties and its identifier.

    It is made if it is not there, changed where it differs from the config, and left alone if it
    does not. What the config does not mention is left as it is. Where neither the properties nor
    the field `identifier` tell which resource is meant, each call makes a new one.

    Raises:
        NodeError: `ReplacementNeeded` if something differs that cannot be changed; `NotFound` if
            there is no resource with the `identifier`; or whatever the provider says.
        Canceled: The run was told to stop.
    """
    wanted = model.complete({name: v for name, v in config.items() if name != IDENTIFIER})
    given = cast("str | None", config.get(IDENTIFIER))
    known = given or model.identify(wanted)
    existing = model.read(call, known) if known and model.read else None
    if existing is None and given:
        raise NodeError(
            "NotFound",
            f"There is no {model.name} with the identifier `{given}`. Leave out `{IDENTIFIER}` to "
            "make one.",
            transient=False,
        )
    if existing is None:
        try:
            made = model.create(call, wanted)
        except AlreadyExists as error:
            existing = _found(model, call, error)
        else:
            call.log.info(f"{model.name} `{made.identifier}`: created.")
            return _output(made)
    return _output(_brought_about(model, call, existing, wanted))


def _found(model: ResourceModel, call: Call, error: AlreadyExists) -> Existing:
    """Return the resource that is there already, if the provider says which one it is."""
    found = model.read(call, error.identifier) if error.identifier and model.read else None
    if found is None:
        raise error
    return found


def _brought_about(
    model: ResourceModel, call: Call, existing: Existing, wanted: Properties
) -> Existing:
    changes = model.changes(existing, wanted)
    named = f"{model.name} `{existing.identifier}`"
    if not changes:
        call.log.info(f"{named}: nothing to change.")
        return existing
    if replacing := model.replacing(changes):
        raise NodeError("ReplacementNeeded", _must_be_replaced(named, replacing), transient=False)
    assert model.update is not None  # noqa: S101 - else every change replaces
    updated = model.update(call, existing, wanted, changes)
    call.log.info(f"{named}: changed {', '.join(change.name for change in changes)}.")
    return updated


def _must_be_replaced(named: str, replacing: Sequence[str]) -> str:
    listed = ", ".join(f"`{name}`" for name in replacing)
    one = len(replacing) == 1
    return (
        f"{listed} of {named} {'differs' if one else 'differ'} and can only be given when it is "
        "created: another one would have to take its place. Write what it has, or delete it first."
    )


def _output(existing: Existing) -> dict[str, Json]:
    return {**existing.properties, IDENTIFIER: existing.identifier}
