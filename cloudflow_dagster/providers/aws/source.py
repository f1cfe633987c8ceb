"""Every operation of every service that botocore knows, as a node type."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher, get_close_matches
from functools import cache, partial
from pathlib import Path
from typing import Any

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.editions import edition_of, version_of
from cloudflow_dagster.nodes.search import Entry
from cloudflow_dagster.nodes.spec import ERROR_PORT, Access, Carries, Kind, NodeType, Port
from cloudflow_dagster.providers.aws import palette
from cloudflow_dagster.providers.aws.access import access_of, destructive, destructive_of
from cloudflow_dagster.providers.aws.errors import transient_codes
from cloudflow_dagster.providers.aws.inverse import inverse_of
from cloudflow_dagster.providers.aws.invoke import (
    PAGINATE,
    WAIT_FOR,
    invoke,
    refuse_streams,
    streams_not_supported,
)
from cloudflow_dagster.providers.aws.models import (
    Service,
    is_rest,
    load_service,
    metadata_of,
    outline_of,
    service_named,
    services,
    snake_case,
)
from cloudflow_dagster.providers.aws.permissions import (
    access_level,
    definition,
    permissions_of_node,
    reference,
)
from cloudflow_dagster.providers.aws.repeat import by_config, repeat_of
from cloudflow_dagster.providers.aws.schemas import Schema, schema_of
from cloudflow_dagster.providers.aws.synonyms import also_called, spoken
from cloudflow_dagster.providers.aws.text import label, plain
from cloudflow_dagster.providers.aws.token_times import remembered
from cloudflow_dagster.providers.aws.waits import waits_of

PROVIDER = "aws"
_DESCRIPTION_LIMIT = 700
_SEARCHED = 500
"""Characters of an operation's documentation that a search looks at."""
_TAKEN = frozenset({"out", "error"})
_ID_PARTS = 3
_CLOSE_OPERATION = 0.8


class AwsNodes:
    """A source of node types: `aws.<service>.<operation>`.

    The service is botocore's name of it with `_` for `-`; the name as it is, is understood too
    (`aws.cognito-idp.list_users` is `aws.cognito_idp.list_users`). The operation is what botocore
    calls its method.
    """

    name = "AWS"

    def owns(self, id: str) -> bool:
        """Return whether an id is meant for AWS."""
        return id.partition(".")[0] == PROVIDER

    def get(self, id: str) -> NodeType | None:
        """Return the node type with this id, reading only its service's model."""
        parts = id.split(".")
        if len(parts) != _ID_PARTS or parts[0] != PROVIDER:
            return None
        service = _load(parts[1])
        if service is None or parts[2] not in service.operations:
            return None
        return _node_type(service, parts[2])

    def ids(self) -> Iterator[str]:
        """Yield the id of every operation; takes half a second."""
        for short in services():
            for method in _methods(short):
                yield f"{PROVIDER}.{short}.{method}"

    def entries(self) -> Iterator[Entry]:
        """Yield what a search looks at; takes two seconds."""
        for short, name in services().items():
            yield from _entries(short, name)

    def edition(self) -> str:
        """Return the version of botocore, the state of this package and of models of the user's."""
        own = [Path(__file__).parent, *(Path(folder) for folder in _own_models())]
        models = edition_of(*own, suffixes=(".py", ".txt", ".json", ".gz"))
        return f"{version_of('botocore')} {definition.edition()} {reference.edition()} {models}"

    def synonyms(self) -> Mapping[str, Sequence[str]]:
        """Return what people call the things of AWS."""
        return spoken().synonyms

    def about(self, id: str) -> str:
        """Return words for the service that an id names."""
        _, _, rest = id.partition(".")
        name = service_named(rest.partition(".")[0])
        return _about(name, _metadata(name)) if name else ""

    def suggest(self, id: str) -> str | None:
        """Return the id that was probably meant, if there is one."""
        provider, _, rest = id.partition(".")
        if not self.owns(id):
            if service_named(provider) and rest:  # `ec2.describe_volumes`
                return self.suggest(f"{PROVIDER}.{id}")
            if not get_close_matches(provider.lower(), [PROVIDER], cutoff=0.6):
                return None
        service, _, operation = rest.partition(".")
        short = service.lower().replace("-", "_")
        wanted = snake_case()(operation).replace("-", "_")
        if not short or not wanted:
            return None
        near = [short] if short in services() else get_close_matches(short, services(), n=5)
        close = [found for name in near for found in _close_to(name, wanted)]
        return _closest(short, wanted, close) if close else _elsewhere(wanted)


