"""Resources of AWS, made and changed through a Cloud Control API on loopback, by the real SDK."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from cloudflow_dagster.credentials.aws import AwsLogin
from cloudflow_dagster.nodes.errors import Canceled, NodeError
from cloudflow_dagster.nodes.resource import ResourceModel
from cloudflow_dagster.nodes.spec import NodeType, Repeat
from cloudflow_dagster.providers.aws import AwsResources
from cloudflow_dagster.simulator.session import isolated_session
from tests.fixtures.calls import WorkingCall
from tests.fixtures.cloud_control import CloudControlServer, cloud_control

LOG_GROUP = {"LogGroupName": "/shop/web", "RetentionInDays": 30}
QUEUE = {"QueueName": "orders", "DelaySeconds": 5}


@pytest.fixture(scope="module")
def one_cloud() -> Iterator[CloudControlServer]:
    with cloud_control() as server:
        yield server


@pytest.fixture
def cloud(one_cloud: CloudControlServer) -> CloudControlServer:
    one_cloud.clear()
    return one_cloud


@dataclass
class AwsCall(WorkingCall):
    aws: AwsLogin | None = None

    def login(self, provider: str) -> Any:
        assert provider == "aws"
        return self.aws


@pytest.fixture(scope="module")
def aws(one_cloud: CloudControlServer) -> AwsLogin:
    session = isolated_session("eu-central-1")
    return AwsLogin("test", session, region="eu-central-1", endpoint=one_cloud.url)


@pytest.fixture
def new_call(cloud: CloudControlServer, aws: AwsLogin, tmp_path: Path) -> Callable[..., AwsCall]:
    def make(**more: Any) -> AwsCall:
        return AwsCall(files=tmp_path, aws=aws, **more)

    return make


NewCall = Callable[..., AwsCall]


def node_type(id: str) -> NodeType:
    found = AwsResources().get(id)
    assert found is not None
    return found


def model(id: str) -> ResourceModel:
    found = node_type(id).resource
    assert found is not None
    return found


def run(call: WorkingCall, id: str, **config: Any) -> Any:
    """Run a node, holding its config and its output against its schemas."""
    found = node_type(id)
    assert found.handler is not None
    assert found.output_schema is not None
    jsonschema.Draft202012Validator(found.config_schema).validate(config)
    output = found.handler(call, config)
    jsonschema.Draft202012Validator(found.output_schema).validate(output)
    return output


def failure(call: WorkingCall, id: str, **config: Any) -> NodeError:
    with pytest.raises(NodeError) as caught:
        run(call, id, **config)
    return caught.value


def test_a_resource_that_is_not_there_is_made(cloud: CloudControlServer, new_call: NewCall) -> None:
    call = new_call()
    output = run(call, "aws.logs.log_group", **LOG_GROUP)
    assert output["identifier"] == "/shop/web"
    assert output["RetentionInDays"] == 30
    assert output["Arn"].startswith("arn-")
    assert cloud.operations() == ["GetResource", "CreateResource", "GetResource"]
    assert "AWS::Logs::LogGroup `/shop/web`: created." in call.log.text


def test_a_resource_that_is_as_it_should_be_is_left_alone(
    cloud: CloudControlServer, new_call: NewCall
) -> None:
    first = run(new_call(), "aws.logs.log_group", **LOG_GROUP)
    cloud.asked.clear()
    assert run(new_call(), "aws.logs.log_group", **LOG_GROUP) == first
    assert cloud.operations() == ["GetResource"]


def test_a_resource_that_differs_is_changed_and_nothing_else_of_it(
    cloud: CloudControlServer, new_call: NewCall
) -> None:
    run(new_call(), "aws.logs.log_group", **LOG_GROUP, KmsKeyId="key-1")
    cloud.asked.clear()
    call = new_call()
    output = run(call, "aws.logs.log_group", LogGroupName="/shop/web", RetentionInDays=90)
    assert output["RetentionInDays"] == 90
    assert output["KmsKeyId"] == "key-1"
    assert cloud.operations() == ["GetResource", "UpdateResource", "GetResource"]
    patch = next(given for name, given in cloud.asked if name == "UpdateResource")
    assert json.loads(patch["PatchDocument"]) == [
        {"op": "add", "path": "/RetentionInDays", "value": 90}
    ]
    assert "changed RetentionInDays." in call.log.text


def test_a_part_of_a_property_is_changed_by_itself(
    cloud: CloudControlServer, new_call: NewCall
) -> None:
    table = {"TableName": "t", "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}]}
    run(
        new_call(),
        "aws.dynamodb.table",
        **table,
        ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 7},
    )
    wanted = {"ReadCapacityUnits": 2, "WriteCapacityUnits": 7}
    cloud.asked.clear()
    run(new_call(), "aws.dynamodb.table", **table, ProvisionedThroughput=wanted)
    patch = next(given for name, given in cloud.asked if name == "UpdateResource")
    assert json.loads(patch["PatchDocument"]) == [
        {"op": "add", "path": "/ProvisionedThroughput/ReadCapacityUnits", "value": 2}
    ]


def test_what_can_only_be_given_at_the_beginning_is_refused_by_name(
    cloud: CloudControlServer, new_call: NewCall
) -> None:
    url = run(new_call(), "aws.sqs.queue", **QUEUE)["identifier"]
    cloud.asked.clear()
    error = failure(new_call(), "aws.sqs.queue", identifier=url, FifoQueue=True, DelaySeconds=9)
    assert error.code == "ReplacementNeeded"
    assert error.message.startswith(f"`FifoQueue` of AWS::SQS::Queue `{url}` differs")
    assert error.transient is False
    assert cloud.operations() == ["GetResource"]


def test_an_identifier_names_a_resource_whose_name_aws_chose(
    cloud: CloudControlServer, new_call: NewCall
) -> None:
    url = run(new_call(), "aws.sqs.queue", **QUEUE)["identifier"]
    output = run(new_call(), "aws.sqs.queue", identifier=url, DelaySeconds=7)
    assert (output["QueueUrl"], output["DelaySeconds"]) == (url, 7)
    assert len(cloud.resources) == 1
    error = failure(new_call(), "aws.sqs.queue", identifier="elsewhere", DelaySeconds=7)
    assert error.code == "NotFound"
    assert "`elsewhere`" in error.message


def test_another_identifier_of_a_type_is_as_good(
    cloud: CloudControlServer, new_call: NewCall
) -> None:
    found = model("aws.observabilityadmin.telemetry_pipelines")
    assert found.identify({"Name": "a"}) == '{"Name": "a"}'
    cloud.resources["AWS::ObservabilityAdmin::TelemetryPipelines", "arn-1"] = {
        "Name": "a",
        "Arn": "arn-1",
    }
    assert found.read is not None
    there = found.read(new_call(), '{"Name": "a"}')
    assert there is not None
    assert there.identifier == "arn-1"


def test_what_is_there_by_name_is_found_when_making_it_fails(
    cloud: CloudControlServer, new_call: NewCall
) -> None:
    cloud.by_name["AWS::SQS::Queue"] = "QueueName"
    url = run(new_call(), "aws.sqs.queue", **QUEUE)["identifier"]
    output = run(new_call(), "aws.sqs.queue", QueueName="orders", DelaySeconds=8)
    assert (output["identifier"], output["DelaySeconds"]) == (url, 8)
    cloud.tells = False
    error = failure(new_call(), "aws.sqs.queue", QueueName="orders", DelaySeconds=8)
    assert error.code == "AlreadyExists"
    assert "Name it in `identifier`" in error.message


def test_what_is_never_given_back_is_sent_along_with_a_change_only(
    cloud: CloudControlServer, new_call: NewCall
) -> None:
    user = {"UserName": "ann", "LoginProfile": {"Password": "p-1"}}
    run(new_call(), "aws.iam.user", **user)
    cloud.asked.clear()
    run(new_call(), "aws.iam.user", **user)
    assert cloud.operations() == ["GetResource"]
    run(new_call(), "aws.iam.user", **user, Path="/ops/")
    patch = next(given for name, given in cloud.asked if name == "UpdateResource")
    paths = {step["path"] for step in json.loads(patch["PatchDocument"])}
    assert paths == {"/Path", "/LoginProfile/Password"}


def test_a_type_that_cannot_be_updated_refuses_every_change(
    cloud: CloudControlServer, new_call: NewCall
) -> None:
    id = "aws.ec2.placement_group"
    assert model(id).update is None
    name = run(new_call(), id, Strategy="cluster")["identifier"]
    assert run(new_call(), id, identifier=name, Strategy="cluster")["GroupName"] == name
    assert failure(new_call(), id, identifier=name, Strategy="spread").code == "ReplacementNeeded"


def test_a_resource_is_deleted_once_and_again(cloud: CloudControlServer, new_call: NewCall) -> None:
    run(new_call(), "aws.logs.log_group", **LOG_GROUP)
    model("aws.logs.log_group").delete(new_call(), "/shop/web")
    assert cloud.resources == {}
    call = new_call()
    model("aws.logs.log_group").delete(call, "/shop/web")
    assert "is gone already" in call.log.text


def test_what_fails_for_a_moment_is_asked_for_again_under_another_token(
    cloud: CloudControlServer, new_call: NewCall
) -> None:
    cloud.fails = ["Throttling", "ServiceInternalError"]
    run(new_call(), "aws.logs.log_group", **LOG_GROUP)
    tokens = [given["ClientToken"] for name, given in cloud.asked if name == "CreateResource"]
    assert len(set(tokens)) == 3
    assert len(cloud.resources) == 1


def test_throttling_of_the_api_itself_is_waited_out(
    cloud: CloudControlServer, new_call: NewCall
) -> None:
    cloud.refuses = [("CreateResource", "ThrottlingException")]
    run(new_call(), "aws.logs.log_group", **LOG_GROUP)
    assert cloud.operations().count("CreateResource") == 2


@pytest.mark.parametrize(
    ("code", "transient", "unsure", "words"),
    [
        ("AccessDenied", False, False, "may not do"),
        ("InvalidRequest", False, False, "did not accept the properties"),
        ("NotStabilized", True, True, "did not become ready"),
        ("GeneralServiceException", False, False, "refused it"),
        ("ServiceLimitExceeded", False, False, "Service Quotas"),
    ],
)
def test_why_a_request_failed_is_said(
    cloud: CloudControlServer,
    new_call: NewCall,
    *,
    code: str,
    transient: bool,
    unsure: bool,
    words: str,
) -> None:
    cloud.fails = [code]
    error = failure(new_call(), "aws.logs.log_group", **LOG_GROUP)
    assert (error.code, error.transient, error.unsure) == (code, transient, unsure)
    assert words in error.message
    assert f"AWS says: It went wrong: {code}." in error.message
    # The next attempt comes past the failure that is remembered under its token.
    call = new_call(token="7" * 64)
    cloud.fails = [code]
    failure(call, "aws.logs.log_group", **LOG_GROUP)
    assert run(call, "aws.logs.log_group", **LOG_GROUP)["identifier"] == "/shop/web"


def test_a_type_that_the_api_does_not_have_is_said(
    cloud: CloudControlServer, new_call: NewCall
) -> None:
    cloud.refuses = [("GetResource", "UnsupportedActionException")]
    error = failure(new_call(), "aws.logs.log_group", **LOG_GROUP)
    assert error.code == "UnsupportedActionException"
    assert "use the operations of its service" in error.message


@pytest.mark.parametrize(
    ("id", "config"), [("aws.logs.log_group", LOG_GROUP), ("aws.sqs.queue", QUEUE)]
)
def test_an_interrupted_call_makes_its_resource_once(
    cloud: CloudControlServer, new_call: NewCall, id: str, config: dict[str, Any]
) -> None:
    """The run is stopped while AWS still works, and another one goes on with the same call."""
    cloud.held = True
    stopped = new_call(token="5" * 64)
    raised: list[BaseException] = []

    def work() -> None:
        try:
            run(stopped, id, **config)
        except Canceled as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    deadline = time.monotonic() + 20
    while "CreateResource" not in cloud.operations() and time.monotonic() < deadline:
        time.sleep(0.01)
    stopped.canceled = True
    thread.join(20)
    assert raised
    assert cloud.resources == {}
    cloud.held = False
    run(new_call(token="5" * 64, repeated=True), id, **config)
    assert len(cloud.resources) == 1


def test_what_is_under_way_is_not_waited_for_where_it_may_not_be_listed(
    cloud: CloudControlServer, new_call: NewCall
) -> None:
    cloud.refuses = [("ListResourceRequests", "AccessDeniedException")]
    call = new_call(repeated=True)
    assert run(call, "aws.logs.log_group", **LOG_GROUP)["identifier"] == "/shop/web"
    assert "ListResourceRequests is not allowed" in call.log.text


def test_an_answer_that_was_lost_makes_nothing_twice(
    cloud: CloudControlServer, new_call: NewCall
) -> None:
    cloud.silent = 1
    run(new_call(), "aws.sqs.queue", QueueName="orders")
    assert cloud.operations() == ["CreateResource", "CreateResource", "GetResource"]
    assert len(cloud.resources) == 1


def test_a_change_waits_for_another_one_to_end(
    cloud: CloudControlServer, new_call: NewCall
) -> None:
    run(new_call(), "aws.logs.log_group", **LOG_GROUP)
    cloud.refuses = [("UpdateResource", "ConcurrentOperationException")]
    changed = run(new_call(), "aws.logs.log_group", LogGroupName="/shop/web", RetentionInDays=1)
    assert changed["RetentionInDays"] == 1


def test_what_is_done_after_an_interruption_depends_on_who_names_the_resource() -> None:
    group, queue = node_type("aws.logs.log_group"), node_type("aws.sqs.queue")
    assert group.repeat_for(LOG_GROUP) is Repeat.SAFE
    assert group.repeat_for({"RetentionInDays": 1}) is Repeat.TOKEN
    assert queue.repeat_for(QUEUE) is Repeat.TOKEN
    assert queue.repeat_for({**QUEUE, "identifier": "https://…"}) is Repeat.SAFE
    assert queue.token_seconds == 36 * 3600


def test_all_of_a_type_are_listed_page_by_page(
    cloud: CloudControlServer, new_call: NewCall
) -> None:
    from cloudflow_dagster.providers.aws.cloudcontrol import CloudControl

    for n in range(5):
        run(new_call(), "aws.logs.log_group", LogGroupName=f"g{n}")
    control = CloudControl("AWS::Logs::LogGroup", "aws.logs.log_group", (("LogGroupName",),))
    assert list(control.identifiers(new_call())) == ["g0", "g1", "g2", "g3", "g4"]


def test_what_aws_sets_is_refused_also_inside_a_property() -> None:
    found = node_type("aws.redshift_serverless.workgroup")
    assert "WorkgroupName" in found.config_schema["properties"]
    nested = [path for path in model(found.id).read_only if len(path) > 1]
    assert found.check_config is not None
    assert found.check_config({"WorkgroupName": "w"}) == []
    path = next(path for path in nested if "*" not in path)
    config: Any = "set"
    for name in reversed(path):
        config = {name: config}
    assert ((path[0],), f"`{'.'.join(path)}` is read-only: only the provider sets it.") in (
        found.check_config(config)
    )


def test_without_the_schemas_it_is_said_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from cloudflow_dagster.nodes.registry import Registry
    from cloudflow_dagster.providers.aws import cloudformation

    monkeypatch.setattr(cloudformation, "_files", dict)
    cloudformation.type_names.cache_clear()
    try:
        registry = Registry(AwsResources())
        assert registry.get("aws.s3.bucket") is None
        assert "pip install 'cloudflow-dagster[aws]'" in str(registry.suggest("aws.s3.bucket"))
        assert registry.suggest("generic.http.reqest") is None
    finally:
        cloudformation.type_names.cache_clear()
