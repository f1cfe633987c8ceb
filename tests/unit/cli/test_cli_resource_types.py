"""What the `nodes` command says of resource types."""

from __future__ import annotations

import json

from click.testing import CliRunner

from cloudflow_dagster.cli import main


def said(*words: str) -> str:
    result = CliRunner().invoke(main, ["nodes", *words])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_show_says_what_would_replace_a_resource_and_what_aws_sets() -> None:
    text = said("show", "aws.sqs.queue_resource")
    assert "aws.sqs.queue_resource - Queue (resource, integration, changes)" in text
    assert "  told apart by: QueueUrl\n" in text
    assert "  another value replaces it: FifoQueue, QueueName\n" in text
    assert "  set by the provider: QueueUrl, Arn\n" in text
    facts = json.loads(said("show", "aws.sqs.queue_resource", "--format", "json"))["resource"]
    assert facts["name"] == "AWS::SQS::Queue"
    assert facts["can"] == ["create", "read", "update", "delete"]
    assert facts["create_only"] == ["FifoQueue", "QueueName"]
    assert json.loads(said("show", "logic.if", "--format", "json"))["resource"] is None


def test_resource_types_are_found_by_their_words() -> None:
    found = json.loads(said("search", "dynamodb", "table", "--format", "json"))
    kinds = {each["id"]: each["kind"] for each in found}
    assert kinds["aws.dynamodb.table"] == "resource"
