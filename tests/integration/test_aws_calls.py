"""Nodes of AWS against the simulated cloud, over real connections."""

from __future__ import annotations

import json
import socketserver
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import jsonschema
import pytest

from cloudflow_dagster.credentials.aws import AwsLogin
from cloudflow_dagster.nodes.errors import Canceled, NodeError
from cloudflow_dagster.providers.aws import AwsNodes
from cloudflow_dagster.simulator import start_simulated_aws
from cloudflow_dagster.simulator.session import isolated_session
from tests.fixtures.calls import WorkingCall

pytestmark = pytest.mark.integration
REGION = "eu-central-1"


def login_to(endpoint: str, *, simulated: bool = True) -> AwsLogin:
    return AwsLogin(
        "test",
        isolated_session(REGION),
        region=REGION,
        endpoint=endpoint,
        simulated=simulated,
    )


@pytest.fixture(scope="module")
def cloud() -> Iterator[AwsLogin]:
    with start_simulated_aws() as running:
        yield login_to(running.endpoint)


@dataclass
class AwsCall(WorkingCall):
    aws: AwsLogin | None = None

    def login(self, provider: str) -> Any:
        assert provider == "aws"
        return self.aws


@pytest.fixture
def call(cloud: AwsLogin, tmp_path: Path) -> AwsCall:
    return AwsCall(files=tmp_path, aws=cloud)


def run(call: WorkingCall, id: str, **config: Any) -> Any:
    """Run a node, holding its config and its output against its schemas."""
    node_type = AwsNodes().get(id)
    assert node_type is not None
    assert node_type.handler is not None
    jsonschema.Draft202012Validator(node_type.config_schema).validate(config)
    output = node_type.handler(call, config)
    assert node_type.output_schema is not None
    jsonschema.Draft202012Validator(node_type.output_schema).validate(output)
    json.dumps(output, allow_nan=False)
    return output


def failure(call: WorkingCall, id: str, **config: Any) -> NodeError:
    node_type = AwsNodes().get(id)
    assert node_type is not None
    assert node_type.handler is not None
    with pytest.raises(NodeError) as caught:
        node_type.handler(call, config)
    return caught.value


def test_a_volume_is_made_snapshotted_waited_for_and_found(call: AwsCall) -> None:
    volume = run(
        call,
        "aws.ec2.create_volume",
        AvailabilityZone=f"{REGION}a",
        Size=8,
        wait_for="volume_available",
    )
    assert "ResponseMetadata" not in volume
    assert volume["CreateTime"].endswith("Z")
    snapshot = run(
        call,
        "aws.ec2.create_snapshot",
        VolumeId=volume["VolumeId"],
        wait_for="snapshot_completed",
    )
    found = run(call, "aws.ec2.describe_snapshots", SnapshotIds=[snapshot["SnapshotId"]])
    assert found["Snapshots"][0]["VolumeId"] == volume["VolumeId"]
    assert found["Snapshots"][0]["State"] == "completed"
    assert "snapshot_completed: after" in call.log.text


def test_the_region_of_the_call_overrides_that_of_the_login(call: AwsCall) -> None:
    call.region = "us-west-2"
    zones = run(call, "aws.ec2.describe_availability_zones")
    assert {zone["RegionName"] for zone in zones["AvailabilityZones"]} == {"us-west-2"}
    assert "aws.ec2.describe_availability_zones in us-west-2: " in call.log.text


def test_instances_are_waited_for_by_the_ids_in_the_answer(call: AwsCall) -> None:
    images = run(call, "aws.ec2.describe_images", Owners=["amazon"])
    started = run(
        call,
        "aws.ec2.run_instances",
        ImageId=images["Images"][0]["ImageId"],
        MinCount=2,
        MaxCount=2,
        wait_for="instance_running",
    )
    ids = [instance["InstanceId"] for instance in started["Instances"]]
    run(call, "aws.ec2.stop_instances", InstanceIds=ids, wait_for="instance_stopped")
    stopped = run(call, "aws.ec2.describe_instances", InstanceIds=ids, wait_for="instance_stopped")
    states = [i["State"]["Name"] for r in stopped["Reservations"] for i in r["Instances"]]
    assert states == ["stopped", "stopped"]


