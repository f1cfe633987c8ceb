"""Every operation of every service makes a sound node type."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema

from cloudflow_dagster.nodes.spec import Access, NodeType, Repeat
from cloudflow_dagster.providers.aws import AwsNodes
from cloudflow_dagster.providers.aws.models import (
    Service,
    load_service,
    service_models,
    services,
)
from cloudflow_dagster.providers.aws.palette import LOOKS
from cloudflow_dagster.providers.aws.repeat import SAFE_TOO
from cloudflow_dagster.providers.aws.tokens import OWN_TOKENS, fit_token, is_token, tokens_of
from cloudflow_dagster.providers.aws.waits import waits_of
from tests.contract.aws_samples import LEAST, TOKEN, Conversions, Extent

EVERY_NTH = 4
"""Of so many operations one is also tried with all fields of its first two levels."""
HTML = re.compile(
    r"</?(a|b|br|code|dd|div|dl|dt|em|h\d|i|important|li|note|ol|p|pre|span|strong|table|td|tr|ul)"
    r"(\s[^<>]*)?/?>|&(lt|gt|amp|quot|nbsp|#\d+);"
)
CHANGES = re.compile(r"Create|Delete|Put|Update|Modify|Start|Send|Run|Attach|Set|Terminate|Tag")
CHANGES_SURELY = re.compile(r"(Delete|Put|Update|Modify|Send|Attach|Terminate|Tag|Untag)(?![a-z])")
DESTROYS_SURELY = re.compile(r"(Terminate|Purge|(Batch)?Delete(?!\w*Tag(s|ging|$)))(?![a-z])")
MAKES = re.compile(r"(Create|Start|Send|Run|Import|Submit|Copy|Publish|Invoke)(?![a-z])")


def forget() -> None:
    """Give the memory of the models back: all of them together take half a gigabyte."""
    load_service.cache_clear()
    service_models.cache_clear()
    waits_of.cache_clear()


def references(schema: Any) -> Iterator[str]:
    waiting = [schema]
    while waiting:
        match waiting.pop():
            case dict() as fields:
                if isinstance(fields.get("$ref"), str):
                    yield fields["$ref"]
                waiting.extend(fields.values())
            case list() as items:
                waiting.extend(items)
            case _:
                pass


def complaints(node_type: NodeType) -> Iterator[str]:
    """Say what is wrong with a node type, cheaply enough for twenty thousand of them."""
    if not re.fullmatch(r"aws(\.[a-z][a-z0-9_]*){2}", node_type.id):
        yield "its id is not in snake case"
    if not node_type.label or node_type.label[0].islower():
        yield f"its label is {node_type.label!r}"
    if not node_type.description or HTML.search(node_type.description):
        yield f"its description is {node_type.description!r}"
    if not re.fullmatch(r"[a-z][a-z0-9-]*", node_type.icon) or not re.fullmatch(
        r"#[0-9a-f]{6}", node_type.color
    ):
        yield f"it looks like {node_type.icon}, {node_type.color}"
    if node_type.category not in LOOKS or not node_type.handler or not node_type.documentation:
        yield "it lacks a category, a handler or a documentation page"
    names = [port.name for port in node_type.outputs]
    if names[0] != "out" or names[-1] != "error" or len(names) != len(set(names)):
        yield f"its ports are {names}"
    for schema in (node_type.config_schema, node_type.output_schema):
        yield from _wrong_with(schema or {})


def _wrong_with(schema: Mapping[str, Any]) -> Iterator[str]:
    if schema.get("additionalProperties") is not False:
        yield "a schema is open"
    if not set(schema.get("required", ())) <= set(schema["properties"]):
        yield "something is required that does not exist"
    defined = {f"#/$defs/{name}" for name in schema.get("$defs", {})}
    used = set(references(schema))
    if used != defined:
        yield f"definitions and references differ: {used ^ defined}"


def _unfit_tokens(service: Service, operation: str) -> Iterator[str]:
    for name, member in service.members(operation, "input").items():
        if not is_token(name, member):
            continue
        shape = service.shape(member["shape"])
        token = fit_token(TOKEN, shape)
        if not shape.get("min", 0) <= len(token) <= shape.get("max", len(token)):
            yield f"the token {name} is too long or too short"
        try:
            if not re.fullmatch(shape.get("pattern", ".*"), token):
                yield f"the token {name} does not match"
        except re.error:
            continue  # not one of Python's patterns


def _unknown_questions(service: Service, operation: str) -> Iterator[str]:
    for wait in waits_of(service.name, operation).values():
        asked = service.members(wait.operation, "input")
        for question in wait.questions or ():
            if question.member not in asked:
                yield f"{wait.name} asks for {question.member}"
            for found in question.sources:
                if found.path[0] not in service.members(operation, found.side):
                    yield f"{wait.name} looks at {found}"


def _careless(node_type: NodeType, service: Service, operation: str) -> Iterator[str]:
    """Say where an interrupted call would be repeated though that may do something twice."""
    settings = service.operation(operation)
    tokens = tokens_of(service, operation).keys() | service.members(operation, "input").keys() & (
        OWN_TOKENS
    )
    reads = settings.get("readonly") or settings["http"]["method"] in {"GET", "HEAD"}
    match node_type.repeat:
        case Repeat.TOKEN if not tokens:
            yield "there is no token to repeat it with"
        case Repeat.READ if not reads and CHANGES.match(operation):
            yield "it does not only read"
        case Repeat.SAFE if MAKES.match(operation):
            known = settings.get("idempotent") or (service.name, operation) in SAFE_TOO
            known = known or settings["http"]["method"] == "DELETE"
            if not known and service.name != "s3":
                yield "it makes something each time"
        case Repeat.LOOKUP if node_type.look_up is None:
            yield "nothing looks for what it made"
        case _:
            pass


def _unlike_its_name(node_type: NodeType, operation: str) -> Iterator[str]:
    """Say where a node type would be taken for less than it does."""
    if node_type.access is Access.READ and CHANGES_SURELY.match(operation):
        yield "it does not only read"
    if node_type.access is not Access.DESTROY and DESTROYS_SURELY.match(operation):
        yield f"it destroys, but is said to {node_type.access}"
    if (node_type.access is Access.DESTROY) != (node_type.destructive is not None):
        yield "it destroys and does not say so, or the other way round"
    if node_type.destructive and not node_type.destructive.endswith("."):
        yield "what it destroys is no sentence"


def _streams(node_type: NodeType, service: Service, operation: str) -> Iterator[str]:
    """Say where an operation that cannot work does not say so, or one that can says it."""
    shapes = [
        service.shape(member["shape"])
        for side in ("input", "output")
        for member in service.members(operation, side).values()
    ]
    streams = any(shape.get("eventstream") for shape in shapes)
    if streams != ("endless stream of events" in node_type.description):
        yield "its description is wrong about streams of events"
    if streams != bool(node_type.check_config and node_type.check_config({})):
        yield "a flow is refused that works, or the other way round"


def _nodes(schema: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every schema in a schema without those that it holds."""
    waiting = [schema]
    while waiting:
        bare = dict(waiting.pop())
        for keyword in ("properties", "$defs"):
            if keyword in bare:
                waiting.extend(bare[keyword].values())
                bare[keyword] = {}
        for keyword in ("items", "additionalProperties", "propertyNames"):
            if isinstance(bare.get(keyword), dict):
                waiting.append(bare[keyword])
                bare[keyword] = {}
        if "anyOf" in bare:
            waiting.extend(bare["anyOf"])
            bare["anyOf"] = [{}] * len(bare["anyOf"])
        yield bare


