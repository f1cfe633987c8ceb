"""What lies in the simulated cloud, over real connections."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from cloudflow_dagster.credentials import AwsLogin
from cloudflow_dagster.credentials.aws_access import log_in
from cloudflow_dagster.credentials.spec import AwsSpec
from cloudflow_dagster.credentials.values import SecretValues
from cloudflow_dagster.simulator import estate
from cloudflow_dagster.simulator.seed import AUDIT_ROLE, seed

pytestmark = pytest.mark.integration


def login_of(endpoint: str, role: str | None = None) -> AwsLogin:
    return log_in(
        "sim",
        AwsSpec(provider="aws", simulated=True, region="us-east-1", role_arn=role),
        source=None,
        simulated_endpoint=endpoint,
        read=str,
        values=SecretValues(),
    )


@pytest.fixture(scope="module")
def main(separate_cloud: str) -> AwsLogin:
    return login_of(separate_cloud)


@pytest.fixture(scope="module")
def second(separate_cloud: str) -> AwsLogin:
    return login_of(separate_cloud, AUDIT_ROLE)


def names(things: list[dict[str, Any]]) -> list[str]:
    return sorted(tag["Value"] for t in things for tag in t.get("Tags", []) if tag["Key"] == "Name")


def volumes(login: AwsLogin, region: str | None = None, **filters: str) -> list[dict[str, Any]]:
    wanted = [{"Name": k.replace("_", "-"), "Values": [v]} for k, v in filters.items()]
    return login.client("ec2", region=region).describe_volumes(Filters=wanted)["Volumes"]


def instances(login: AwsLogin, region: str | None = None) -> Iterator[dict[str, Any]]:
    for page in login.client("ec2", region=region).describe_instances()["Reservations"]:
        yield from page["Instances"]


def everything(login: AwsLogin) -> dict[str, Any]:
    """A count of all there is."""
    ec2 = {r: login.client("ec2", region=r) for r in ("us-east-1", "eu-west-1")}
    s3 = login.client("s3")
    buckets = [b["Name"] for b in s3.list_buckets()["Buckets"]]
    return {
        "volumes": {r: sorted(v["VolumeId"] for v in volumes(login, r)) for r in ec2},
        "instances": {r: sorted(i["InstanceId"] for i in instances(login, r)) for r in ec2},
        "snapshots": {
            r: len(c.describe_snapshots(OwnerIds=["self"])["Snapshots"]) for r, c in ec2.items()
        },
        "vpcs": {r: len(c.describe_vpcs()["Vpcs"]) for r, c in ec2.items()},
        "groups": {r: len(c.describe_security_groups()["SecurityGroups"]) for r, c in ec2.items()},
        "objects": {b: s3.list_objects_v2(Bucket=b).get("KeyCount") for b in buckets},
        "queues": sorted(login.client("sqs").list_queues().get("QueueUrls", [])),
        "subscriptions": len(login.client("sns").list_subscriptions()["Subscriptions"]),
        "users": [u["UserName"] for u in login.client("iam").list_users()["Users"]],
        "parameters": len(login.client("ssm").describe_parameters()["Parameters"]),
        "items": login.client("dynamodb").scan(TableName="customers")["Count"],
    }


def test_filling_it_twice_adds_nothing(main: AwsLogin, separate_cloud: str) -> None:
    before = everything(main)
    assert seed(separate_cloud) is False
    assert everything(main) == before


def test_the_main_account_is_a_small_shop(main: AwsLogin) -> None:
    network = estate.NETWORKS["us-east-1"]
    found = list(instances(main))
    assert names(found) == sorted(i.name for i in network.instances)
    assert {i["State"]["Name"] for i in found} == {"running", "stopped"}
    owned = {
        tag["Key"] for i in found for tag in i["Tags"] if i["Tags"][0]["Value"] == "old-jenkins"
    }
    assert owned == {"Name"}
    assert set(names(volumes(main))) == {v.name for v in network.volumes}
    assert names(volumes(main, status="available")) == [
        "dev-scratch",
        "jenkins-home",
        "orders-archive",
        "unknown",
    ]
    prod = main.client("ec2").describe_volumes(Filters=[{"Name": "tag:env", "Values": ["prod"]}])
    assert names(prod["Volumes"]) == ["orders-archive", "web-1-data", "web-2-data"]
    found_all = everything(main)
    assert found_all["objects"] == {b.name: len(b.objects) for b in estate.BUCKETS}
    assert found_all["users"] == ["ana", "ben", "ci"]
    assert found_all["items"] == len(estate.CUSTOMERS)


def test_snapshots_are_as_old_as_the_estate_says(main: AwsLogin) -> None:
    now = datetime.now(UTC)
    found = main.client("ec2").describe_snapshots(OwnerIds=["self"])["Snapshots"]
    ages = sorted((now - s["StartTime"]).days for s in found if s.get("Tags"))
    assert ages == sorted(d for v in estate.NETWORKS["us-east-1"].volumes for d in v.snapshot_days)


def test_the_second_region_is_not_empty_and_others_are(main: AwsLogin) -> None:
    assert names(volumes(main, "eu-west-1")) == ["migration-leftover", "web-eu-1-data"]
    assert volumes(main, "eu-central-1") == []


def test_the_second_account_has_things_of_its_own(main: AwsLogin, second: AwsLogin) -> None:
    assert main.identity().account == "123456789012"
    assert second.identity().account == "222222222222"
    assert names(volumes(second)) == ["logs", "logs-2023"]
    assert names(list(instances(second))) == ["log-collector"]
    assert [b["Name"] for b in second.client("s3").list_buckets()["Buckets"]] == [
        "acme-audit-trail"
    ]
    made = second.client("ec2").create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    assert made in [v["VolumeId"] for v in volumes(second)]
    assert made not in [v["VolumeId"] for v in volumes(main)]
    second.client("ec2").delete_volume(VolumeId=made)


def test_messages_to_the_topic_reach_the_queue(main: AwsLogin) -> None:
    sqs, sns = main.client("sqs"), main.client("sns")
    sns.publish(TopicArn="arn:aws:sns:us-east-1:123456789012:alerts", Message="a word")
    inbox = sqs.get_queue_url(QueueName="alerts-inbox")["QueueUrl"]
    [message] = sqs.receive_message(QueueUrl=inbox)["Messages"]
    assert "a word" in message["Body"]
    sqs.delete_message(QueueUrl=inbox, ReceiptHandle=message["ReceiptHandle"])
    orders = sqs.get_queue_url(QueueName="orders")["QueueUrl"]
    policy = sqs.get_queue_attributes(QueueUrl=orders, AttributeNames=["RedrivePolicy"])
    assert "orders-dead-letters" in policy["Attributes"]["RedrivePolicy"]


def test_the_function_runs_without_docker(main: AwsLogin) -> None:
    answer = main.client("lambda").invoke(FunctionName="daily-report", Payload=b"{}")
    assert answer["StatusCode"] == 200


def test_a_state_machine_runs(main: AwsLogin) -> None:
    import json
    import time

    steps = main.client("stepfunctions")
    machine = steps.create_state_machine(
        name="hello",
        definition=json.dumps(
            {
                "StartAt": "A",
                "States": {"A": {"Type": "Pass", "Result": {"x": 1}, "End": True}},
            }
        ),
        roleArn="arn:aws:iam::123456789012:role/report-function",
    )["stateMachineArn"]
    run = steps.start_execution(stateMachineArn=machine)["executionArn"]
    for _ in range(100):
        found = steps.describe_execution(executionArn=run)
        if found["status"] != "RUNNING":
            break
        time.sleep(0.05)
    assert (found["status"], json.loads(found["output"])) == ("SUCCEEDED", {"x": 1})


def test_its_machine_images_are_few_and_the_instances_start_from_one(main: AwsLogin) -> None:
    images = [i["ImageId"] for i in main.client("ec2").describe_images()["Images"]]
    assert estate.IMAGE in images
    assert len(images) < 10
