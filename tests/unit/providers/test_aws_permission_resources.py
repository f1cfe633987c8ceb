"""On which resources actions must be allowed, and the policies that say so."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cloudflow_dagster.nodes.permission import Permission
from cloudflow_dagster.providers.aws.permissions.arns import Place, resources_for
from cloudflow_dagster.providers.aws.permissions.policy import (
    Allowed,
    document,
    statements_of,
    terraform,
)

HERE = Place("eu-west-1", "111111111111")


def on(action: str, config: dict[str, Any], place: Place = HERE) -> list[str]:
    return list(resources_for(Permission(action), config, place))


@pytest.mark.parametrize(
    ("action", "config", "arns"),
    [
        ("ec2:DescribeInstances", {}, "*"),
        (
            "ec2:StopInstances",
            {"InstanceIds": ["i-1", "i-2"]},
            "arn:aws:ec2:eu-west-1:111111111111:instance/i-1"
            " arn:aws:ec2:eu-west-1:111111111111:instance/i-2",
        ),
        (
            "ec2:StopInstances",
            {"instances": ["i-1"]},
            "arn:aws:ec2:eu-west-1:111111111111:instance/i-1",
        ),
        (
            "ec2:StopInstances",
            {"InstanceIds": ["i-1", "{{ x }}"]},
            "arn:aws:ec2:eu-west-1:111111111111:instance/*",
        ),
        (
            "ec2:CreateSnapshot",
            {"VolumeId": "vol-1"},
            "arn:aws:ec2:eu-west-1:111111111111:volume/vol-1 arn:aws:ec2:eu-west-1::snapshot/*",
        ),
        ("s3:ListBucket", {"Bucket": "b"}, "arn:aws:s3:::b"),
        ("s3:GetObject", {"Bucket": "b", "Key": "a/{{ x }}.json"}, "arn:aws:s3:::b/a/*.json"),
        ("s3:GetObject", {"Bucket": "b"}, "arn:aws:s3:::b/*"),
        ("s3:GetObject", {"Bucket": "{{ x }}", "Key": "{{ y }}"}, "arn:aws:s3:::*"),
        (
            "sqs:SendMessage",
            {"QueueUrl": "https://sqs.eu-west-1.amazonaws.com/111111111111/jobs"},
            "arn:aws:sqs:eu-west-1:111111111111:jobs",
        ),
        ("sns:Publish", {"TopicArn": "arn:aws:sns:us-east-1:2:t"}, "arn:aws:sns:us-east-1:2:t"),
        ("sns:Publish", {"TopicArn": "{{ x }}"}, "arn:aws:sns:*:*:*"),
        ("sns:CreateTopic", {"Name": "t"}, "arn:aws:sns:eu-west-1:111111111111:t"),
        (
            "lambda:InvokeFunction",
            {"FunctionName": "f"},
            "arn:aws:lambda:eu-west-1:111111111111:function:f",
        ),
        (
            "lambda:InvokeFunction",
            {"FunctionName": "f", "Qualifier": "live"},
            "arn:aws:lambda:eu-west-1:111111111111:function:f"
            " arn:aws:lambda:eu-west-1:111111111111:function:f:*",
        ),
        (
            "dynamodb:Query",
            {"TableName": "t"},
            "arn:aws:dynamodb:eu-west-1:111111111111:table/t"
            " arn:aws:dynamodb:eu-west-1:111111111111:table/t/index/*",
        ),
        (
            "iam:GetRole",
            {"RoleName": "r"},
            "arn:aws:iam::111111111111:role/*/r arn:aws:iam::111111111111:role/r",
        ),
        (
            "ssm:GetParameter",
            {"Name": "/a/b"},
            "arn:aws:ssm:eu-west-1:111111111111:parameter/a/b",
        ),
        (
            "secretsmanager:GetSecretValue",
            {"SecretId": "prod/db"},
            "arn:aws:secretsmanager:eu-west-1:111111111111:secret:prod/db-??????",
        ),
        ("kms:Encrypt", {"KeyId": "alias/x"}, "arn:aws:kms:eu-west-1:111111111111:key/*"),
        (
            "route53:ChangeResourceRecordSets",
            {"HostedZoneId": "Z1"},
            "arn:aws:route53:::hostedzone/Z1",
        ),
        ("events:PutRule", {"Name": "r"}, None),
        (
            "logs:FilterLogEvents",
            {"logGroupName": "/a"},
            "arn:aws:logs:eu-west-1:111111111111:log-group:/a"
            " arn:aws:logs:eu-west-1:111111111111:log-group:/a:*",
        ),
        ("no:SuchAction", {"Name": "x"}, "*"),
    ],
)
def test_resources_are_those_that_the_config_names(
    action: str, config: dict[str, Any], arns: str | None
) -> None:
    if arns is None:
        assert "arn:aws:events:eu-west-1:111111111111:rule/r" in on(action, config)
    else:
        assert on(action, config) == arns.split()


def test_a_place_that_is_not_known_is_any() -> None:
    config = {"InstanceIds": ["i-1"]}
    assert on("ec2:StopInstances", config, Place()) == ["arn:aws:ec2:*:*:instance/i-1"]
    china = on("ec2:StopInstances", config, Place("cn-north-1", "1"))
    assert china == ["arn:aws-cn:ec2:cn-north-1:1:instance/i-1"]


def test_a_role_is_not_taken_for_what_is_called_by_a_mere_name() -> None:
    passed = Permission("iam:PassRole", dependent=True)
    profile = {"IamInstanceProfile": {"Name": "web"}}
    assert list(resources_for(passed, profile, HERE)) == ["arn:aws:iam::111111111111:role/*"]
    role = "arn:aws:iam::111111111111:role/lambda/f"
    assert list(resources_for(passed, {"Role": role}, HERE)) == [role]


def test_what_is_made_may_be_tagged_and_nothing_else() -> None:
    tags = Permission("ec2:CreateTags", dependent=True)
    needed = [Permission("ec2:CreateSnapshot"), Permission("ec2:DescribeSnapshots"), tags]
    assert list(resources_for(tags, {"VolumeId": "vol-1"}, HERE, needed)) == on(
        "ec2:CreateSnapshot", {"VolumeId": "vol-1"}
    )


NEEDED = [
    Allowed(Permission("s3:PutObject"), ("arn:aws:s3:::b/x*",)),
    Allowed(Permission("s3:PutObject"), ("arn:aws:s3:::b/*",)),
    Allowed(Permission("s3:GetObject"), ("arn:aws:s3:::b/*",)),
    Allowed(Permission("ec2:DescribeVolumes"), ("*",)),
    Allowed(Permission("iam:PassRole", dependent=True), ("arn:aws:iam::1:role/${x}",)),
    Allowed(Permission("new:Thing", known=False), ("*",)),
]


def test_a_policy_has_as_few_statements_as_say_the_same() -> None:
    assert document(statements_of(NEEDED)) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Calls1",
                "Effect": "Allow",
                "Action": ["ec2:DescribeVolumes"],
                "Resource": ["*"],
            },
            {
                "Sid": "Calls2",
                "Effect": "Allow",
                "Action": ["s3:GetObject", "s3:PutObject"],
                "Resource": ["arn:aws:s3:::b/*"],
            },
            {
                "Sid": "Dependent1",
                "Effect": "Allow",
                "Action": ["iam:PassRole"],
                "Resource": ["arn:aws:iam::1:role/${x}"],
            },
            {"Sid": "Unknown1", "Effect": "Allow", "Action": ["new:Thing"], "Resource": ["*"]},
        ],
    }


def test_terraform_gets_a_data_block_for_each_credential() -> None:
    written = terraform({"prod": statements_of(NEEDED), "my account": []})
    assert 'data "aws_iam_policy_document" "prod" {\n  statement {\n' in written
    assert 'data "aws_iam_policy_document" "my_account" {\n}\n' in written
    assert '    resources = ["arn:aws:iam::1:role/$${x}"]\n' in written
    assert written.count("{") - written.count("${") == written.count("}") - written.count("${")
    assert json.dumps("s3:PutObject") in written
