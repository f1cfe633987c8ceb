"""What IAM must allow for calls of AWS."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from cloudflow_dagster.nodes.permission import Permission, united
from cloudflow_dagster.providers.aws import AwsNodes
from cloudflow_dagster.providers.aws.models import operations_of, services
from cloudflow_dagster.providers.aws.permissions import (
    access_level,
    permissions_of_calls,
    permissions_of_node,
)
from cloudflow_dagster.providers.aws.permissions.definition import action_named, iam_service
from cloudflow_dagster.providers.aws.permissions.overrides import (
    ACTIONS,
    FREE,
    INSTEAD_WITH,
    KMS_TOO,
    MORE_WITH,
    PASSES_ROLE,
    PREFIXES,
)


def own(call: str, config: Any = None) -> list[str]:
    service, _, operation = call.partition(".")
    found = permissions_of_node(service, operation, config or {})
    return [p.action for p in found if not p.dependent]


def dependent(call: str, config: Any = None) -> list[str]:
    service, _, operation = call.partition(".")
    found = permissions_of_node(service, operation, config or {})
    return [p.action for p in found if p.dependent]


@pytest.mark.parametrize(
    ("call", "actions"),
    [
        ("ec2.StopInstances", "ec2:StopInstances"),
        ("elb.DescribeLoadBalancers", "elasticloadbalancing:DescribeLoadBalancers"),
        ("elbv2.CreateTargetGroup", "elasticloadbalancing:CreateTargetGroup"),
        ("cloudwatch.PutMetricData", "cloudwatch:PutMetricData"),
        ("logs.FilterLogEvents", "logs:FilterLogEvents"),
        ("ce.GetCostAndUsage", "ce:GetCostAndUsage"),
        ("ses.SendEmail", "ses:SendEmail"),
        ("sesv2.SendEmail", "ses:SendEmail"),
        ("stepfunctions.StartExecution", "states:StartExecution"),
        ("efs.CreateFileSystem", "elasticfilesystem:CreateFileSystem"),
        ("opensearch.DescribeDomain", "es:DescribeDomain"),
        ("resourcegroupstaggingapi.GetResources", "tag:GetResources"),
        ("cloudcontrol.CreateResource", "cloudformation:CreateResource"),
        ("iot-data.Publish", "iot:Publish"),
        ("dynamodbstreams.GetRecords", "dynamodb:GetRecords"),
        ("s3.ListBuckets", "s3:ListAllMyBuckets"),
        ("s3.ListObjectsV2", "s3:ListBucket"),
        ("s3.HeadObject", "s3:GetObject"),
        ("s3.HeadBucket", "s3:ListBucket"),
        ("s3.CopyObject", "s3:GetObject s3:PutObject"),
        ("s3.DeleteObjects", "s3:DeleteObject"),
        ("s3.CreateMultipartUpload", "s3:PutObject"),
        ("s3.ListParts", "s3:ListMultipartUploadParts"),
        ("s3.PutBucketCors", "s3:PutBucketCORS"),
        ("s3.PutBucketEncryption", "s3:PutEncryptionConfiguration"),
        ("s3.DeleteBucketMetricsConfiguration", "s3:PutMetricsConfiguration"),
        ("s3control.GetPublicAccessBlock", "s3:GetAccountPublicAccessBlock"),
        ("apigateway.GetRestApis", "apigateway:GET"),
        ("apigateway.UpdateRestApi", "apigateway:PATCH"),
        ("apigatewayv2.CreateApi", "apigateway:POST"),
        ("apigatewayv2.GetPortal", "apigateway:GetPortal"),
        ("apigatewaymanagementapi.PostToConnection", "execute-api:ManageConnections"),
        ("lambda.Invoke", "lambda:InvokeFunction"),
        ("lexv2-models.ListUtteranceMetrics", "lex:ListAggregatedUtterances"),
        ("dynamodb.BatchWriteItem", "dynamodb:BatchWriteItem"),
        (
            "dynamodb.ExecuteStatement",
            "dynamodb:PartiQLDelete dynamodb:PartiQLInsert dynamodb:PartiQLSelect"
            " dynamodb:PartiQLUpdate",
        ),
        ("dynamodb.TransactGetItems", "dynamodb:GetItem"),
        ("sqs.SendMessageBatch", "sqs:SendMessage"),
        ("sns.PublishBatch", "sns:Publish"),
        ("kms.ReEncrypt", "kms:ReEncryptFrom kms:ReEncryptTo"),
        ("bedrock-runtime.Converse", "bedrock:InvokeModel"),
        ("budgets.CreateBudget", "budgets:ModifyBudget"),
        ("keyspaces.CreateTable", "cassandra:Create"),
        ("sts.GetCallerIdentity", ""),
        ("sso.GetRoleCredentials", ""),
        ("cognito-identity.GetId", ""),
    ],
)
def test_a_call_needs_its_actions(call: str, actions: str) -> None:
    assert own(call) == actions.split()


def test_a_field_of_the_config_may_change_the_action() -> None:
    assert own("s3.GetObject", {"Key": "a"}) == ["s3:GetObject"]
    assert own("s3.GetObject", {"VersionId": "1"}) == ["s3:GetObjectVersion"]
    either = ["s3:GetObject", "s3:GetObjectVersion"]
    assert own("s3.GetObject", {"VersionId": "{{ params.version }}"}) == either


def test_what_a_node_waits_for_is_asked_for_too() -> None:
    call = "ec2.CreateSnapshot"
    assert own(call, {"VolumeId": "vol-1"}) == ["ec2:CreateSnapshot"]
    waits = ["ec2:CreateSnapshot", "ec2:DescribeSnapshots"]
    assert own(call, {"wait_for": "snapshot_completed"}) == waits
    assert set(waits) <= set(own(call, {"wait_for": "{{ params.until }}"}))


def test_dependent_actions_are_needed_with_the_fields_that_they_are_about() -> None:
    call = "ec2.RunInstances"
    assert dependent(call, {"ImageId": "ami-1"}) == []
    assert dependent(call, {"TagSpecifications": [{}]}) == ["ec2:CreateTags"]
    assert dependent(call, {"IamInstanceProfile": {"Name": "web"}}) == ["iam:PassRole"]
    assert dependent(call, {"ImageId": "resolve:ssm:/golden"}) == ["ssm:GetParameters"]
    assert "iam:PassRole" in dependent("rds.CreateDBInstance", {"MonitoringRoleArn": "{{ x }}"})
    assert dependent("ecs.RunTask", {"taskDefinition": "web"}) == ["iam:PassRole"]
    assert dependent("lambda.CreateFunction", {"Role": "a"}) == ["iam:PassRole"]
    assert dependent("ssm.GetParameter", {"Name": "a"}) == []
    assert dependent("ssm.GetParameter", {"WithDecryption": True}) == ["kms:Decrypt"]
    assert dependent("ssm.GetParameter", {"WithDecryption": False}) == []


def test_a_field_may_hide_in_an_expression() -> None:
    hidden = {"CopyTagsToSnapshot": True, "ProcessorFeatures": "{{ params.features }}"}
    assert dependent("rds.CreateDBInstance", hidden) == []
    asked = dependent("autoscaling.CreateLaunchConfiguration", {"Name": "x"})
    assert "iam:PassRole" not in asked
    structure = {"networkConfiguration": "{{ params.network }}", "overrides": "{{ params.over }}"}
    assert dependent("sagemaker.CreateModel", {"PrimaryContainer": "{{ params.image }}"}) == []
    assert dependent("ecs.RunTask", structure) == ["iam:PassRole"]


def test_a_type_says_when_a_dependent_action_is_needed() -> None:
    node_type = AwsNodes().get("aws.ec2.run_instances")
    assert node_type is not None
    found = {p.action: p for p in node_type.permissions_for()}
    assert str(found["iam:PassRole"]) == "iam:PassRole (dependent, with `IamInstanceProfile`)"
    assert str(found["ec2:DescribeInstances"]) == "ec2:DescribeInstances (with `wait_for`)"
    assert str(found["ec2:RunInstances"]) == "ec2:RunInstances"


def test_what_the_list_does_not_have_is_said_to_be_unknown() -> None:
    (found,) = permissions_of_node("lambda-web", "CreateWebFunction", {})
    assert found == Permission("lambda:CreateWebFunction", known=False)
    assert "unknown" in str(found)


def test_calls_of_several_services_are_united() -> None:
    found = permissions_of_calls(("ec2.StartInstances", "ssm.SendCommand", "ec2.StartInstances"))
    assert [p.action for p in found if not p.dependent] == ["ec2:StartInstances", "ssm:SendCommand"]


def test_a_field_with_a_name_of_its_own_counts_as_the_one_of_the_api() -> None:
    def needed(config: dict[str, Any]) -> set[str]:
        found = permissions_of_calls(("ec2.RunInstances", "s3.PutObject"), config)
        return {p.action for p in found if p.dependent}

    assert needed({"image": "ami-1", "name": "web", "key": "a"}) == set()
    assert needed({"instance_profile": "web"}) == {"iam:PassRole"}
    assert needed({"tags": {"a": "b"}}) == {"ec2:CreateTags", "s3:PutObjectTagging"}
    assert needed({"tags": None}) == set()


def test_uniting_keeps_what_is_certain() -> None:
    sometimes = Permission("iam:PassRole", dependent=True, note="with `Role`")
    assert united([sometimes, Permission("iam:PassRole")]) == (Permission("iam:PassRole"),)
    assert united([sometimes, sometimes]) == (sometimes,)


@pytest.mark.parametrize(
    ("call", "level"),
    [
        ("ec2.DescribeInstances", "List"),
        ("s3.GetObject", "Read"),
        ("s3.CopyObject", "Write"),
        ("ec2.CreateTags", "Tagging"),
        ("iam.AttachRolePolicy", "Permissions management"),
        ("lambda-web.CreateWebFunction", None),
        ("sts.GetCallerIdentity", None),
    ],
)
def test_the_access_level_is_that_of_the_gravest_action(call: str, level: str | None) -> None:
    service, _, operation = call.partition(".")
    assert access_level(service, operation) == level


def test_the_table_of_overrides_names_what_there_is() -> None:
    known = {
        f"{name}.{operation}"
        for name in {key.partition(".")[0] for key in (*ACTIONS, *MORE_WITH, *PASSES_ROLE, *FREE)}
        for operation in operations_of(name)
    }
    named = {*ACTIONS, *MORE_WITH, *INSTEAD_WITH, *PASSES_ROLE, *KMS_TOO, *FREE}
    assert named - known == set()
    actions = {
        action
        for texts in (
            ACTIONS.values(),
            (text for fields in MORE_WITH.values() for text in fields.values()),
            (
                action
                for fields in INSTEAD_WITH.values()
                for pair in fields.values()
                for action in pair
            ),
            (text for _, text in KMS_TOO.values()),
        )
        for text in texts
        for action in text.split()
    }
    assert [action for action in sorted(actions) if action_named(action) is None] == []
    assert PREFIXES.keys() <= set(services().values())
    assert [prefix for prefix in PREFIXES.values() if iam_service(prefix) is None] == []


def test_finding_permissions_imports_neither_policy_sentry_nor_a_client() -> None:
    program = (
        "import sys;"
        "from cloudflow_dagster.providers.aws.permissions import permissions_of_node;"
        "permissions_of_node('sqs', 'SendMessage', {});"
        "print(sys.modules.keys() & {'policy_sentry', 'orjson', 'bs4', 'botocore.client'})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
