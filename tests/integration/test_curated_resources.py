"""Every curated resource type is made, changed and deleted on the simulated cloud."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.resource import IDENTIFIER, Existing
from cloudflow_dagster.nodes.spec import NodeType
from cloudflow_dagster.providers.aws.permissions.actions import actions_of
from cloudflow_dagster.simulator import start_simulated_aws
from tests.fixtures.curated_flows import Cloud, KilledError
from tests.fixtures.curated_lives import Life, furnish
from tests.fixtures.curated_resources import RESOURCES, TRIPS, Trip
from tests.fixtures.narrowing import unfitting

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with start_simulated_aws(seeded=False) as running:
        yield Cloud(running.endpoint)


def test_all_curated_resource_types_are_here() -> None:
    assert set(TRIPS) == set(RESOURCES)


@pytest.fixture(scope="module")
def there(cloud: Cloud) -> dict[str, Any]:
    cloud.at_work("the test")
    return furnish(cloud.login(None, "aws", None))


@pytest.mark.parametrize("id", TRIPS)
def test_one_is_made_once_changed_and_deleted(
    id: str, cloud: Cloud, there: dict[str, Any], tmp_path: Path
) -> None:
    trip, life = TRIPS[id].filled(there), Life(id, cloud, tmp_path)
    call = life.call()
    cloud.last = life.type.calls[0]
    with pytest.raises(KilledError):
        life.work(trip.config, call)
    call.repeated = True
    made = life.work(trip.config, call)
    assert life.type.calls[0] not in life.now, "It was made twice."
    assert_is(life, made, trip.config)
    assert life.work(trip.config) == made
    reading = set(life.now)
    now = dict(trip.config)
    if trip.changed is not None:
        now |= trip.changed
        changed = life.work(now)
        assert_is(life, changed, now)
        assert changed[IDENTIFIER] == made[IDENTIFIER]
        life.work(now)
        assert life.now == reading, "What is as it should be was changed."
    assert_refused(life, {**now, **trip.fixed}, trip)
    assert_permitted(life, now, trip)
    assert list(unfitting(each for each in cloud.asked if each.id == id)) == []
    life.model.delete(life.call(), made[IDENTIFIER])
    assert life.model.read is not None
    assert life.model.read(life.call(), made[IDENTIFIER]) is None
    life.model.delete(life.call(), made[IDENTIFIER])


def assert_is(life: Life, output: dict[str, Any], config: Mapping[str, Any]) -> None:
    hidden = {path[0] for path in life.model.write_only}
    wanted = life.model.complete(config)
    assert {name for name, value in wanted.items() if value} <= {*output, *hidden}
    assert life.model.changes(Existing(output[IDENTIFIER], output), wanted) == []


def assert_refused(life: Life, config: Mapping[str, Any], trip: Trip) -> None:
    """What cannot be changed is named, and nothing is done."""
    if not trip.fixed:
        return
    with pytest.raises(NodeError) as caught:
        life.work(config)
    assert caught.value.code == "ReplacementNeeded"
    assert all(f"`{name}`" in caught.value.message for name in trip.fixed)


def assert_permitted(life: Life, config: Mapping[str, Any], trip: Trip) -> None:
    """What was called is allowed, and nothing else but what is known."""
    needed = {action for name in life.all for action in actions_of(*name.split(".", 1))}
    assert needed - allowed(life.type, config) == set()
    assert allowed(life.type, config) - needed == unused(trip) - needed


def allowed(node_type: NodeType, config: Mapping[str, Any]) -> set[str]:
    return {each.action for each in node_type.permissions_for(config) if not each.dependent}


def unused(trip: Trip) -> set[str]:
    return {action for name in trip.unused for action in actions_of(*name.split(".", 1))}


def test_hardly_anything_is_allowed_that_was_not_called() -> None:
    total = sum(
        len(allowed(RESOURCES[id], {**t.config, **(t.changed or {})})) for id, t in TRIPS.items()
    )
    surplus = sum(len(unused(trip)) for trip in TRIPS.values())
    assert surplus < total / 10, (surplus, total)


def test_a_change_of_a_distribution_keeps_what_others_have_set(
    cloud: Cloud, tmp_path: Path
) -> None:
    life = Life("aws.cloudfront.distribution", cloud, tmp_path)
    config = {"name": "shared", "domain": "shop.example.com"}
    made = life.work(config)
    client = cloud.login(None, "aws", None).client("cloudfront")
    answer = client.get_distribution_config(Id=made["id"])
    theirs = answer["DistributionConfig"]
    origin = theirs["Origins"]["Items"][0]
    header = {"HeaderName": "X-Shop", "HeaderValue": "open"}
    origin["CustomHeaders"] = {"Quantity": 1, "Items": [header]}
    origin["OriginPath"] = "/site"
    client.update_distribution(Id=made["id"], IfMatch=answer["ETag"], DistributionConfig=theirs)
    life.work({**config, "price_class": "PriceClass_100"})
    now = client.get_distribution_config(Id=made["id"])["DistributionConfig"]
    assert now["PriceClass"] == "PriceClass_100"
    (kept,) = now["Origins"]["Items"]
    assert kept["OriginPath"] == "/site"
    assert kept["CustomHeaders"]["Items"] == [header]
    life.work({**config, "price_class": "PriceClass_100", "cached": False})
    now = client.get_distribution_config(Id=made["id"])["DistributionConfig"]
    assert now["Origins"]["Items"][0]["OriginPath"] == "/site"
    life.model.delete(life.call(), made[IDENTIFIER])


@pytest.mark.usefixtures("there")
def test_a_name_stands_for_a_distribution_and_is_put_back(cloud: Cloud, tmp_path: Path) -> None:
    front = Life("aws.cloudfront.distribution", cloud, tmp_path)
    site = front.work({"name": "named", "domain": "shop.example.com"})
    life = Life("aws.route53.record", cloud, tmp_path)
    config = {"zone": "trips.example", "name": "*.trips.example", "alias": site}
    made = life.work(config)
    wanted = {"host": site["host"], "zone_id": site["zone_id"], "check_health": False}
    assert made["alias"] == wanted
    assert not {"values", "ttl"} & made.keys()
    assert life.work(config) == made
    assert "route53.ChangeResourceRecordSets" not in life.now
    client = cloud.login(None, "aws", None).client("route53")
    zones = client.list_hosted_zones_by_name(DNSName="trips.example")["HostedZones"]
    record = {
        "Name": "*.trips.example",
        "Type": "A",
        "AliasTarget": {
            "DNSName": "Elsewhere.example.",
            "HostedZoneId": "Z1",
            "EvaluateTargetHealth": True,
        },
    }
    changes = {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]}
    client.change_resource_record_sets(HostedZoneId=zones[0]["Id"], ChangeBatch=changes)
    assert life.model.read is not None
    drifted = life.model.read(life.call(), made[IDENTIFIER])
    assert drifted is not None
    assert drifted.properties["alias"] == {
        "host": "elsewhere.example",
        "zone_id": "Z1",
        "check_health": True,
    }
    assert life.work(config) == made
    plain = {"zone": "trips.example", "name": "*.trips.example", "values": "10.0.0.1"}
    assert life.work(plain)["ttl"] == 300
    assert life.work(config) == made
    life.model.delete(life.call(), made[IDENTIFIER])
    assert life.model.read(life.call(), made[IDENTIFIER]) is None
    front.model.delete(front.call(), site[IDENTIFIER])


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({}, "give either `values` or `alias`"),
        ({"values": "10.0.0.1", "alias": {"host": "a.example", "zone_id": "Z1"}}, "give either"),
        ({"alias": {"host": "a.example", "zone_id": "Z1"}, "ttl": 60}, "leave out `ttl`"),
        ({"alias": {"host": "a.example"}}, "`alias.zone_id`"),
        ({"alias": {"host": "a.example", "zone_id": "Z1", "health": True}}, "`alias.health`"),
    ],
)
def test_a_record_that_is_neither_values_nor_an_alias_is_refused(
    config: dict[str, Any], why: str, cloud: Cloud, tmp_path: Path
) -> None:
    life = Life("aws.route53.record", cloud, tmp_path)
    with pytest.raises(NodeError) as caught:
        life.work({"zone": "trips.example", "name": "www.trips.example", **config})
    assert caught.value.code == "InvalidConfig"
    assert why in caught.value.message
    assert life.now == set()


def balancer_config(there: dict[str, Any], group: str, **https: Any) -> dict[str, Any]:
    listener = {"port": 443, "certificate": there["certificate"], "forward": group, **https}
    return {
        "name": "groups",
        "subnets": there["subnets"],
        "listeners": [listener],
        "target_groups": [{"name": group}],
    }


def test_a_target_group_of_somebody_else_is_neither_taken_nor_deleted(
    cloud: Cloud, there: dict[str, Any], tmp_path: Path
) -> None:
    life = Life("aws.elbv2.load_balancer", cloud, tmp_path)
    elb = cloud.login(None, "aws", None).client("elbv2")
    vpc = cloud.login(None, "aws", None).client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"]
    asked = {"Name": "theirs", "Port": 80, "Protocol": "HTTP", "VpcId": vpc, "TargetType": "ip"}
    theirs = elb.create_target_group(**asked)["TargetGroups"][0]
    with pytest.raises(NodeError) as caught:
        life.work(balancer_config(there, "theirs"))
    assert caught.value.code == "AlreadyExists"
    assert "`theirs`" in caught.value.message
    made = life.work(balancer_config(there, "mine"))
    assert life.work(balancer_config(there, "mine")) == made
    # At another port: moto does not notice where a listener that was changed forwards to.
    other = life.work(balancer_config(there, "other", port=444))
    assert other["target_group_arns"].keys() == {"other"}
    assert {each["TargetGroupName"] for each in elb.describe_target_groups()["TargetGroups"]} == {
        "theirs",
        "other",
    }
    cloud.last = "elbv2.DeleteLoadBalancer"
    with pytest.raises(KilledError):
        life.model.delete(life.call(), "groups")
    left = {each["TargetGroupName"] for each in elb.describe_target_groups()["TargetGroups"]}
    assert left == {"theirs", "other"}
    life.model.delete(life.call(), "groups")
    left = {each["TargetGroupName"] for each in elb.describe_target_groups()["TargetGroups"]}
    assert left == {"theirs"}
    elb.delete_target_group(TargetGroupArn=theirs["TargetGroupArn"])


def test_https_is_spoken_as_aws_recommends_unless_the_config_says_otherwise(
    cloud: Cloud, there: dict[str, Any], tmp_path: Path
) -> None:
    life = Life("aws.elbv2.load_balancer", cloud, tmp_path)
    elb = cloud.login(None, "aws", None).client("elbv2")

    def policy() -> str:
        (found,) = elb.describe_listeners(LoadBalancerArn=made["arn"])["Listeners"]
        return found["SslPolicy"]

    made = life.work(balancer_config(there, "tls"))
    assert policy() == "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"
    only_13 = "ELBSecurityPolicy-TLS13-1-3-2021-06"
    life.work(balancer_config(there, "tls", tls_policy=only_13))
    assert policy() == only_13
    assert life.work(balancer_config(there, "tls"))["listeners"] == made["listeners"]
    assert policy() == "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"
    with pytest.raises(NodeError, match="needs a `certificate`"):
        life.work(balancer_config(there, "tls", certificate=None, tls_policy=only_13))
    life.model.delete(life.call(), "groups")


@pytest.mark.usefixtures("there")
def test_a_distribution_fetches_from_where_its_bucket_is(cloud: Cloud, tmp_path: Path) -> None:
    life = Life("aws.cloudfront.distribution", cloud, tmp_path)
    login = cloud.login(None, "aws", None)
    where = {"LocationConstraint": "eu-west-1"}
    login.client("s3", region="eu-west-1").create_bucket(
        Bucket="far-away", CreateBucketConfiguration=where
    )

    def origin() -> str:
        config = login.client("cloudfront").get_distribution_config(Id=made["id"])
        return config["DistributionConfig"]["Origins"]["Items"][0]["DomainName"]

    made = life.work({"name": "far", "bucket": "shop"})
    assert origin() == "shop.s3.us-east-1.amazonaws.com"
    made = life.work({"name": "far", "bucket": "far-away"})
    assert made["bucket_region"] == "eu-west-1"
    assert origin() == "far-away.s3.eu-west-1.amazonaws.com"
    life.work({"name": "far", "bucket": "far-away", "bucket_region": "eu-north-1"})
    assert origin() == "far-away.s3.eu-north-1.amazonaws.com"
    assert "s3.GetBucketLocation" not in life.now
    with pytest.raises(NodeError, match="as `bucket_region`") as caught:
        life.work({"name": "far", "bucket": "of-nobody"})
    assert caught.value.code == "NoSuchBucket"
    with pytest.raises(NodeError, match="and there is none"):
        life.work({"name": "far", "domain": "shop.example", "bucket_region": "eu-west-1"})
    life.model.delete(life.call(), "far")


@pytest.mark.usefixtures("there")
def test_a_record_is_found_as_route_53_spells_its_name(cloud: Cloud, tmp_path: Path) -> None:
    def spell(parsed: dict[str, Any], **_: Any) -> None:
        for record in parsed.get("ResourceRecordSets", []):
            record["Name"] = record["Name"].replace("*", "\\052").lower()

    own = Cloud(cloud.endpoint)
    own.events.register("after-call.route-53.ListResourceRecordSets", spell)
    life = Life("aws.route53.record", own, tmp_path)
    config = {"zone": "trips.example", "name": "*.Any.trips.example", "values": "10.0.0.1"}
    made = life.work(config)
    assert life.work(config) == made
    assert "route53.ChangeResourceRecordSets" not in life.now
    plain = Life("aws.route53.record", cloud, tmp_path)
    plain.model.delete(plain.call(), made[IDENTIFIER])