def _load(spelling: str) -> Service | None:
    """Return a service by either spelling of its name."""
    from botocore.exceptions import DataNotFoundError  # noqa: PLC0415 - 100 ms

    name = service_named(spelling)
    if name is None:
        return None
    try:
        return load_service(name)
    except (
        DataNotFoundError,
        ValueError,
    ):  # a folder of the user's own without a readable model
        return None


def _outline(name: str) -> Mapping[str, Json]:
    from botocore.exceptions import DataNotFoundError  # noqa: PLC0415 - 100 ms

    try:
        return outline_of(name)
    except (DataNotFoundError, ValueError):
        return {"metadata": {}, "operations": {}}


def _metadata(name: str) -> Mapping[str, Json]:
    from botocore.exceptions import DataNotFoundError  # noqa: PLC0415 - 100 ms

    try:
        return metadata_of(name)
    except (DataNotFoundError, ValueError):
        return {}


def _entries(short: str, name: str) -> Iterator[Entry]:
    """Yield what a search looks at in a service."""
    outline = _outline(name)
    rest = is_rest(outline)
    about = _about(name, outline["metadata"])
    for operation, settings in outline["operations"].items():
        text = plain(settings.get("documentation"), _SEARCHED)
        yield Entry(
            f"{PROVIDER}.{short}.{snake_case()(operation)}",
            label(operation),
            text,
            prominent=palette.prominence_of(name),
            provider=PROVIDER,
            category=palette.category_of(name),
            access=access_of(
                name, operation, settings, rest=rest, level=access_level(name, operation)
            ),
            about=about,
        )


def _about(name: str, metadata: Mapping[str, str]) -> str:
    """Return a service's names, and what else it is called."""
    names = (metadata.get(field, "") for field in ("serviceFullName", "serviceId"))
    return " ".join([name, *names, *also_called(name)])


def _own_models() -> Iterator[str]:
    """Yield the folders in which botocore looks for models of the user's."""
    yield from filter(None, os.environ.get("AWS_DATA_PATH", "").split(os.pathsep))
    yield str(Path("~/.aws/models").expanduser())


def _methods(short: str) -> list[str]:
    """Return the operations of a service, as in ids."""
    return [snake_case()(operation) for operation in _outline(services()[short])["operations"]]


def _close_to(short: str, wanted: str) -> list[tuple[str, str]]:
    """Return the operation of a service that is closest to the one wanted, if any is close."""
    known = _methods(short)
    close = [wanted] if wanted in known else get_close_matches(wanted, known, 1, _CLOSE_OPERATION)
    return [(short, method) for method in close]


@cache
def _services_with() -> Mapping[str, tuple[str, ...]]:
    """Return the services that have an operation, by the operation; takes half a second."""
    found: dict[str, tuple[str, ...]] = {}
    for short in services():
        for method in _methods(short):
            found[method] = (*found.get(method, ()), short)
    return found


def _elsewhere(method: str) -> str | None:
    """Return the id of an operation of another service, a well-known one if there are several."""
    found = _services_with().get(method, ())
    best = min(found, key=lambda short: (services()[short] not in palette.ICONS, short), default="")
    return f"{PROVIDER}.{best}.{method}" if best else None


def _closest(short: str, wanted: str, candidates: list[tuple[str, str]]) -> str:
    """Return the id, among services and operations, that is closest to what was wanted."""

    def likeness(candidate: tuple[str, str]) -> float:
        service, method = candidate
        return (
            SequenceMatcher(None, short, service).ratio()
            + SequenceMatcher(None, wanted, method).ratio()
        )

    service, method = max(candidates, key=likeness)
    return f"{PROVIDER}.{service}.{method}"


