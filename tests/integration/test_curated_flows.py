"""The example flows of the curated node types do on the simulated cloud what they say."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cloudflow_dagster.credentials.aws import AwsLogin
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.spec import Found, Repeat
from cloudflow_dagster.providers import catalogue
from cloudflow_dagster.providers.aws.operations import Operations
from cloudflow_dagster.simulator import start_simulated_aws
from tests.fixtures.calls import WorkingCall
from tests.fixtures.curated_flows import EXAMPLES, Cloud, load, play, types_in
from tests.fixtures.narrowing import unfitting

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with start_simulated_aws(seeded=False) as running:
        yield Cloud(running.endpoint)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_does_what_it_says(name: str, cloud: Cloud, tmp_path: Path) -> None:
    example = load(name)
    cloud.made.clear()
    cloud.asked.clear()
    cloud.tell(example.get("simulated", {}))
    played = play(name, example["flow"], cloud, tmp_path)
    assert played.summary["status"] == "success", played.told
    assert played.result == example["result"], played.told
    for id in types_in(example["flow"]):
        node_type = catalogue().get(id)
        assert node_type is not None
        if node_type.calls:
            assert cloud.made[id] <= set(node_type.calls)
            assert any(line.startswith(f"{id} in us-east-1: ") for line in played.log)
    assert list(unfitting(cloud.asked)) == []


class AwsCall(WorkingCall):
    """A call with the test's login."""

    aws: AwsLogin

    def login(self, provider: str) -> Any:
        assert provider == "aws"
        return self.aws


@pytest.fixture
def call(cloud: Cloud, tmp_path: Path) -> AwsCall:
    cloud.at_work("a test")
    made = AwsCall(files=tmp_path)
    made.aws = cloud.login(None, "aws", None)
    return made


def work(call: AwsCall, id: str, **config: Any) -> Any:
    node_type = catalogue().get(id)
    assert node_type is not None
    assert node_type.handler is not None
    return node_type.handler(call, config)


def test_what_is_not_declared_cannot_be_called(call: AwsCall) -> None:
    aws = Operations(call, "aws.sqs.message.send", ("sqs.ListQueues",))
    assert aws.ask("sqs.ListQueues", QueueNamePrefix="nobody's", NextToken=None) == {}
    with pytest.raises(AssertionError, match=r"does not declare that it calls sqs\.CreateQueue"):
        aws.ask("sqs.CreateQueue", QueueName="q")
    assert aws.changed is False


def test_a_repetition_sends_the_same_token_and_another_request_another(call: AwsCall) -> None:
    config = {"image": "ami-12c6146b", "wait": False}
    first = work(call, "aws.ec2.instance.launch", **config)
    call.repeated = True
    assert work(call, "aws.ec2.instance.launch", **config)["ids"] == first["ids"]
    other = AwsCall(files=call.files)
    other.aws = call.aws
    assert work(other, "aws.ec2.instance.launch", **config)["ids"] != first["ids"]


def test_an_error_after_the_change_leaves_it_open_whether_it_was_made(call: AwsCall) -> None:
    aws = Operations(call, "aws.test", ("sqs.CreateQueue", "sqs.GetQueueUrl"))
    with pytest.raises(NodeError) as before:
        aws.ask("sqs.GetQueueUrl", QueueName="absent")
    assert (before.value.unsure, aws.changed) == (False, False)
    aws.ask("sqs.CreateQueue", QueueName="made")
    assert aws.changed is True


def test_what_was_taken_away_before_the_interruption_is_no_error(call: AwsCall) -> None:
    config = {"instances": "i-0123456789abcdef0", "wait": False}
    with pytest.raises(NodeError) as caught:
        work(call, "aws.ec2.instance.terminate", **config)
    assert caught.value.code == "InvalidInstanceID.NotFound"
    call.repeated = True
    assert work(call, "aws.ec2.instance.terminate", **config)["ids"] == ["i-0123456789abcdef0"]


def test_an_object_without_the_id_that_is_asked_for_is_refused_in_words(call: AwsCall) -> None:
    with pytest.raises(NodeError) as caught:
        work(call, "aws.ec2.instance.start", instances=[{"name": "web"}])
    assert caught.value.code == "InvalidConfig"
    assert caught.value.message == (
        "`instances`: the object has no `id`; give one of what it has: `name`."
    )


