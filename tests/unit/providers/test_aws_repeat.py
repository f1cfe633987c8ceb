"""What is done about a call of an AWS operation that may have been made already."""

from __future__ import annotations

from typing import Any

import pytest

from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws import AwsNodes
from cloudflow_dagster.providers.aws.models import load_service
from cloudflow_dagster.providers.aws.tokens import add_token

KNOWN = {
    Repeat.READ: [
        "ec2.describe_volumes",
        "s3.get_object",
        "s3.head_object",
        "dynamodb.get_item",
        "dynamodb.batch_get_item",
        "sts.get_caller_identity",
        "kms.decrypt",
        "logs.filter_log_events",
    ],
    Repeat.TOKEN: [
        "ec2.run_instances",
        "ec2.create_volume",
        "efs.create_file_system",
        "cloudformation.create_stack",
        "ecs.create_service",
        "stepfunctions.start_execution",
        "route53.create_hosted_zone",
        "secretsmanager.create_secret",
        "dynamodb.transact_write_items",
    ],
    Repeat.SAFE: [
        "s3.create_bucket",
        "s3.put_object",
        "s3.delete_object",
        "s3.put_bucket_tagging",
        "ec2.create_tags",
        "ec2.delete_volume",
        "ec2.terminate_instances",
        "ec2.stop_instances",
        "dynamodb.put_item",
        "iam.attach_role_policy",
        "iam.add_user_to_group",
        "sqs.create_queue",
        "sqs.delete_message",
        "sns.create_topic",
        "events.put_rule",
        "lambda.update_function_configuration",
    ],
    Repeat.ASK: [
        "ec2.create_snapshot",
        "sqs.send_message",
        "sns.publish",
        "sqs.receive_message",
        "lambda.invoke",
        "events.put_events",
        "dynamodb.update_item",
        "kinesis.put_record",
        "cloudwatch.put_metric_data",
        "ecs.register_task_definition",
        "emr.add_job_flow_steps",
        "ses.send_email",
        "stepfunctions.get_activity_task",
        "s3.create_multipart_upload",
    ],
}


@pytest.mark.parametrize(
    ("repeat", "id"), [(repeat, id) for repeat, ids in KNOWN.items() for id in ids]
)
def test_operations(repeat: Repeat, id: str) -> None:
    node_type = AwsNodes().get(f"aws.{id}")
    assert node_type is not None
    assert node_type.repeat is repeat


def test_a_message_with_a_deduplication_id_of_the_authors_is_sent_again() -> None:
    node_type = AwsNodes().get("aws.sqs.send_message")
    assert node_type is not None
    config = {"QueueUrl": "q", "MessageBody": "m"}
    assert node_type.repeat_for(config) is Repeat.ASK
    assert node_type.repeat_for({**config, "MessageDeduplicationId": "1"}) is Repeat.SAFE


@pytest.mark.parametrize(
    ("service", "operation", "member"),
    [
        ("ec2", "CreateVolume", "ClientToken"),
        ("cloudformation", "CreateStack", "ClientRequestToken"),
        ("ecs", "CreateService", "clientToken"),
        ("stepfunctions", "StartExecution", "name"),
    ],
)
def test_tokens_are_given_whether_the_model_marks_them_or_not(
    service: str, operation: str, member: str
) -> None:
    def sent(**given: Any) -> dict[str, Any]:
        return add_token(load_service(service), operation, given, "0123456789abcdef" * 4)

    assert set(sent()) == {member}
    assert sent(**{member: "mine"}) == {member: "mine"}


def test_who_asks_is_no_token() -> None:
    """CodePipeline calls it `clientToken` where a worker says who it is."""
    service = load_service("codepipeline")
    assert add_token(service, "AcknowledgeThirdPartyJob", {}, "0" * 64) == {}


@pytest.mark.parametrize(
    ("operation", "seconds"),
    [
        ("ec2.run_instances", 24 * 3600),
        ("dynamodb.transact_write_items", 600),
        ("acm.request_certificate", 3600),
        ("acm_pca.issue_certificate", 300),
        ("mediaconvert.create_job", 60),
        ("cloudcontrol.create_resource", 36 * 3600),
        ("stepfunctions.start_execution", 90 * 24 * 3600),
        # It says nothing of it.
        ("ecs.create_service", 3600),
        ("route53.create_hosted_zone", None),
    ],
)
def test_a_token_is_relied_on_for_as_long_as_the_model_says(
    operation: str, seconds: float | None
) -> None:
    found = AwsNodes().get(f"aws.{operation}")

    assert found is not None
    assert (found.repeat, found.token_seconds) == (Repeat.TOKEN, seconds)
