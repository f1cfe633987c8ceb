"""Every curated resource type is made, changed and deleted on the simulated cloud."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.resource import IDENTIFIER, Existing
from cloudflow_dagster.nodes.spec import NodeType
from cloudflow_dagster.providers.aws.permissions.actions import actions_of
from cloudflow_dagster.simulator import start_simulated_aws
from tests.fixtures.calls import WorkingCall
from tests.fixtures.curated_flows import Cloud, KilledError
from tests.fixtures.curated_resources import FOR_LAMBDA, POLICY, RESOURCES, TRIPS, Trip

pytestmark = pytest.mark.integration


class AwsCall(WorkingCall):
    """A call with the test's login."""

    aws: Any

    def login(self, provider: str) -> Any:
        assert provider == "aws"
        return self.aws


class Life:
    """Works on one resource, and knows which operations that takes."""

    def __init__(self, id: str, cloud: Cloud, folder: Path) -> None:
        self.id, self.cloud, self.folder = id, cloud, folder
        self.type: NodeType = RESOURCES[id]
        assert self.type.resource is not None
        self.model = self.type.resource
        self.all: set[str] = set()

    def call(self) -> AwsCall:
        made = AwsCall(files=self.folder)
        made.aws = self.cloud.login(None, "aws", None)
        return made

    def work(self, config: Mapping[str, Any], call: AwsCall | None = None) -> dict[str, Any]:
        """Do what a node does; note its operations."""
        assert self.type.handler is not None
        self.cloud.made.clear()
        self.cloud.at_work(self.id)
        try:
            output: Any = self.type.handler(call or self.call(), dict(config))
        finally:
            self.all |= self.now
        return output

    @property
    def now(self) -> set[str]:
        """The operations of the work that was done last."""
        return self.cloud.made[self.id]


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with start_simulated_aws(seeded=False) as running:
        made = Cloud(running.endpoint)
        made.at_work("the test")
        login = made.login(None, "aws", None)
        login.client("sqs").create_queue(QueueName="dead")
        login.client("route53").create_hosted_zone(Name="trips.example", CallerReference="1")
        trust = json.dumps(FOR_LAMBDA)
        login.client("iam").create_role(RoleName="trips", AssumeRolePolicyDocument=trust)
        for name in ("old", "new"):
            login.client("iam").create_policy(PolicyName=name, PolicyDocument=json.dumps(POLICY))
        yield made


def test_all_curated_resource_types_are_here() -> None:
    assert set(TRIPS) == set(RESOURCES)


@pytest.fixture(scope="module")
def there(cloud: Cloud) -> dict[str, Any]:
    """What trips need that is there before; they name it `<name>`."""
    login = cloud.login(None, "aws", None)
    subnets = login.client("ec2").describe_subnets()["Subnets"]
    groups = login.client("ec2").describe_security_groups()["SecurityGroups"]
    rules = login.client("wafv2").create_web_acl(
        Name="there",
        Scope="REGIONAL",
        DefaultAction={"Allow": {}},
        VisibilityConfig={
            "SampledRequestsEnabled": False,
            "CloudWatchMetricsEnabled": False,
            "MetricName": "there",
        },
    )
    ecs = login.client("ecs")
    ecs.create_cluster(clusterName="trips")
    for image in ("nginx:1", "nginx:2"):
        container = {"name": "web", "image": image, "memory": 128}
        ecs.register_task_definition(family="trips", containerDefinitions=[container])
    certificate = login.client("acm").request_certificate(DomainName="trips.example")
    ids = [each["SubnetId"] for each in sorted(subnets, key=lambda each: each["AvailabilityZone"])]
    return {
        "subnets": ids[:2],
        "other subnets": ids[1:3],
        "security groups": [each["GroupId"] for each in groups],
        "web_acl": rules["Summary"]["ARN"],
        "certificate": certificate["CertificateArn"],
    }


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
