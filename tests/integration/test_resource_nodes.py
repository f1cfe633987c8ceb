"""Flows with resource nodes, checked and run by the command, against a Cloud Control API."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.cloud_control import CloudControlServer, cloud_control
from tests.fixtures.programs import MANUAL, CommandLine, chain, result

pytestmark = pytest.mark.integration

PROJECT = """\
credentials:
  here:
    provider: aws
    access_key_id: {{env: RESOURCE_KEY_ID}}
    secret_access_key: {{env: RESOURCE_KEY}}
    region: eu-central-1
    endpoint: {url}
default_credentials:
  aws: here
"""
KEYS = {"RESOURCE_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "RESOURCE_KEY": "k" * 40}


@pytest.fixture(scope="module")
def cloud() -> Iterator[CloudControlServer]:
    with cloud_control() as server:
        yield server


@pytest.fixture(scope="module")
def folder(cloud: CloudControlServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("resources")
    (root / "flows").mkdir()
    (root / "cloudflow.yaml").write_text(PROJECT.format(url=cloud.url))
    os.environ.update(KEYS)
    yield root
    for name in KEYS:
        del os.environ[name]


def write(folder: Path, *nodes: dict[str, Any]) -> None:
    (folder / "flows" / "keep.json").write_text(json.dumps(chain(MANUAL, *nodes)))


def log_group(**config: Any) -> dict[str, Any]:
    return {"id": "logs", "type": "aws.logs.log_group_resource", "config": config}


def test_a_flow_makes_its_resource(cloud: CloudControlServer, folder: Path) -> None:
    cloud.clear()
    group = log_group(LogGroupName="/shop/web", RetentionInDays="{{ 10 * 3 }}")
    write(folder, group, result("{{ nodes.logs.Arn }}"))
    made = CommandLine(folder)("run", "keep", "--format", "json")
    assert made.status == 0, made.err
    assert cloud.resources["AWS::Logs::LogGroup", "/shop/web"]["RetentionInDays"] == 30
    assert made.json["result"].startswith("arn-")


def test_a_config_that_does_not_fit_is_told_before_anything_runs(folder: Path) -> None:
    write(folder, log_group(LogGroup="/shop/web", Arn="mine", RetentionInDays="thirty"))
    checked = CommandLine(folder)("check")
    said = checked.out + checked.err
    assert checked.status == 1
    assert "RetentionInDays" in said
    assert "`LogGroup`" in said
    assert "`Arn`" in said


def test_a_run_that_is_killed_while_aws_works_makes_nothing_twice(
    cloud: CloudControlServer, folder: Path
) -> None:
    cloud.clear()
    cloud.held = True
    command = CommandLine(folder)
    queue = {"id": "queue", "type": "aws.sqs.queue_resource", "config": {"QueueName": "orders"}}
    write(folder, queue, result("{{ nodes.queue.identifier }}"))
    process = command.start("run", "keep", "--format", "json")
    deadline = time.monotonic() + 100
    while "CreateResource" not in cloud.operations() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    assert process.wait(60) == -signal.SIGKILL
    for stream in (process.stdout, process.stderr):
        assert stream is not None
        stream.close()
    assert cloud.operations() == ["CreateResource"]
    cloud.held = False
    run = command("runs", "list", "--limit", "1", "--format", "json").json[0]["run_id"]
    ended = command("runs", "retry", run, "--format", "json")
    assert ended.json["status"] == "success", ended.err
    assert list(cloud.resources) == [("AWS::SQS::Queue", ended.json["result"])]
    assert cloud.operations() == ["CreateResource", "CreateResource", "GetResource"]
