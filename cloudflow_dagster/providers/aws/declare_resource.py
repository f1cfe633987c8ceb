"""Declares curated resource types of AWS: friendly fields over a few of AWS's operations.

    @aws_resource(
        "aws.sns.topic",
        label="Topic",
        create=("sns.CreateTopic",),
        read=("sns.GetTopicAttributes",),
        update={"sns.SetTopicAttributes": ("display_name",)},
        delete=("sns.DeleteTopic",),
    )
    class Topic(AwsResource):
        '''A topic of SNS.'''

        noun = "topic"
        name: Annotated[str, FIXED, Field(description="What it is called.")]
        display_name: Annotated[str | None, Field(description="What people see.")] = None

        def create(self, aws: Operations) -> str: ...
        @classmethod
        def read(cls, aws: Operations, identifier: str) -> Found: ...
        def update(self, aws: Operations, identifier: str, changed: Changed) -> None: ...
        @classmethod
        def delete(cls, aws: Operations, identifier: str) -> None: ...

What `create` leaves as it is not wanted is changed by `update` right afterwards: the first need
only do what can be done at no other time.

The module of such a class lies in `curated/`, at the path that the id's words say.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from inspect import cleandoc
from typing import Any, TypeAlias, TypeVar

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.call import Call
from cloudflow_dagster.nodes.declare import DestructiveOf, resource
from cloudflow_dagster.nodes.difference import Change
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.permission import Permission
from cloudflow_dagster.nodes.resource import (
    IDENTIFIER,
    AlreadyExists,
    Existing,
    Properties,
    ResourceModel,
    ensure,
)
from cloudflow_dagster.nodes.resource_fields import FIXED, GIVEN, HIDDEN, ResourceFields
from cloudflow_dagster.nodes.spec import ERROR_PORT, Carries, Kind, NodeType, Port, Repeat
from cloudflow_dagster.providers.aws.errors import TRANSIENT
from cloudflow_dagster.providers.aws.exposure import exposes
from cloudflow_dagster.providers.aws.models import metadata_of
from cloudflow_dagster.providers.aws.naming import of_class
from cloudflow_dagster.providers.aws.operations import Operations
from cloudflow_dagster.providers.aws.palette import category_of, look_of
from cloudflow_dagster.providers.aws.permissions import Sends, permissions_of_calls

PROVIDER = "aws"
ANY_CHANGE: tuple[str, ...] = ()
"""Instead of fields: an operation that every change needs."""
_HOW = (
    "Made if it is not there, changed where it differs, left alone if it is the same. What has no "
    "default and is not mentioned is left as it is."
)

Found: TypeAlias = tuple[str, dict[str, Json]] | None
"""The identifier of a resource and its properties; None if it is not there."""
Changed: TypeAlias = Mapping[str, Any]
"""The fields that are not as they are wanted, and what they are; None if they are not there."""
R = TypeVar("R", bound="type[AwsResource]")


class AwsResource(ResourceFields):
    """A type of resources, whose instances are what an author wants of one."""

    def identify(self) -> str | None:
        """Return what `read` finds the resource by, if its fields tell it: its name."""
        return getattr(self, "name", None)

    @abstractmethod
    def create(self, aws: Operations) -> str:
        """Make one, wait until it is there, and return its identifier.

        Called only if `read` has not found it; it may be called again after an interruption that
        came between an operation and the moment in which AWS shows what that has made.
        """

    @classmethod
    @abstractmethod
    def read(cls, aws: Operations, identifier: str) -> Found:
        """Look at one, by its identifier or by what `identify` says."""

    def update(self, aws: Operations, identifier: str, changed: Changed) -> None:
        """Change one, and wait until it is changed.

        Each type has its own for which operations that change one are declared; no other is called.
        """

    @classmethod
    @abstractmethod
    def delete(cls, aws: Operations, identifier: str) -> None:
        """Delete one, and wait until it is gone. Called only if `read` has found it."""

    @classmethod
    def delete_rest(cls, aws: Operations, identifier: str) -> None:
        """Delete what a deletion that broke off has left of one that `read` does not find."""


def aws_resource(
    id: str,
    *,
    label: str,
    create: Sequence[str],
    read: Sequence[str],
    delete: Sequence[str],
    update: Mapping[str, Sequence[str]] | None = None,
    create_unless: Mapping[str, str] | None = None,
    create_if_repeated: Sequence[str] = (),
    sends: Sends | None = None,
    destructive_of: DestructiveOf | None = None,
    loss: str | None = None,
    icon: str | None = None,
    category: str | None = None,
    transient: Sequence[str] = (),
) -> Callable[[R], R]:
    """Declare a class of resources. The handlers can call the operations that are named here only.

    Args:
        id: `aws.<service>.<resource>`.
        label: A few words for the palette.
        create: The operations that make one, the most important one first.
        read: Those that look at one.
        delete: Those that delete one.
        update: Those that change one, each with the fields that it is needed for; `ANY_CHANGE` if
            it is needed for all of them. None if one cannot be changed.
        create_unless: Those that make one only where the config lacks a field.
        create_if_repeated: Those that find or bring back what an earlier attempt has left.
        sends: Fields of the API that permissions depend on and that no field of the config is
            called like, each with the fields of the config with which it is sent; always, if none.
        destructive_of: What is harmful about one by its nature, from a node's config.
        loss: What is lost when one is deleted, as a sentence, if it cannot be made again.
        icon: Name of a Lucide icon, if it is not the service's.
        category: Group of the palette, if it is not the service's.
        transient: Error codes that are worth another attempt, beside those of all of AWS.

    Raises:
        TypeError: The class has no `update` for the operations of that, or the other way round.
    """
    calls = Calls(
        tuple(create),
        tuple(read),
        dict(update or {}),
        tuple(delete),
        dict(create_unless or {}),
        tuple(create_if_repeated),
        sends or {},
    )
    shown = _Shown(label, icon, category, destructive_of, loss, (*TRANSIENT, *transient))

    def attach(cls: R) -> R:
        if bool(calls.update) is (cls.update is AwsResource.update):
            raise TypeError(f"{id}: a type has `update` if it has operations for it, and else not.")
        return resource(id, lambda: _node_type(id, cls, calls, shown))(cls)

    return attach


@dataclass(frozen=True, slots=True)
class Calls:
    """The operations that the handlers of a type may call."""

    create: tuple[str, ...]
    read: tuple[str, ...]
    update: Mapping[str, Sequence[str]]
    delete: tuple[str, ...]
    create_unless: Mapping[str, str]
    create_if_repeated: tuple[str, ...]
    sends: Sends

    @property
    def of_a_node(self) -> tuple[str, ...]:
        """What a node may call: deleting is none's work."""
        made = (*self.create, *self.create_unless, *self.create_if_repeated)
        made = (*made, *self.read, *self.update)
        return tuple(dict.fromkeys(made))

    @property
    def all(self) -> tuple[str, ...]:
        """What the handlers may call."""
        return tuple(dict.fromkeys((*self.of_a_node, *self.delete)))

    def permissions(
        self, written: frozenset[str], config: Mapping[str, Json] | None = None
    ) -> tuple[Permission, ...]:
        """Return what a node needs; with a config only what its fields are set with."""
        if config is None:
            return permissions_of_calls(self.of_a_node)
        has = written | config.keys()
        setting = [
            call for call, fields in self.update.items() if not fields or not has.isdisjoint(fields)
        ]
        lacking = [call for call, field in self.create_unless.items() if field not in has]
        making = (*self.create, *lacking, *self.create_if_repeated)
        return permissions_of_calls((*making, *self.read, *setting), config, sends=self.sends)


