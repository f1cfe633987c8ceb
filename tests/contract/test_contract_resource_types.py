"""Every resource type of AWS makes a sound node type."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema
import pytest

from cloudflow_dagster.nodes.difference import ANY
from cloudflow_dagster.nodes.resource import IDENTIFIER, ResourceModel
from cloudflow_dagster.nodes.spec import Kind, NodeType, Repeat
from cloudflow_dagster.providers.aws import AwsNodes, AwsResources
from cloudflow_dagster.providers.aws.cloudformation import (
    _SERVICES,
    _files,
    read_schema,
    type_names,
)
from cloudflow_dagster.providers.aws.models import services
from cloudflow_dagster.providers.aws.palette import LOOKS

EVERY = 40
"""One in so many schemas is held against the metaschema, which takes a tenth of a second each."""


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


def complaints(node_type: NodeType, source: Mapping[str, Any]) -> Iterator[str]:
    if not re.fullmatch(r"aws(\.[a-z][a-z0-9_]*){2}", node_type.id):
        yield "its id is not in snake case"
    if not node_type.label or node_type.label[0].islower():
        yield f"its label is {node_type.label!r}"
    if not node_type.description or re.search(r"</?\w+>|\]\(http", node_type.description):
        yield f"its description is {node_type.description!r}"
    if node_type.category not in LOOKS or not node_type.handler or not node_type.documentation:
        yield "it lacks a category, a handler or a documentation page"
    if node_type.kind is not Kind.RESOURCE or not node_type.icon or not node_type.permissions:
        yield "it is no resource, or lacks an icon or permissions"
    names = [port.name for port in node_type.outputs]
    if names[0] != "out" or names[-1] != "error" or len(names) != len(set(names)):
        yield f"its ports are {names}"
    for schema in (node_type.config_schema, node_type.output_schema or {}):
        yield from wrong_with(schema)
    yield from wrong_with_model(node_type, source)


def wrong_with(schema: Mapping[str, Any]) -> Iterator[str]:
    if schema.get("additionalProperties") is not False or schema.get("type") != "object":
        yield "a schema is open"
    if not set(schema.get("required", ())) <= set(schema["properties"]):
        yield "something is required that does not exist"
    defined = {f"#/$defs/{name}" for name in schema.get("$defs", {})}
    if (used := set(references(schema))) != defined:
        yield f"definitions and references differ: {used ^ defined}"


def wrong_with_model(node_type: NodeType, source: Mapping[str, Any]) -> Iterator[str]:
    model = node_type.resource
    if model is None:
        yield "there is no model of it"
        return
    handlers = source["handlers"]
    if (model.read is None) is ("read" in handlers):
        yield "what can be read differs"
    if model.update is not None and not {"read", "update"} <= set(handlers):
        yield "it can be updated without a handler"
    if not model.identifier or any(ANY in path for path in model.identifier):
        yield "its identifier is no identifier"
    yield from wrong_with_paths(node_type, model, source)


def wrong_with_paths(
    node_type: NodeType, model: ResourceModel, source: Mapping[str, Any]
) -> Iterator[str]:
    given = node_type.config_schema["properties"]
    known = set(model.schema["properties"]) | set(source["properties"])
    for paths in (model.identifier, model.create_only, model.read_only, model.write_only):
        if unknown := {path[0] for path in paths} - known:
            yield f"there is no {unknown}"
    if misplaced := {path[0] for path in model.read_only if len(path) == 1} & set(given):
        yield f"{misplaced} is set by AWS"
    if IDENTIFIER in source["properties"]:
        yield "a property has the name of the field that is ours"
    named = not set(model.identifier) & set(model.read_only)
    if named is (IDENTIFIER in given) and model.read is not None:
        yield "the field `identifier` is there in vain, or missing"
    if node_type.repeat is Repeat.SAFE and not named:
        yield "it makes another one each time"


def test_every_type_with_handlers_makes_a_sound_node_type() -> None:
    source = AwsResources()
    wrong: list[str] = []
    repeats: Counter[Repeat] = Counter()
    ids = list(source.ids())
    for n, id in enumerate(ids):
        schema = read_schema(type_names()[id])
        node_type = source.get(id)
        assert node_type is not None
        assert schema is not None
        wrong += [f"{id}: {complaint}" for complaint in complaints(node_type, schema)]
        repeats[node_type.repeat] += 1
        if n % EVERY == 0:
            jsonschema.Draft202012Validator.check_schema(node_type.config_schema)
            jsonschema.Draft202012Validator.check_schema(node_type.output_schema)
    assert wrong == []
    assert len(ids) >= 1_763
    assert repeats[Repeat.SAFE] > 300
    assert repeats.keys() == {Repeat.SAFE, Repeat.TOKEN}


def test_an_id_is_of_one_type_and_of_no_operation() -> None:
    names = type_names()
    assert len(names) == len(_files())  # of two with one id, only the first is here
    assert not set(names) & set(AwsNodes().ids())


def test_a_service_has_the_name_that_its_operations_have() -> None:
    assert set(_SERVICES.values()) <= set(services())
    beside = {id.split(".")[1] for id in type_names()} & set(services())
    assert len(beside) > 250


@pytest.mark.parametrize(
    ("name", "id"),
    [
        ("AWS::S3::Bucket", "aws.s3.bucket"),
        ("AWS::RDS::DBInstance", "aws.rds.db_instance"),
        ("AWS::ElasticLoadBalancingV2::LoadBalancer", "aws.elbv2.load_balancer"),
        ("AWS::EC2::VPC", "aws.ec2.vpc"),
        ("AWS::ApiGatewayV2::Api", "aws.apigatewayv2.api"),
        ("AWS::StepFunctions::StateMachine", "aws.stepfunctions.state_machine"),
        ("AWS::MSK::Cluster", "aws.kafka.cluster"),
    ],
)
def test_ids_are_the_names_in_snake_case(name: str, id: str) -> None:
    assert type_names()[id] == name
    found = AwsResources().get(id)
    assert found is not None
    assert found.id == id
    beside = AwsResources().get(f"{id}_resource")
    assert beside is not None
    assert beside.id == f"{id}_resource"