def test_a_wait_that_can_never_end_well_fails_at_once_and_is_not_repeated(call: AwsCall) -> None:
    started = run(call, "aws.ec2.run_instances", ImageId="ami-12c6146b", MinCount=1, MaxCount=1)
    ids = [instance["InstanceId"] for instance in started["Instances"]]
    error = failure(
        call, "aws.ec2.terminate_instances", InstanceIds=ids, wait_for="instance_running"
    )
    assert error.code == "WaitFailed"
    assert error.transient is False
    assert "The operation itself succeeded." in error.message


def test_waiting_ends_when_the_attempt_has_no_time_left(call: AwsCall) -> None:
    group = run(call, "aws.ec2.create_volume", AvailabilityZone=f"{REGION}a", Size=1)
    call.deadline = time.monotonic() + 1.5
    error = failure(
        call,
        "aws.ec2.describe_volumes",
        VolumeIds=[group["VolumeId"]],
        wait_for="volume_in_use",
    )
    assert error.code == "Timeout"


def test_waiting_ends_when_the_run_is_canceled(call: AwsCall) -> None:
    volume = run(call, "aws.ec2.create_volume", AvailabilityZone=f"{REGION}a", Size=1)
    timer = threading.Timer(0.3, lambda: setattr(call, "canceled", True))
    timer.start()
    node_type = AwsNodes().get("aws.ec2.describe_volumes")
    assert node_type is not None
    assert node_type.handler is not None
    with pytest.raises(Canceled):
        node_type.handler(call, {"VolumeIds": [volume["VolumeId"]], "wait_for": "volume_in_use"})


def test_a_waiter_that_the_operation_does_not_offer_is_refused(call: AwsCall) -> None:
    error = failure(call, "aws.s3.create_bucket", Bucket="b", wait_for="bucket_ready")
    assert error.code == "ParamValidation"
    assert "`bucket_exists`" in error.message


def test_pages_are_joined(call: AwsCall) -> None:
    run(call, "aws.s3.create_bucket", Bucket="pages", **_here(), wait_for="bucket_exists")
    for n in range(7):
        run(call, "aws.s3.put_object", Bucket="pages", Key=f"{n}", Body="x")
    first = run(call, "aws.s3.list_objects_v2", Bucket="pages", MaxKeys=3)
    assert len(first["Contents"]) == 3
    call.log.lines.clear()
    every = run(call, "aws.s3.list_objects_v2", Bucket="pages", MaxKeys=3, paginate=True)
    assert [item["Key"] for item in every["Contents"]] == list("0123456")
    assert "3 requests" in call.log.text
    none = run(call, "aws.s3.list_objects_v2", Bucket="pages", Prefix="no", paginate=True)
    assert none["Contents"] == []


def test_counts_of_pages_are_added_and_large_numbers_stay_exact(call: AwsCall) -> None:
    run(
        call,
        "aws.dynamodb.create_table",
        TableName="numbers",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        wait_for="table_exists",
    )
    for n in range(3):
        run(
            call,
            "aws.dynamodb.put_item",
            TableName="numbers",
            Item={"id": {"S": f"{n}"}, "raw": {"B": {"base64": "/wA="}}},
        )
    found = run(call, "aws.dynamodb.scan", TableName="numbers", Limit=1, paginate=True)
    assert found["Count"] == 3
    assert {item["raw"]["B"]["base64"] for item in found["Items"]} == {"/wA="}


def test_whole_numbers_beyond_53_bits_stay_exact(tmp_path: Path) -> None:
    big = 2**53 + 1
    with Scripted(_json(200, {"events": [{"timestamp": big}]})) as server:
        call = AwsCall(files=tmp_path, aws=login_to(server.endpoint, simulated=False))
        found = run(call, "aws.logs.get_log_events", logStreamName="s", startTime=big)
    assert found["events"][0]["timestamp"] == big
    assert json.loads(server.bodies[0])["startTime"] == big