@dataclass(frozen=True, slots=True)
class _Shown:
    label: str
    icon: str | None
    category: str | None
    destructive_of: DestructiveOf | None
    loss: str | None
    transient: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Handlers:
    """The functions of a `ResourceModel`, which call the methods of a class."""

    id: str
    cls: type[AwsResource]
    calls: Calls
    schema: Mapping[str, Json]

    def model(self, loss: str | None) -> ResourceModel:
        return ResourceModel(
            name=self.id,
            schema=self.schema,
            identifier=((IDENTIFIER,),),
            create_only=self.cls.paths(FIXED),
            read_only=self.cls.paths(GIVEN),
            write_only=self.cls.paths(HIDDEN),
            identify=self.identify,
            create=self.create,
            read=self.read,
            update=self.update if self.calls.update else None,
            delete=self.delete,
            complete=self.cls.read_config,
            loss=loss,
        )

    def identify(self, wanted: Properties) -> str | None:
        return self.cls.model_validate(wanted).identify()

    def read(self, call: Call, identifier: str) -> Existing | None:
        with self._operations(call) as aws:
            return self._read(aws, identifier)

    def create(self, call: Call, wanted: Properties) -> Existing:
        want = self.cls.model_validate(wanted)
        with self._operations(call) as aws:
            found = self._read(aws, want.create(aws))
            if found is None:
                raise NodeError(
                    "NotThereYet",
                    f"AWS has made the {self.cls.noun} and does not show it yet.",
                    transient=True,
                )
            return self._settled(aws, found, want, wanted)

    def update(
        self, call: Call, existing: Existing, wanted: Properties, changes: Sequence[Change]
    ) -> Existing:
        want = self.cls.model_validate(wanted)
        with self._operations(call) as aws:
            return self._changed(aws, existing, want, changes)

    def delete(self, call: Call, identifier: str) -> None:
        with self._operations(call) as aws:
            found = self._read(aws, identifier)
            if found is None:
                call.log.info(f"The {self.cls.noun} `{identifier}` is gone already.")
                self.cls.delete_rest(aws, identifier)
            else:
                self.cls.delete(aws, found.identifier)

    def _settled(
        self, aws: Operations, found: Existing, want: AwsResource, wanted: Properties
    ) -> Existing:
        """Change what could not be given when it was created, or was not."""
        fixed = {path[0] for path in self.cls.paths(FIXED)}
        changes = [
            change
            for change in self.model(None).changes(found, wanted)
            if change.path[0] not in fixed
        ]
        return self._changed(aws, found, want, changes) if changes else found

    def _changed(
        self, aws: Operations, existing: Existing, want: AwsResource, changes: Sequence[Change]
    ) -> Existing:
        fields = dict.fromkeys(change.path[0] for change in changes)
        before = {name: existing.properties.get(name) for name in fields}
        want.update(aws, existing.identifier, before)
        return self._read(aws, existing.identifier) or existing

    def _read(self, aws: Operations, identifier: str) -> Existing | None:
        found = self.cls.read(aws, identifier)
        if found is None:
            return None
        name, properties = found
        return Existing(name, {key: v for key, v in properties.items() if v is not None})

    @contextmanager
    def _operations(self, call: Call) -> Generator[Operations]:
        operations = Operations(call, self.id, self.calls.all)
        began = time.monotonic()
        try:
            yield operations
        except AlreadyExists:
            raise
        except NodeError as error:
            # What came after the change has failed; the change itself has been made.
            error.unsure = error.unsure or operations.changed
            raise
        finally:
            operations.log(time.monotonic() - began)