def _node_type(service: Service, method: str) -> NodeType:
    name = service.operations[method]
    settings = service.operation(name)
    id = f"{PROVIDER}.{service.name.replace('-', '_')}.{method}"
    output = schema_of(service, name, "output")
    streams = _has_events(service, name)
    look = palette.look_of(service.name)
    level = access_level(service.name, name)
    access = access_of(service.name, name, settings, rest=service.rest, level=level)
    return NodeType(
        id=id,
        kind=Kind.ACTION,
        provider=PROVIDER,
        category=palette.category_of(service.name),
        label=label(name),
        description=_description(id, name, settings, streams=streams),
        icon=look.icon,
        color=look.color,
        outputs=_ports(output),
        config_schema=_config_schema(service, name),
        output_schema=output,
        handler=partial(refuse_streams, id) if streams else partial(invoke, service.name, name, id),
        access=access,
        destructive=destructive(name) if access is Access.DESTROY else None,
        destructive_of=None if access is Access.READ else destructive_of(service, name),
        permissions_of=partial(permissions_of_node, service.name, name),
        transient=transient_codes(
            [
                {"name": error["shape"], **service.shape(error["shape"])}
                for error in settings.get("errors", ())
            ]
        ),
        repeat=repeat_of(service, name),
        repeat_of=by_config(service, name),
        token_seconds=remembered(service, name),
        inverse=partial(inverse_of, service, name),
        check_config=partial(_refuse_streams, id) if streams else None,
        documentation=_documentation(service, name),
    )


def _description(id: str, name: str, settings: Mapping[str, Json], *, streams: bool) -> str:
    text = plain(settings.get("documentation"), _DESCRIPTION_LIMIT) or f"{label(name)}."
    if settings.get("deprecated"):
        reason = plain(settings.get("deprecatedMessage"), 200) or "AWS advises against using it."
        text = f"{text}\n\nDeprecated: {reason}"
    return f"{text}\n\n{streams_not_supported(id)}" if streams else text


def _refuse_streams(
    id: str, _config: Mapping[str, Json]
) -> list[tuple[tuple[str | int, ...], str]]:
    return [((), streams_not_supported(id))]


def _has_events(service: Service, name: str) -> bool:
    """Whether an operation's input or output holds a stream of events."""
    return any(
        service.shape(member["shape"]).get("eventstream")
        for side in ("input", "output")
        for member in service.members(name, side).values()
    )


def _config_schema(service: Service, name: str) -> Schema:
    """Return the schema of the input, with the fields that are ours."""
    schema = schema_of(service, name, "input")
    own: dict[str, Any] = {}
    if name in service.paginators:
        own[PAGINATE] = {
            "type": "boolean",
            "default": False,
            "description": "Ask for all pages and join them.",
        }
    if waits := waits_of(service.name, name):
        own[WAIT_FOR] = {
            "type": "string",
            "enum": list(waits),
            "description": "Wait afterwards until this is so.",
        }
    schema["properties"] = {**schema["properties"], **own}
    return schema


def _ports(output: Schema) -> tuple[Port, ...]:
    """Return a port for the whole output, one for each of its members, and `error`."""
    definitions = {"$defs": output["$defs"]} if "$defs" in output else {}
    members: dict[str, Schema] = output["properties"]
    fields = (
        Port(name, Carries.FIELD, {**schema, **definitions}, schema.get("description", ""))
        for name, schema in members.items()
        if name not in _TAKEN
    )
    whole = Port("out", Carries.OUTPUT, output, "The whole answer.")
    return (whole, *fields, ERROR_PORT)


def _documentation(service: Service, name: str) -> str | None:
    uid = service.model["metadata"].get("uid")
    return f"https://docs.aws.amazon.com/goto/WebAPI/{uid}/{name}" if uid else None
