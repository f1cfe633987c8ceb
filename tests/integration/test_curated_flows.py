"""The example flows of the curated node types do on the simulated cloud what they say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudflow_dagster.credentials.aws import AwsLogin
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.providers import catalogue
from cloudflow_dagster.providers.aws.operations import Operations
from cloudflow_dagster.simulator import start_simulated_aws
from tests.fixtures.calls import WorkingCall
from tests.fixtures.curated_flows import EXAMPLES, Cloud, load, play, types_in

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with start_simulated_aws(seeded=False) as running:
        yield Cloud(running.endpoint)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_does_what_it_says(name: str, cloud: Cloud, tmp_path: Path) -> None:
    example = load(name)
    cloud.made.clear()
    played = play(name, example["flow"], cloud, tmp_path)
    assert played.summary["status"] == "success", played.told
    assert played.result == example["result"], played.told
    for id in types_in(example["flow"]):
        node_type = catalogue().get(id)
        assert node_type is not None
        if node_type.calls:
            assert cloud.made[id] <= set(node_type.calls)
            assert any(line.startswith(f"{id} in us-east-1: ") for line in played.log)


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
    assert aws.ask("sqs.ListQueues", QueueNamePrefix=None) == {}
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
    assert caught.value.message == "`instances`: the object has no `id`."
