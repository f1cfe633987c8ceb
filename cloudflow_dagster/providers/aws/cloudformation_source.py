"""Every type of resource that CloudFormation can create, as a node type: `aws.s3.bucket`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.call import Call
from cloudflow_dagster.nodes.editions import edition_of, version_of
from cloudflow_dagster.nodes.permission import Permission, united
from cloudflow_dagster.nodes.resource import IDENTIFIER, ResourceModel, ensure
from cloudflow_dagster.nodes.search import Entry
from cloudflow_dagster.nodes.spec import ERROR_PORT, Carries, Kind, NodeType, Port, Repeat
from cloudflow_dagster.providers.aws import palette
from cloudflow_dagster.providers.aws.access import opens
from cloudflow_dagster.providers.aws.cloudcontrol import TOKEN_REMEMBERED, CloudControl
from cloudflow_dagster.providers.aws.cloudcontrol_errors import TRANSIENT_CODES
from cloudflow_dagster.providers.aws.cloudformation import (
    ABSENT,
    briefs,
    is_installed,
    palette_service,
    read_schema,
    type_names,
)
from cloudflow_dagster.providers.aws.cloudformation_schemas import (
    as_path,
    in_words,
    property_paths,
    schema_of_properties,
)
from cloudflow_dagster.providers.aws.exposure import exposes
from cloudflow_dagster.providers.aws.schemas import Schema
from cloudflow_dagster.providers.aws.text import label

PROVIDER = "aws"
BESIDE_AN_OPERATION = "_resource"
"""Ends the id of a type whose own id is that of an operation, or of a type with few fields."""
_INGRESS = "AWS::EC2::SecurityGroupIngress"
_DESCRIPTION_LIMIT = 700
_ID_PARTS = 3
_TAKEN = frozenset({"out", "error"})
_PAGE = (
    "https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/"
    "aws-resource-{service}-{resource}.html"
)
_CONTROL = (
    "GetResource",
    "CreateResource",
    "UpdateResource",
    "GetResourceRequestStatus",
    "ListResourceRequests",
)


class AwsResources:
    """A source of node types: `aws.<service>.<resource>`, from CloudFormation's schemas.

    It stands after the operations and the curated types: an id that is theirs stays theirs, and the
    resource type has the id with `_resource` after it, which is always understood.
    """

    name = "AWS resources"

    def owns(self, id: str) -> bool:
        """Return whether an id is meant for AWS."""
        return id.partition(".")[0] == PROVIDER

    def get(self, id: str) -> NodeType | None:
        """Return the node type with this id, reading only its own schema."""
        if not self.owns(id) or id.count(".") != _ID_PARTS - 1:
            return None
        name = type_names().get(id) or type_names().get(id.removesuffix(BESIDE_AN_OPERATION))
        schema = read_schema(name) if name else None
        return _node_type(id, name, schema) if name and schema else None

    def ids(self) -> Iterator[str]:
        """Yield the id of every type; a fifth of a second."""
        for id, _ in briefs():
            yield id

    def entries(self) -> Iterator[Entry]:
        """Yield what a search looks at; a fifth of a second."""
        for id, brief in briefs():
            service = palette_service(id)
            yield Entry(
                id,
                label(brief.name.rpartition("::")[2]),
                in_words(brief.description, _DESCRIPTION_LIMIT) or brief.name,
                prominent=palette.prominence_of(service),
                provider=PROVIDER,
                category=palette.category_of(service),
                kind=Kind.RESOURCE,
            )

    def edition(self) -> str:
        """Return the version of the package that has the schemas, and the state of this one."""
        return f"{version_of('cfn-lint')} {edition_of(Path(__file__).parent)}"

    def suggest(self, id: str) -> str | None:
        """Return the id that was probably meant; CloudFormation's own names are understood."""
        known = type_names()
        by_name = {name.lower(): each for each, name in known.items()}
        meant = by_name.get(id.lower()) or next(
            iter(get_close_matches(id.lower(), known, n=1, cutoff=0.85)), None
        )
        return meant if meant and self.get(meant) else None

    def lacks(self, id: str) -> str | None:
        """Return how to get the resource types, if they are not there and one may be meant."""
        meant = self.owns(id) or id.startswith("AWS::")
        return ABSENT if meant and not is_installed() else None


@dataclass(frozen=True, slots=True)
class _Type:
    """A CloudFormation schema, with its paths read."""

    id: str
    name: str
    schema: Mapping[str, Any]

    def paths(self, keyword: str) -> tuple[tuple[str, ...], ...]:
        return property_paths(self.schema, keyword)

    @property
    def is_named_by_config(self) -> bool:
        """Whether the author gives all of what tells one resource from another."""
        return not set(self.paths("primaryIdentifier")) & set(self.paths("readOnlyProperties"))

    def control(self) -> CloudControl:
        return CloudControl(
            self.name,
            self.id,
            self.paths("primaryIdentifier"),
            tuple(
                tuple(as_path(pointer) for pointer in pointers)
                for pointers in self.schema.get("additionalIdentifiers", ())
            ),
            self.paths("writeOnlyProperties"),
            can_read="read" in self.schema["handlers"],
        )

    def model(self, control: CloudControl, output: Schema) -> ResourceModel:
        handlers = self.schema["handlers"]
        read_only = self.paths("readOnlyProperties")
        return ResourceModel(
            name=self.name,
            schema=output,
            identifier=control.identifier,
            create_only=tuple(
                path for path in self.paths("createOnlyProperties") if path not in read_only
            ),
            maybe_create_only=self.paths("conditionalCreateOnlyProperties"),
            read_only=read_only,
            write_only=control.write_only,
            identify=control.identify,
            create=control.create,
            delete=control.delete,
            read=control.read if "read" in handlers else None,
            update=control.update if "read" in handlers and "update" in handlers else None,
        )


