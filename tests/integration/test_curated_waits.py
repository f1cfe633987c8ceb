"""Curated node types that promise that something is ready wait, on a cloud that takes its time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudflow_dagster.nodes.resource import IDENTIFIER
from cloudflow_dagster.providers import catalogue
from cloudflow_dagster.simulator import start_simulated_aws
from tests.fixtures.curated_flows import Cloud, KilledError
from tests.fixtures.curated_lives import AwsCall, Life, furnish
from tests.fixtures.curated_resources import TRIPS
from tests.fixtures.slow_cloud import SlowCloud
from tests.fixtures.slow_operations import SLOW

pytestmark = pytest.mark.integration
TAKE_TIME: dict[str, tuple[str, ...]] = {
    "aws.rds.instance": ("rds.CreateDBInstance", "rds.ModifyDBInstance", "rds.DeleteDBInstance"),
    "aws.elasticache.cluster": (
        "elasticache.CreateReplicationGroup",
        "elasticache.ModifyReplicationGroup",
        "elasticache.DeleteReplicationGroup",
    ),
    "aws.cloudfront.distribution": (
        "cloudfront.CreateDistribution",
        "cloudfront.UpdateDistribution",
        "cloudfront.UpdateDistribution",  # a distribution is switched off first
    ),
    "aws.ecs.service": ("ecs.CreateService", "ecs.UpdateService", "ecs.DeleteService"),
    "aws.efs.file_system": ("efs.CreateFileSystem", "", "efs.DeleteFileSystem"),
    "aws.elbv2.load_balancer": ("elbv2.CreateLoadBalancer", "", ""),
    "aws.ec2.instance": ("ec2.RunInstances", "", ""),
    "aws.ec2.volume": ("ec2.CreateVolume", "ec2.ModifyVolume", ""),
    "aws.dynamodb.table": (
        "dynamodb.CreateTable",
        "dynamodb.UpdateTable",
        "dynamodb.DeleteTable",
    ),
    "aws.lambda.function": ("lambda.CreateFunction", "lambda.UpdateFunctionConfiguration", ""),
}
"""The operations that make, change and delete one of a type, where they take their time."""


class PatientCall(AwsCall):
    """A call that sleeps in the cloud's time."""

    cloud: SlowCloud

    def sleep(self, seconds: float) -> None:
        self.cloud.pass_by(seconds)


class SlowLife(Life):
    """Works on one resource of a cloud that takes its time."""

    cloud: SlowCloud

    def call(self) -> PatientCall:
        made = PatientCall(files=self.folder)
        made.aws = self.cloud.login(None, "aws", None)
        made.cloud = self.cloud
        return made


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with start_simulated_aws(seeded=False) as running:
        yield running.endpoint


@pytest.fixture(scope="module")
def there(endpoint: str) -> dict[str, Any]:
    cloud = Cloud(endpoint)
    cloud.at_work("the test")
    return furnish(cloud.login(None, "aws", None))


@pytest.fixture
def cloud(endpoint: str) -> SlowCloud:
    made = SlowCloud(endpoint, SLOW)
    made.at_work("the test")
    return made


@pytest.mark.parametrize("id", TAKE_TIME)
def test_a_resource_is_ready_when_its_node_ends(
    id: str, cloud: SlowCloud, there: dict[str, Any], tmp_path: Path
) -> None:
    trip, life = TRIPS[id].filled(there), SlowLife(id, cloud, tmp_path)
    made = life.work(trip.config)
    assert (cloud.under_way, cloud.now > 0) == ([], True)
    changed = life.work({**trip.config, **(trip.changed or {})})
    assert cloud.under_way == []
    assert changed[IDENTIFIER] == made[IDENTIFIER]
    life.model.delete(life.call(), made[IDENTIFIER])
    assert cloud.under_way == []
    assert life.model.read is not None
    assert life.model.read(life.call(), made[IDENTIFIER]) is None


@pytest.mark.parametrize("id", ["aws.elasticache.cluster", "aws.ecs.service", "aws.rds.instance"])
def test_what_takes_an_hour_is_waited_for(
    id: str, cloud: SlowCloud, there: dict[str, Any], tmp_path: Path
) -> None:
    cloud.seconds = 3600
    trip, life = TRIPS[id].filled(there), SlowLife(id, cloud, tmp_path)
    made = life.work(trip.config)
    assert (cloud.under_way, cloud.now >= cloud.seconds) == ([], True)
    life.model.delete(life.call(), made[IDENTIFIER])
    assert cloud.under_way == []