MADE = {
    "aws.rds.instance.snapshot": {"database": "looked-up"},
    "aws.rds.instance.restore": {"snapshot": "looked-up-1", "name": "looked-up-2"},
    "aws.dynamodb.table.backup": {"table": "looked-up"},
    "aws.ec2.image.create": {"name": "looked-up"},
    "aws.ec2.instance.run_command": {"commands": "true"},
}


@pytest.fixture(scope="module")
def estate(cloud: Cloud) -> dict[str, str]:
    """What the nodes of `MADE` are about; gives an instance."""
    cloud.at_work("a test")
    login = cloud.login(None, "aws", None)
    database = {"DBInstanceIdentifier": "looked-up", "DBInstanceClass": "db.t4g.micro"}
    login.client("rds").create_db_instance(Engine="postgres", AllocatedStorage=20, **database)
    login.client("rds").create_db_snapshot(
        DBInstanceIdentifier="looked-up", DBSnapshotIdentifier="looked-up-1"
    )
    login.client("dynamodb").create_table(
        TableName="looked-up",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    )
    made = login.client("ec2").run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)
    return {"instance": made["Instances"][0]["InstanceId"]}


@pytest.mark.parametrize("id", MADE)
def test_what_an_interrupted_call_has_made_is_found_and_nothing_older(
    id: str, call: AwsCall, estate: dict[str, str]
) -> None:
    node_type = catalogue().get(id)
    assert node_type is not None
    assert node_type.look_up is not None
    config: dict[str, Any] = dict(MADE[id])
    if id == "aws.ec2.image.create":
        config["instance"] = estate["instance"]
    if id == "aws.ec2.instance.run_command":
        config["instances"] = [estate["instance"]]
    since = datetime.now(UTC) - timedelta(seconds=5)
    assert node_type.look_up(call, config, since) is None
    made = work(call, id, **config)
    assert node_type.look_up(call, config, since) == Found(made)
    if id != "aws.ec2.instance.run_command":  # that one is known by the call's own mark
        assert node_type.look_up(call, config, since + timedelta(hours=1)) is None


def test_all_that_are_looked_for_are_in_this_test() -> None:
    looked_for = {
        id
        for id in catalogue().ids()
        if id.startswith("aws.") and id.count(".") == 3
        if (found := catalogue().get(id)) and found.repeat is Repeat.LOOKUP
    }
    assert looked_for == set(MADE)


def test_snapshots_of_an_interrupted_call_are_made_only_where_they_are_missing(
    call: AwsCall,
) -> None:
    ec2 = call.aws.client("ec2")
    volumes = [
        ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"] for _ in range(2)
    ]
    first = work(call, "aws.ec2.snapshot.create", volumes=volumes[:1])
    call.repeated = True
    both = work(call, "aws.ec2.snapshot.create", volumes=volumes)
    assert both["ids"][0] == first["ids"][0]
    assert [each["volume"] for each in both["snapshots"]] == volumes
    owned = ec2.describe_snapshots(Filters=[{"Name": "volume-id", "Values": volumes}])
    assert len(owned["Snapshots"]) == 2


def test_a_rule_that_lets_the_world_in_is_destructive() -> None:
    allow = catalogue().get("aws.ec2.security_group.allow")
    assert allow is not None
    assert allow.destructive_for({"sources": "0.0.0.0/0", "port": 22})
    assert allow.destructive_for({"sources": ["10.0.0.0/8", "::/0"]})
    assert allow.destructive_for({"sources": ["10.0.0.0/8", "{{ params.cidr }}"]}) is None


def test_only_queues_and_topics_in_order_drop_a_second_message() -> None:
    send = catalogue().get("aws.sqs.message.send")
    publish = catalogue().get("aws.sns.message.publish")
    assert send is not None
    assert publish is not None
    assert send.repeat_for({"queue": "orders.fifo"}) is Repeat.TOKEN
    assert send.repeat_for({"queue": "{{ params.queue }}"}) is Repeat.ASK
    assert publish.repeat_for({"topic": "arn:aws:sns:us-east-1:1:news.fifo"}) is Repeat.TOKEN
    assert publish.repeat_for({"topic": "arn:aws:sns:us-east-1:1:news"}) is Repeat.ASK


def test_a_key_that_cannot_be_compared_like_that_is_refused_before_anything_is_asked(
    call: AwsCall,
) -> None:
    with pytest.raises(NodeError) as caught:
        work(call, "aws.dynamodb.item.query", table="t", where={"day": {"like": "x"}})
    assert caught.value.code == "InvalidConfig"
    assert "`where.day`" in caught.value.message