def test_text_and_bytes_and_long_streams_come_back_as_they_went(
    call: AwsCall, tmp_path: Path
) -> None:
    run(call, "aws.s3.create_bucket", Bucket="bytes", **_here())

    def back(body: Any) -> Any:
        run(call, "aws.s3.put_object", Bucket="bytes", Key="k", Body=body)
        return run(call, "aws.s3.get_object", Bucket="bytes", Key="k")["Body"]

    assert back("grüße {{ no expression }}") == "grüße {{ no expression }}"
    assert back({"base64": "/9j/4A=="}) == {"base64": "/9j/4A=="}
    assert back("") == ""
    exactly = "x" * (256 * 1024)
    assert back(exactly) == exactly
    longer = exactly + "y"
    file = back(longer)
    assert Path(file["file"]).parent == tmp_path
    assert Path(file["file"]).read_text() == longer
    again = back(file)
    assert Path(again["file"]).read_text() == longer
    assert list(tmp_path.glob(".*.part")) == []


def test_a_file_of_another_run_may_be_sent(call: AwsCall, tmp_path: Path) -> None:
    run(call, "aws.s3.create_bucket", Bucket="others", **_here())
    earlier = tmp_path / "earlier"
    call.files = tmp_path / "later"
    for folder in (earlier, call.files):
        folder.mkdir()
    (earlier / "f").write_text("of an earlier run")
    file = {"file": str(earlier / "f")}
    run(call, "aws.s3.put_object", Bucket="others", Key="k", Body=file)
    found = run(call, "aws.s3.get_object", Bucket="others", Key="k")
    assert found["Body"] == "of an earlier run"


def test_a_file_outside_the_runs_folders_is_never_sent(call: AwsCall, tmp_path: Path) -> None:
    run(call, "aws.s3.create_bucket", Bucket="files", **_here())
    (tmp_path / "link").symlink_to("/etc/hostname")
    for name in ("/etc/hostname", "../../etc/hostname", "link"):
        error = failure(call, "aws.s3.put_object", Bucket="files", Key="k", Body={"file": name})
        assert error.code == "FileNotAllowed"
    missing = failure(call, "aws.s3.put_object", Bucket="files", Key="k", Body={"file": "no"})
    assert missing.code == "FileNotReadable"


def test_the_expires_header_of_an_object_is_in_the_schema(call: AwsCall) -> None:
    run(call, "aws.s3.create_bucket", Bucket="expires", **_here())
    run(
        call,
        "aws.s3.put_object",
        Bucket="expires",
        Key="k",
        Body="x",
        Expires="2030-01-01T00:00:00+01:00",
    )
    head = run(call, "aws.s3.head_object", Bucket="expires", Key="k")
    assert head["ContentLength"] == 1


def test_policies_come_decoded_and_fit_the_schema(call: AwsCall) -> None:
    policy = {"Version": "2012-10-17", "Statement": []}
    run(
        call,
        "aws.iam.create_role",
        RoleName="r",
        AssumeRolePolicyDocument=json.dumps(policy),
        wait_for="role_exists",
    )
    role = run(call, "aws.iam.get_role", RoleName="r")["Role"]
    assert role["AssumeRolePolicyDocument"] == policy


def test_an_error_of_the_service_keeps_its_code_and_request_id(call: AwsCall) -> None:
    error = failure(call, "aws.sqs.get_queue_url", QueueName="absent")
    assert error.code == "AWS.SimpleQueueService.NonExistentQueue"
    assert error.provider_request_id
    assert error.transient is None
    empty = failure(call, "aws.ec2.describe_snapshots", SnapshotIds=["snap-0"])
    assert empty.code == "InvalidSnapshot.NotFound"
    assert "InvalidSnapshot.NotFound" in empty.message