@pytest.mark.parametrize("id", TAKE_TIME)
def test_what_an_interrupted_run_has_begun_is_waited_for(
    id: str, cloud: SlowCloud, there: dict[str, Any], tmp_path: Path
) -> None:
    trip, life = TRIPS[id].filled(there), SlowLife(id, cloud, tmp_path)
    making, changing, deleting = TAKE_TIME[id]
    changed = {**trip.config, **(trip.changed or {})}
    for operation, config in ((making, trip.config), (changing, changed)):
        call = life.call()
        cloud.last = operation
        if operation:
            with pytest.raises(KilledError):
                life.work(config, call)
            assert operation in cloud.under_way
            call.repeated = True
        made = life.work(config, call)
        assert cloud.under_way == []
    call = life.call()
    cloud.last = deleting
    if deleting:
        with pytest.raises(KilledError):
            life.model.delete(call, made[IDENTIFIER])
        call.repeated = True
    life.model.delete(call, made[IDENTIFIER])
    assert cloud.under_way == []


DATABASE = {
    "DBInstanceIdentifier": "slow",
    "DBInstanceClass": "db.t4g.micro",
    "Engine": "postgres",
    "AllocatedStorage": 20,
}


def test_actions_on_databases_wait_until_they_are_done(cloud: SlowCloud, tmp_path: Path) -> None:
    rds = cloud.login(None, "aws", None).client("rds")
    rds.create_db_instance(**DATABASE)
    cloud.pass_by(1000)
    for id, config in (
        ("aws.rds.instance.reboot", {"database": "slow"}),
        ("aws.rds.instance.stop", {"database": "slow"}),
        ("aws.rds.instance.start", {"database": "slow"}),
        ("aws.rds.instance.snapshot", {"database": "slow", "name": "slow-1"}),
        ("aws.rds.instance.restore", {"snapshot": "slow-1", "name": "slow-2"}),
    ):
        given = work(cloud, tmp_path, id, config)
        assert cloud.under_way == [], id
        assert given["status"] in {"available", "stopped"}


def test_actions_on_machines_wait_until_they_are_done(cloud: SlowCloud, tmp_path: Path) -> None:
    launched = work(cloud, tmp_path, "aws.ec2.instance.launch", {"image": "ami-12c6146b"})
    assert cloud.under_way == []
    for verb, state in (("stop", "stopped"), ("start", "running")):
        given = work(cloud, tmp_path, f"aws.ec2.instance.{verb}", {"instances": launched["ids"]})
        assert cloud.under_way == []
        assert [each["state"] for each in given["instances"]] == [state]
    image = {"instance": launched["ids"][0], "name": "slow"}
    made = work(cloud, tmp_path, "aws.ec2.image.create", image)
    assert (cloud.under_way, made["state"]) == ([], "available")
    ec2 = cloud.login(None, "aws", None).client("ec2")
    volume = ec2.describe_volumes()["Volumes"][0]["VolumeId"]
    made = work(cloud, tmp_path, "aws.ec2.snapshot.create", {"volumes": volume})
    assert (cloud.under_way, made["snapshots"][0]["state"]) == ([], "completed")
    work(cloud, tmp_path, "aws.ec2.instance.terminate", {"instances": launched["ids"]})
    assert cloud.under_way == []


def test_an_invalidation_is_waited_for(cloud: SlowCloud, tmp_path: Path) -> None:
    life = SlowLife("aws.cloudfront.distribution", cloud, tmp_path)
    made = life.work({"name": "slow", "domain": "shop.example.com"})
    given = work(
        cloud, tmp_path, "aws.cloudfront.distribution.invalidate", {"distribution": made["id"]}
    )
    assert given["status"].lower() == "completed"
    assert cloud.under_way == []


def work(cloud: SlowCloud, folder: Path, id: str, config: dict[str, Any]) -> Any:
    node_type = catalogue().get(id)
    assert node_type is not None
    assert node_type.handler is not None
    call = PatientCall(files=folder)
    call.aws, call.cloud = cloud.login(None, "aws", None), cloud
    return node_type.handler(call, config)