def _node_type(id: str, name: str, schema: Mapping[str, Any]) -> NodeType:
    found = _Type(id, name, schema)
    control = found.control()
    output = schema_of_properties(schema, "output")
    output["properties"][IDENTIFIER] = {
        "type": "string",
        "description": "What tells it from all others of its type.",
    }
    model = found.model(control, output)
    service = palette_service(id)
    look = palette.look_of(service)
    named = label(name.rpartition("::")[2])
    return NodeType(
        id=id,
        kind=Kind.RESOURCE,
        provider=PROVIDER,
        category=palette.category_of(service),
        label=named,
        description=_description(found, named),
        icon=look.icon,
        color=look.color,
        outputs=_ports(output),
        config_schema=_config_schema(found),
        output_schema=output,
        handler=partial(_make_sure, model),
        destructive_of=opens if name == _INGRESS else exposes,
        permissions=_permissions(schema),
        transient=TRANSIENT_CODES,
        repeat=_repeat(found, control, dict.fromkeys(schema.get("required", ()), "-")),
        repeat_of=partial(_repeat, found, control),
        token_seconds=TOKEN_REMEMBERED,
        check_config=model.misplaced,
        documentation=_documentation(name, schema),
        resource=model,
    )


def _make_sure(model: ResourceModel, call: Call, config: dict[str, Any]) -> Json:
    return ensure(model, call, config)


def _repeat(found: _Type, control: CloudControl, config: Mapping[str, Json]) -> Repeat:
    """Return what is done after an interruption.

    A resource that the config names is there or is not, and is looked at first. One whose name AWS
    chooses is only not made twice for as long as the client token is remembered.
    """
    named = config.get(IDENTIFIER) or control.primary(config)
    return Repeat.SAFE if named and "read" in found.schema["handlers"] else Repeat.TOKEN


def _description(found: _Type, named: str) -> str:
    text = in_words(found.schema.get("description"), _DESCRIPTION_LIMIT)
    # "Resource Type definition for AWS::EC2::Volume" says nothing.
    if not text or text.lower().startswith("resource type definition"):
        text = f"{named} ({found.name})."
    how = "Made if it is not there, changed where it differs, left alone if it is the same."
    if "update" not in found.schema["handlers"]:
        how = "Made if it is not there. It cannot be changed afterwards."
    return f"{text}\n\n{how} Goes through the Cloud Control API, which the simulated cloud lacks."


def _config_schema(found: _Type) -> Schema:
    """Return the schema of what an author gives, with the field that names an existing one."""
    read_only = found.paths("readOnlyProperties")
    schema = schema_of_properties(found.schema, "input", without=read_only)
    if not found.is_named_by_config and "read" in found.schema["handlers"]:
        schema["properties"][IDENTIFIER] = {
            "type": "string",
            "minLength": 1,
            "description": "A resource that is there already. Without it, a new one is made.",
        }
    return schema


def _ports(output: Schema) -> tuple[Port, ...]:
    """Return a port for the whole output, one for each property, and `error`."""
    definitions = {"$defs": output["$defs"]} if "$defs" in output else {}
    fields = (
        Port(name, Carries.FIELD, {**schema, **definitions}, schema.get("description", ""))
        for name, schema in output["properties"].items()
        if name not in _TAKEN
    )
    whole = Port("out", Carries.OUTPUT, output, "All properties and the identifier.")
    return (whole, *fields, ERROR_PORT)


def _permissions(schema: Mapping[str, Any]) -> tuple[Permission, ...]:
    """Return what is needed to make, look at and change one; deleting is no node's work.

    What the handlers may use is told by CloudFormation for all properties together: for any one
    config it is more than is needed.
    """
    handlers: Mapping[str, Mapping[str, Any]] = schema["handlers"]
    asked = [Permission(f"cloudformation:{name}") for name in _CONTROL]
    behind = [
        Permission(action, dependent=True, note="at most")
        for verb in ("create", "read", "update")
        for action in handlers.get(verb, {}).get("permissions", ())
    ]
    return united([*asked, *behind])


def _documentation(name: str, schema: Mapping[str, Any]) -> str:
    if page := schema.get("documentationUrl"):
        return str(page)
    _, service, resource = name.lower().split("::")[:3]
    return _PAGE.format(service=service, resource=resource)