def test_arguments_that_do_not_fit_are_named_without_their_values(call: AwsCall) -> None:
    error = failure(call, "aws.ec2.create_snapshot", VolumeId=["the-secret"], Descripton="x")
    assert error.code == "ParamValidation"
    assert "VolumeId" in error.message
    assert "a list" in error.message
    assert "Descripton" in error.message
    assert "the-secret" not in error.message
    assert failure(call, "aws.ec2.create_snapshot").code == "ParamValidation"


@pytest.mark.parametrize(
    ("id", "config"),
    [
        ("aws.iam.get_context_keys_for_custom_policy", {"PolicyInputList": ["{}"]}),
        ("aws.pricing.describe_services", {}),
        ("aws.route53.list_cidr_collections", {}),
        ("aws.kms.create_custom_key_store", {"CustomKeyStoreName": "x"}),
        ("aws.cloudwatch.list_alarm_mute_rules", {}),
    ],
)
def test_what_the_simulated_cloud_lacks_is_said_at_once(
    call: AwsCall, id: str, config: dict[str, Any]
) -> None:
    error = failure(call, id, **config)
    assert error.code == "NotSimulated"
    assert error.message.startswith(f"The simulated cloud does not have `{id}`")
    assert error.transient is False
    assert "again in" not in call.log.text


def test_something_that_is_really_absent_is_not_taken_for_not_simulated(call: AwsCall) -> None:
    run(call, "aws.s3.create_bucket", Bucket="absent", **_here())
    assert failure(call, "aws.s3.head_object", Bucket="absent", Key="k").code == "404"
    assert failure(call, "aws.s3.head_bucket", Bucket="no-such-one").code == "404"


def test_a_repeated_call_carries_the_same_token_and_another_call_another(call: AwsCall) -> None:
    first = run(call, "aws.ec2.run_instances", ImageId="ami-12c6146b", MinCount=1, MaxCount=1)
    again = run(call, "aws.ec2.run_instances", ImageId="ami-12c6146b", MinCount=1, MaxCount=1)
    other = AwsCall(files=call.files, aws=call.aws, token="f" * 64)
    third = run(other, "aws.ec2.run_instances", ImageId="ami-12c6146b", MinCount=1, MaxCount=1)
    tokens = [reply["Instances"][0]["ClientToken"] for reply in (first, again, third)]
    assert tokens[0] == tokens[1] != tokens[2]
    own = run(
        call,
        "aws.ec2.run_instances",
        ImageId="ami-12c6146b",
        MinCount=1,
        MaxCount=1,
        ClientToken="mine",
    )
    assert own["Instances"][0]["ClientToken"] == "mine"


def test_the_log_names_the_call_and_never_what_was_given(call: AwsCall) -> None:
    run(call, "aws.secretsmanager.create_secret", Name="name-canary", SecretString="value-canary")
    assert "aws.secretsmanager.create_secret in eu-central-1: " in call.log.text
    assert "request id " in call.log.text
    assert "0 retries" in call.log.text
    assert "canary" not in call.log.text


def test_an_endpoint_that_nobody_listens_at_is_unreachable(tmp_path: Path) -> None:
    call = AwsCall(files=tmp_path, aws=login_to("http://127.0.0.1:9"), deadline=_in(20))
    error = failure(call, "aws.sqs.list_queues")
    assert error.code == "Unreachable"
    assert error.transient is True


@pytest.mark.parametrize(
    ("id", "config", "sent"),
    [
        # Nobody knows whether it was carried out, so it is not sent again.
        ("aws.sqs.send_message", {"QueueUrl": "http://q", "MessageBody": "m"}, 1),
        ("aws.sqs.list_queues", {}, 3),
        ("aws.ec2.create_volume", {"AvailabilityZone": "eu-central-1a", "Size": 1}, 3),
    ],
)
def test_a_request_whose_answer_never_came_may_have_been_carried_out(
    id: str, config: dict[str, Any], sent: int, tmp_path: Path
) -> None:
    taken: list[bytes] = []

    class Lost(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            taken.append(self.request.recv(65536))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Lost) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        login = login_to(f"http://127.0.0.1:{server.server_address[1]}")
        error = failure(AwsCall(files=tmp_path, aws=login, deadline=_in(20)), id, **config)
        server.shutdown()
        thread.join()
    assert (error.code, error.transient, error.unsure) == ("ConnectionFailed", True, True)
    assert len(taken) == sent


