"""What AWS spells otherwise than people do, and what curated types name of it."""

from __future__ import annotations

import pytest

from cloudflow_dagster.nodes.permission import Permission
from cloudflow_dagster.providers import catalogue
from cloudflow_dagster.providers.aws.curated.cloudfront.origin import origin_as_written
from cloudflow_dagster.providers.aws.curated.route53.record import Alias, ZoneRecord
from cloudflow_dagster.providers.aws.permissions.arns import resources_for
from cloudflow_dagster.providers.aws.permissions.place import Place

HERE = Place("eu-west-1", "111111111111")


@pytest.mark.parametrize(
    ("domain", "written"),
    [
        ("b.s3.eu-west-1.amazonaws.com", {"bucket": "b", "bucket_region": "eu-west-1"}),
        ("b.s3.amazonaws.com", {"bucket": "b", "bucket_region": None}),
        ("a.s3.b.s3.eu-west-1.amazonaws.com", {"bucket": "a.s3.b", "bucket_region": "eu-west-1"}),
        ("b.s3.cn-north-1.amazonaws.com.cn", {"bucket": "b", "bucket_region": "cn-north-1"}),
        ("files.s3.example.com", {"domain": "files.s3.example.com"}),
    ],
)
def test_an_origin_is_a_bucket_only_if_its_name_is_that_of_one(
    domain: str, written: dict[str, str | None]
) -> None:
    assert origin_as_written([{"DomainName": domain}]) == written


def test_characters_that_route_53_spells_by_number_are_read() -> None:
    assert Alias(host="\\052.A\\0572.example.", zone_id="Z").host == "*.a/2.example"


def test_an_alias_of_what_another_node_gave_keeps_what_is_said_of_health() -> None:
    given = {"identifier": "arn", "host": "lb.example", "zone_id": "Z1", "check_health": True}
    record = ZoneRecord.model_validate({"zone": "Z", "name": "www.x.example", "alias": given})
    assert record.alias == Alias(host="lb.example", zone_id="Z1", check_health=True)


def test_a_snapshot_whose_name_is_made_up_may_be_any_and_one_with_a_name_is_that() -> None:
    node_type = catalogue().get("aws.rds.instance.snapshot")
    assert node_type is not None
    for more, named in ({}, "*"), ({"name": "Before"}, "before"):
        config = {"database": "shop", **more}
        needed = node_type.permissions_for(config)
        for action in ("rds:CreateDBSnapshot", "rds:DescribeDBSnapshots"):
            allowed = resources_for(Permission(action), node_type.names_for(config), HERE, needed)
            assert f"arn:aws:rds:eu-west-1:111111111111:snapshot:{named}" in allowed


def test_what_is_merely_made_use_of_is_not_tagged() -> None:
    node_type = catalogue().get("aws.ec2.instance.launch")
    assert node_type is not None
    config = {"image": "ami-1", "subnet": "subnet-1", "type": "t3.micro", "name": "web"}
    needed = node_type.permissions_for(config)
    [tags] = [each for each in needed if each.action == "ec2:CreateTags"]
    allowed = resources_for(tags, node_type.names_for(config), HERE, needed)
    assert "arn:aws:ec2:eu-west-1:111111111111:instance/*" in allowed
    assert not [arn for arn in allowed if ":image/" in arn or ":subnet/" in arn]


@pytest.mark.parametrize("to", [{}, {"to_bucket": "b"}])
def test_the_source_of_a_copy_is_read_and_its_target_written(to: dict[str, str]) -> None:
    node_type = catalogue().get("aws.s3.object.copy")
    assert node_type is not None
    config = {"bucket": "a", "key": "k", "to_key": "t", "version": "v", **to}
    names = node_type.names_for(config)
    allowed = {
        each.action: resources_for(each, names, HERE)
        for each in node_type.permissions_for(config)
        if not each.dependent
    }
    assert allowed == {
        "s3:GetObjectVersion": ("arn:aws:s3:::a/k",),
        "s3:PutObject": (f"arn:aws:s3:::{to.get('to_bucket', 'a')}/t",),
    }