def _node_type(id: str, cls: type[AwsResource], calls: Calls, shown: _Shown) -> NodeType:
    service, _, operation = calls.create[0].partition(".")
    look = look_of(service)
    output = cls.output_schema()
    model = _Handlers(id, cls, calls, output).model(shown.loss)
    written = frozenset(
        name for name, field in cls.model_fields.items() if field.get_default() is not None
    ) - {"name"}
    return NodeType(
        id=id,
        kind=Kind.RESOURCE,
        provider=PROVIDER,
        category=shown.category or category_of(service),
        label=shown.label,
        description=f"{cleandoc(cls.__doc__ or '')}\n\n{_HOW}",
        icon=shown.icon or look.icon,
        color=look.color,
        outputs=_ports(output),
        config_schema=cls.config_schema(),
        output_schema=output,
        handler=partial(_make_sure, model),
        destructive_of=shown.destructive_of or exposes,
        calls=calls.of_a_node,
        permissions_of=partial(calls.permissions, written),
        names_of=of_class(cls),
        transient=frozenset(shown.transient),
        repeat=Repeat.SAFE,
        check_config=lambda config: [*model.misplaced(config), *cls.judged(config)],
        documentation=(
            f"https://docs.aws.amazon.com/goto/WebAPI/{metadata_of(service)['uid']}/{operation}"
        ),
        resource=model,
    )


def _make_sure(model: ResourceModel, call: Call, config: dict[str, Any]) -> Json:
    return ensure(model, call, config)


def _ports(output: Mapping[str, Any]) -> tuple[Port, ...]:
    """Return a port for the whole output, one for each property, and `error`."""
    fields = (
        Port(name, Carries.FIELD, schema, schema.get("description", ""))
        for name, schema in output["properties"].items()
    )
    whole = Port("out", Carries.OUTPUT, output, "All properties and the identifier.")
    return (whole, *fields, ERROR_PORT)