def _here() -> dict[str, Any]:
    return {"CreateBucketConfiguration": {"LocationConstraint": REGION}}


def _in(seconds: float) -> float:
    return time.monotonic() + seconds


class Scripted(ThreadingHTTPServer):
    """Answers one request after the other with what it was told to."""

    daemon_threads = True

    def __init__(self, *replies: tuple[int, dict[str, str], str]) -> None:
        self.replies = list(replies)
        self.bodies: list[bytes] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Scripted

    def _reply(self) -> None:
        size = int(self.headers.get("Content-Length", 0))
        self.server.bodies.append(self.rfile.read(size))
        status, headers, body = self.server.replies.pop(0)
        if status == 0:
            time.sleep(30)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body.encode())), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    do_POST = do_PUT = do_GET = _reply  # noqa: N815 - http.server's names

    def log_message(self, format: str, *args: Any) -> None:
        """Write nothing."""


def _json(status: int, body: dict[str, Any], **headers: str) -> tuple[int, dict[str, str], str]:
    kind = {"Content-Type": "application/x-amz-json-1.0", "x-amzn-RequestId": "the-request"}
    return status, kind | headers, json.dumps(body)


THROTTLED = _json(400, {"__type": "ThrottlingException", "message": "Rate exceeded"})


def test_a_throttled_request_is_sent_again(tmp_path: Path) -> None:
    with Scripted(THROTTLED, THROTTLED, _json(200, {"QueueUrls": ["u"]})) as server:
        call = AwsCall(files=tmp_path, aws=login_to(server.endpoint, simulated=False))
        assert run(call, "aws.sqs.list_queues") == {"QueueUrls": ["u"]}
    assert "2 retries" in call.log.text
    assert "request id the-request" in call.log.text


def test_throttling_that_does_not_end_is_transient_and_says_when_to_come_back(
    tmp_path: Path,
) -> None:
    status, headers, body = THROTTLED
    hurried = (status, headers | {"Retry-After": "0"}, body)
    patient = (status, headers | {"Retry-After": "7"}, body)
    with Scripted(hurried, hurried, patient) as server:
        call = AwsCall(files=tmp_path, aws=login_to(server.endpoint, simulated=False))
        error = failure(call, "aws.sqs.list_queues")
    assert (error.code, error.transient, error.retry_after) == ("ThrottlingException", True, 7)
    assert error.provider_request_id == "the-request"


def test_a_file_is_sent_again_from_its_beginning(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("whole")
    busy = (503, {"Content-Type": "application/xml"}, "")
    with Scripted(busy, (200, {}, "")) as server:
        call = AwsCall(files=tmp_path, aws=login_to(server.endpoint, simulated=False))
        run(call, "aws.s3.put_object", Bucket="b", Key="k", Body={"file": "f"})
    assert len(server.bodies) == 2
    assert all(b"whole" in body for body in server.bodies)


def test_a_service_that_does_not_answer_uses_up_no_more_than_the_attempts_time(
    tmp_path: Path,
) -> None:
    with Scripted((0, {}, "")) as server:
        call = AwsCall(
            files=tmp_path, aws=login_to(server.endpoint, simulated=False), deadline=_in(2)
        )
        started = time.monotonic()
        error = failure(call, "aws.sqs.list_queues")
    assert error.code == "ReadTimeout"
    assert error.transient is True
    assert time.monotonic() - started < 10


def test_refused_credentials_come_with_a_way_out(tmp_path: Path) -> None:
    reply = _json(400, {"__type": "ExpiredTokenException", "message": "It expired."})
    with Scripted(reply) as server:
        call = AwsCall(files=tmp_path, aws=login_to(server.endpoint, simulated=False))
        error = failure(call, "aws.sqs.list_queues")
    assert error.code == "ExpiredTokenException"
    assert error.message.startswith("It expired. ")
    assert len(error.message) > len("It expired. ")
