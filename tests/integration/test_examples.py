"""The example flows do what they say, from the command line, on the simulated cloud."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from cloudflow_dagster.simulator import ENVIRONMENT_VARIABLE, start_simulated_aws

pytestmark = pytest.mark.integration

CLOUDFLOW = (sys.executable, "-c", "from cloudflow_dagster.cli import main; main()")
Client = Callable[[str], Any]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with start_simulated_aws() as cloud:
        yield cloud.endpoint


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    subprocess.run([*CLOUDFLOW, "init", str(folder)], check=True, capture_output=True)
    return folder


@pytest.fixture
def run(root: Path, endpoint: str) -> Callable[..., dict[str, Any]]:
    """Run a flow as a user does, and return what it prints."""

    def run(flow: str, **params: str) -> dict[str, Any]:
        pairs = [part for name, value in params.items() for part in ("-p", f"{name}={value}")]
        done = subprocess.run(
            [*CLOUDFLOW, "run", flow, "--format", "json", *pairs],
            cwd=root,
            env={**os.environ, ENVIRONMENT_VARIABLE: endpoint},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        summary = json.loads(done.stdout)
        assert (done.returncode, summary["status"]) == (0, "success"), done.stderr
        return summary

    return run


@pytest.fixture
def client(endpoint: str) -> Client:
    def client(service: str) -> Any:
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        return boto3.client(service, endpoint_url=endpoint, region_name="us-east-1", **keys)

    return client


def test_nightly_backup_snapshots_and_keeps_the_newest(run: Any, client: Client) -> None:
    mine = [{"Name": "tag:made-by", "Values": ["nightly-backup"]}]
    assert run("nightly_backup")["result"] == {"volumes": 3, "failed": 0, "deleted": 0}
    assert len(client("ec2").describe_snapshots(Filters=mine)["Snapshots"]) == 3
    again = run("nightly_backup", keep="1")
    assert again["result"] == {"volumes": 3, "failed": 0, "deleted": 3}
    assert again["nodes"]["alert"]["status"] == "skipped"
    assert len(client("ec2").describe_snapshots(Filters=mine)["Snapshots"]) == 3


def test_stop_untagged_instances_stops_those_and_no_others(run: Any, client: Client) -> None:
    def running() -> set[str]:
        state = [{"Name": "instance-state-name", "Values": ["running"]}]
        pages = client("ec2").describe_instances(Filters=state)["Reservations"]
        return {i["InstanceId"] for page in pages for i in page["Instances"]}

    before = running()
    looked = run("stop_untagged_instances", dry_run="true")["result"]
    assert looked["untagged"]
    assert running() == before
    stopped = run("stop_untagged_instances")["result"]["stopped"]
    assert set(stopped) == set(looked["untagged"]) == before - running()
    assert running()


def test_s3_inventory_writes_a_report(run: Any, client: Client) -> None:
    result = run("s3_inventory")["result"]
    body = client("s3").get_object(Bucket="acme-reports", Key=result["key"])["Body"].read()
    rows = json.loads(body)
    assert len(rows) == result["buckets"] == 3
    assert sum(row["bytes"] for row in rows) == result["bytes"] > 0


def test_volumes_everywhere_looks_in_both_accounts_and_regions(run: Any) -> None:
    result = run("volumes_everywhere")["result"]
    places = {(place["account"], place["region"]) for place in result["places"]}
    assert {("main", "us-east-1"), ("main", "eu-west-1"), ("audit", "us-east-1")} <= places
    assert result["gigabytes"] == sum(place["gigabytes"] for place in result["places"])


def test_public_address_attaches_or_gives_the_address_back(run: Any, client: Client) -> None:
    before = len(client("ec2").describe_addresses()["Addresses"])
    assert run("public_address")["result"]["attached"] is True
    assert len(client("ec2").describe_addresses()["Addresses"]) == before + 1
    undone = run("public_address", instance="nobody")
    assert undone["result"]["attached"] is False
    assert "i-00000000000000000" in undone["result"]["because"]
    assert undone["nodes"]["attach"]["attempts"] == 3
    assert len(client("ec2").describe_addresses()["Addresses"]) == before + 1


def test_weekly_review_calls_the_others(run: Any) -> None:
    result = run("weekly_review")["result"]
    assert result["inventory"]["buckets"] == 3
    assert result["unattached"]["gigabytes"] > 0
