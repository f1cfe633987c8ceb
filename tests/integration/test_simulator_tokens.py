"""The simulated EC2 makes nothing a second time for the same client token, as AWS does."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cloudflow_dagster.simulator import start_simulated_aws
from cloudflow_dagster.simulator.estate import IMAGE
from cloudflow_dagster.simulator.session import SECOND_ACCOUNT, EstateAccount

pytestmark = pytest.mark.integration
ZONE = {"AvailabilityZone": "us-east-1a", "Size": 8}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with start_simulated_aws(seeded=False) as cloud:
        yield cloud.endpoint


@pytest.fixture
def ec2(endpoint: str) -> Any:
    return EstateAccount(endpoint).client("ec2")


def volumes(client: Any) -> int:
    return len(client.describe_volumes()["Volumes"])


def test_a_repeated_token_gives_the_first_answer_and_makes_nothing(ec2: Any) -> None:
    before = volumes(ec2)
    first, second = (ec2.create_volume(**ZONE, ClientToken="same") for _ in range(2))

    assert first["VolumeId"] == second["VolumeId"]
    assert volumes(ec2) == before + 1
    started = [
        ec2.run_instances(ImageId=IMAGE, MinCount=2, MaxCount=2, ClientToken="same")
        for _ in range(2)
    ]
    assert started[0]["ReservationId"] == started[1]["ReservationId"]
    ids = [[i["InstanceId"] for i in each["Instances"]] for each in started]
    assert len(ids[0]) == 2
    assert ids[0] == ids[1]


def test_other_parameters_with_the_same_token_are_refused(ec2: Any) -> None:
    ec2.create_volume(**ZONE, ClientToken="mismatch")
    before = volumes(ec2)

    with pytest.raises(ClientError) as refused:
        ec2.create_volume(**{**ZONE, "Size": 9}, ClientToken="mismatch")
    assert refused.value.response["Error"]["Code"] == "IdempotentParameterMismatch"
    assert "mismatch" in refused.value.response["Error"]["Message"]
    assert volumes(ec2) == before


def test_without_a_token_or_with_another_one_each_call_makes_something(ec2: Any) -> None:
    before = volumes(ec2)
    for token in ("one", "two"):
        ec2.create_volume(**ZONE, ClientToken=token)

    assert volumes(ec2) == before + 2


def test_a_call_that_was_refused_can_be_made_with_the_same_token(ec2: Any) -> None:
    with pytest.raises(ClientError):
        ec2.create_volume(**ZONE, SnapshotId="snap-0123456789abcdef0", ClientToken="mended")

    assert ec2.create_volume(**ZONE, ClientToken="mended")["VolumeId"]


def test_a_token_counts_in_one_account_and_region(endpoint: str, ec2: Any) -> None:
    here = EstateAccount(endpoint)
    role = f"arn:aws:iam::{SECOND_ACCOUNT}:role/any"
    there = [EstateAccount(endpoint, role).client("ec2") for _ in range(2)]
    west = here.client("ec2", region="us-west-2")
    ids = {
        ec2.create_volume(**ZONE, ClientToken="apart")["VolumeId"],
        # The role's key is another one each time, its account is not.
        *(each.create_volume(**ZONE, ClientToken="apart")["VolumeId"] for each in there),
        west.create_volume(AvailabilityZone="us-west-2a", Size=8, ClientToken="apart")["VolumeId"],
    }

    assert len(ids) == 3


def test_of_two_at_the_same_time_one_makes_it(ec2: Any) -> None:
    before = volumes(ec2)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: ec2.create_volume(**ZONE, ClientToken="at once"), range(16)))

    assert len({each["VolumeId"] for each in made}) == 1
    assert volumes(ec2) == before + 1