class Schemas:
    """All schemas of the catalogue, held against the metaschema by what they are made of.

    A schema is sound if each schema in it is, without those that it holds itself. Half a million
    of these are only some thousand different ones, so that all can be looked at.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[Any, ...], dict[str, Any]] = {}

    def complaints(self, schema: Mapping[str, Any]) -> Iterator[str]:
        for bare in _nodes(schema):
            text = bare.pop("description", "")
            if not isinstance(text, str):
                yield f"a description is {text!r}"
            elif ("<" in text or "&" in text) and HTML.search(text):
                yield f"there is HTML in {text!r}"
            for keyword in ("x-enum", "x-pattern"):
                bare.pop(keyword, None)  # a metaschema asks nothing of them
            key = tuple((keyword, type(value), repr(value)) for keyword, value in bare.items())
            self._seen.setdefault(key, bare)

    def unsound(self) -> list[str]:
        metaschema = jsonschema.Draft202012Validator(jsonschema.Draft202012Validator.META_SCHEMA)
        return [
            f"{bare}: {error.message}"
            for bare in self._seen.values()
            for error in metaschema.iter_errors(bare)
        ]


def test_every_operation_makes_a_sound_node_type() -> None:
    source = AwsNodes()
    wrong: list[str] = []
    count = 0
    repeats: Counter[Repeat] = Counter()
    accesses: Counter[Access] = Counter()
    schemas = Schemas()
    streams = 0
    for short, name in services().items():
        service = load_service(name)
        conversions = Conversions(service)
        for method, operation in service.operations.items():
            node_type = source.get(f"aws.{short}.{method}")
            assert node_type is not None
            found = [
                *complaints(node_type),
                *_unfit_tokens(service, operation),
                *_unknown_questions(service, operation),
                *_careless(node_type, service, operation),
                *_unlike_its_name(node_type, operation),
                *_streams(node_type, service, operation),
                *schemas.complaints(node_type.config_schema),
                *schemas.complaints(node_type.output_schema or {}),
                *conversions.complaints(node_type, operation, LEAST),
            ]
            if count % EVERY_NTH == 0:
                more = Extent(2, choice=count // EVERY_NTH)
                found += conversions.complaints(node_type, operation, more)
            streams += node_type.check_config is not None
            accesses[node_type.access] += 1
            repeats[node_type.repeat] += 1
            wrong += [f"{node_type.id}: {complaint}" for complaint in found]
            count += 1
        forget()
    assert wrong == []
    assert schemas.unsound() == []
    assert 20 < streams < count / 100
    assert count > 19_000
    # Where nothing is known a person is asked: that is so for no more than one in seven.
    assert repeats[Repeat.ASK] < count / 7
    assert repeats[Repeat.TOKEN] > 1_500
    assert accesses[Access.READ] > count / 3
    assert accesses[Access.DESTROY] > count / 10
