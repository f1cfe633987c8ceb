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
from click.testing import CliRunner

from cloudflow_dagster.cli import main
from cloudflow_dagster.simulator import ENVIRONMENT_VARIABLE, start_simulated_aws
from cloudflow_dagster.simulator.session import ACCESS_KEY
from tests.fixtures import recorded_calls

pytestmark = pytest.mark.integration

CLOUDFLOW = (sys.executable, "-c", "from cloudflow_dagster.cli import main; main()")
RECORDED = (sys.executable, recorded_calls.__file__)
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
            [*RECORDED, "run", flow, "--format", "json", *pairs],
            cwd=root,
            env={
                **os.environ,
                ENVIRONMENT_VARIABLE: endpoint,
                recorded_calls.FILE: str(root / f"{Path(flow).stem}.calls"),
            },
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


ACTIONS = {
    "ec2.AllocateAddress": "ec2:AllocateAddress",
    "ec2.AssociateAddress": "ec2:AssociateAddress",
    "ec2.CreateSnapshot": "ec2:CreateSnapshot",
    "ec2.DeleteSnapshot": "ec2:DeleteSnapshot",
    "ec2.DescribeInstances": "ec2:DescribeInstances",
    "ec2.DescribeSnapshots": "ec2:DescribeSnapshots",
    "ec2.DescribeVolumes": "ec2:DescribeVolumes",
    "ec2.ReleaseAddress": "ec2:ReleaseAddress",
    "ec2.StopInstances": "ec2:StopInstances",
    "s3.ListBuckets": "s3:ListAllMyBuckets",
    "s3.ListObjectsV2": "s3:ListBucket",
    "s3.PutObject": "s3:PutObject",
    "sns.Publish": "sns:Publish",
    "sts.AssumeRole": "sts:AssumeRole",
}
"""What IAM asks for, by the requests that the examples make; written by hand from its reference."""
EXAMPLES = {
    "flows/nightly_backup.json": {},
    "flows/stop_untagged_instances.json": {},
    "flows/s3_inventory.json": {},
    "flows/volumes_everywhere.json": {},
    "flows/public_address.json": {"instance": "nobody"},
    "flows/weekly_review.json": {},
    "templates/first_flow.json": {},
}


def used(root: Path, flow: str) -> set[tuple[str, str]]:
    """Return the actions that the requests of a flow's runs needed, by credential."""
    found: set[tuple[str, str]] = set()
    for each in recorded_calls.recorded(root / f"{Path(flow).stem}.calls"):
        credential = "sim" if each.key == ACCESS_KEY else "audit"
        found.add((credential, ACTIONS[each.call]))
        if each.tags:
            found.add((credential, "ec2:CreateTags"))
    return found


def test_policies_allow_what_was_really_called_and_hardly_more(
    run: Any, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    allowed: set[tuple[str, str, str]] = set()
    needed: set[tuple[str, str, str]] = set()
    for flow, params in EXAMPLES.items():
        if not (root / f"{Path(flow).stem}.calls").exists():
            run(flow, **params)
        printed = CliRunner().invoke(main, ["permissions", flow, "--format", "json"])
        policies: dict[str, Any] = json.loads(printed.stdout)
        allowed |= {
            (flow, credential, action)
            for credential, policy in policies.items()
            for statement in policy["Statement"]
            for action in statement["Action"]
        }
        needed |= {(flow, *each) for each in used(root, flow)}
    assert needed - allowed == set()
    surplus = allowed - needed
    assert len(surplus) < len(allowed) / 10, surplus
