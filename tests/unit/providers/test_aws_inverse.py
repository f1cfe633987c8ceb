"""Which operations of AWS certainly undo another one, and with what."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudflow_dagster.nodes.spec import Inverse, NodeType
from cloudflow_dagster.providers import catalogue
from cloudflow_dagster.providers.aws.inverse import inverse_of
from cloudflow_dagster.providers.aws.models import load_service
from tests.unit.compiler.compiling import compiled, flow, node

SERVICES = (
    "apigateway",
    "dynamodb",
    "ec2",
    "ecs",
    "eks",
    "glue",
    "iam",
    "lambda",
    "logs",
    "rds",
    "route53",
    "s3",
    "ssm",
)
UNTYPED = {"type": "object", "properties": {"x": {}}}


def of(type: str) -> NodeType:
    found = catalogue().get(f"aws.{type}")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("type", "inverse", "output", "same"),
    [
        ("ec2.create_volume", "ec2.delete_volume", {"VolumeId": "VolumeId"}, ()),
        ("ec2.create_vpc", "ec2.delete_vpc", {"VpcId": "Vpc.VpcId"}, ()),
        ("ec2.create_security_group", "ec2.delete_security_group", {"GroupId": "GroupId"}, ()),
        (
            "ec2.run_instances",
            "ec2.terminate_instances",
            {"InstanceIds": "Instances.InstanceId"},
            (),
        ),
        (
            "ec2.allocate_address",
            "ec2.release_address",
            {"AllocationId": "AllocationId"},
            (),
        ),
        (
            "ec2.attach_internet_gateway",
            "ec2.detach_internet_gateway",
            {},
            ("InternetGatewayId", "VpcId"),
        ),
        ("iam.create_role", "iam.delete_role", {"RoleName": "Role.RoleName"}, ()),
        ("s3.create_bucket", "s3.delete_bucket", {}, ("Bucket",)),
        (
            "dynamodb.create_table",
            "dynamodb.delete_table",
            {"TableName": "TableDescription.TableName"},
            (),
        ),
        (
            "logs.create_log_stream",
            "logs.delete_log_stream",
            {},
            ("logGroupName", "logStreamName"),
        ),
    ],
)
def test_what_makes_something_is_undone_by_what_removes_just_that(
    type: str, inverse: str, output: dict[str, str], same: tuple[str, ...]
) -> None:
    found = of(type).undone_by()
    assert found is not None
    assert (found.type, found.output, found.same) == (f"aws.{inverse}", output, same)


@pytest.mark.parametrize(
    "type",
    [
        "ec2.describe_volumes",
        "ec2.delete_volume",
        "ec2.start_instances",  # it may have been running before
        "ec2.create_tags",  # it overwrites the value
        "iam.attach_role_policy",  # it may have been attached before
        "s3.put_object",  # it overwrites
        "sqs.create_queue",  # a queue that is there already is taken for made
        "kms.create_key",  # keys are only scheduled to be deleted
    ],
)
def test_what_may_take_away_more_than_was_made_is_no_inverse(type: str) -> None:
    assert of(type).undone_by() is None


def inverses() -> Iterator[tuple[str, Inverse]]:
    for name in SERVICES:
        service = load_service(name)
        for method, operation in service.operations.items():
            if inverse := inverse_of(service, operation):
                yield f"aws.{name}.{method}", inverse


def test_every_inverse_fits_the_config_of_what_undoes(tmp_path: Path) -> None:
    found = list(inverses())
    assert len(found) > 200
    nodes: list[dict[str, Any]] = []
    for number, (id, inverse) in enumerate(found):
        # What params give is not known, so only what the node gives is compared.
        config: dict[str, Any] = dict.fromkeys(inverse.same, "{{ params.x }}")
        undo = {"type": inverse.type, "config": inverse.config_for(config)}
        nodes.append(node(f"n{number}", id, config=config, compensate=undo))
    wrong = [
        (nodes[int(d.at.pointer.parts[1])]["type"], str(d))
        for d in compiled(tmp_path, flow(*nodes, params=UNTYPED)).diagnostics
        if "compensate" in d.at.pointer.parts
    ]
    assert wrong == []


def test_an_inverse_is_not_given_what_is_different_each_time() -> None:
    inverse = of("s3.create_bucket").undone_by()
    assert inverse is not None
    assert inverse.config_for({"Bucket": "b-{{ run.id }}"}) == {"Bucket": "b-{{ run.id }}"}
    assert inverse.config_for({"Bucket": "b-{{ $now() }}"}) is None
    assert inverse.config_for({}) is None


def test_compensate_may_leave_out_what_is_known(tmp_path: Path) -> None:
    def undoing(compensate: dict[str, Any]) -> Any:
        made = node(
            "vpc", "aws.ec2.create_vpc", config={"CidrBlock": "10.0.0.0/16"}, compensate=compensate
        )
        plan = compiled(tmp_path, flow(made)).plan
        assert plan is not None
        (step,) = plan.steps
        assert step.compensate is not None
        return step.compensate.type, step.compensate.config

    known = ("aws.ec2.delete_vpc", {"VpcId": "{{ output.Vpc.VpcId }}"})
    assert undoing({}) == known
    assert undoing({"type": "aws.ec2.delete_vpc"}) == known
    assert undoing({"type": "aws.ec2.delete_vpc", "config": {"VpcId": "vpc-1"}}) == (
        "aws.ec2.delete_vpc",
        {"VpcId": "vpc-1"},
    )
