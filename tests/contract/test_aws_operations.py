"""Every operation of every service makes a sound node type."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema
import pytest

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

SAMPLE = (
    "apigatewayv2",
    "bedrock-runtime",
    "dynamodb",
    "kinesis",
    "lexv2-models",
    "rds",
    "route53",
    "s3",
    "sqs",
    "stepfunctions",
    "wafv2",
)
EVERY_SCHEMA = "CLOUDFLOW_EVERY_SCHEMA"
"""Set, the schemas of all services are held against the metaschema, which takes five minutes."""
TOKEN = "0123456789abcdef" * 4
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
    if not node_type.description or re.search(r"</?(p|code|ul|li|note)>", node_type.description):
        yield f"its description is {node_type.description!r}"
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


def test_every_operation_makes_a_sound_node_type() -> None:
    source = AwsNodes()
    wrong: list[str] = []
    count = 0
    repeats: Counter[Repeat] = Counter()
    accesses: Counter[Access] = Counter()
    for short, name in services().items():
        service = load_service(name)
        for method, operation in service.operations.items():
            node_type = source.get(f"aws.{short}.{method}")
            assert node_type is not None
            found = [
                *complaints(node_type),
                *_unfit_tokens(service, operation),
                *_unknown_questions(service, operation),
                *_careless(node_type, service, operation),
                *_unlike_its_name(node_type, operation),
            ]
            accesses[node_type.access] += 1
            repeats[node_type.repeat] += 1
            wrong += [f"{node_type.id}: {complaint}" for complaint in found]
            count += 1
        forget()
    assert wrong == []
    assert count > 19_000
    # Where nothing is known a person is asked: that is so for no more than one in seven.
    assert repeats[Repeat.ASK] < count / 7
    assert repeats[Repeat.TOKEN] > 1_500
    assert accesses[Access.READ] > count / 3
    assert accesses[Access.DESTROY] > count / 10


@pytest.mark.parametrize(
    "name", sorted(services().values()) if os.environ.get(EVERY_SCHEMA) else SAMPLE
)
def test_schemas_are_schemas(name: str) -> None:
    source = AwsNodes()
    for method in load_service(name).operations:
        node_type = source.get(f"aws.{name.replace('-', '_')}.{method}")
        assert node_type is not None
        jsonschema.Draft202012Validator.check_schema(node_type.config_schema)
        jsonschema.Draft202012Validator.check_schema(node_type.output_schema)
    forget()
