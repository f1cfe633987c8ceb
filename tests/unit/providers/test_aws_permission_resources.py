"""On which resources actions must be allowed, and the policies that say so."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cloudflow_dagster.nodes.permission import Permission
from cloudflow_dagster.providers.aws.permissions.arns import resources_for
from cloudflow_dagster.providers.aws.permissions.place import Place
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
        (  # what is written names nothing that is called
            "s3:PutObject",
            {"Bucket": "b", "Key": "k", "Body": "arn:aws:s3:::others/secret"},
            "arn:aws:s3:::b/k",
        ),
        (
            "s3:PutBucketPolicy",
            {"Bucket": "b", "PolicyDocument": {"Statement": {"Resource": "arn:aws:s3:::others"}}},
            "arn:aws:s3:::b",
        ),
        (
            "ssm:SendCommand",
            {"DocumentName": "AWS-RunShellScript", "InstanceIds": ["i-1"]},
            "arn:aws:ec2:eu-west-1:111111111111:instance/i-1 arn:aws:s3:::*"
            " arn:aws:ssm:eu-west-1:*:document/AWS-RunShellScript"
            " arn:aws:ssm:eu-west-1:111111111111:managed-instance/i-1",
        ),
        ("s3:GetObject", {"Bucket": "b", "Key": "a/{{ x }}.json"}, "arn:aws:s3:::b/a/*.json"),
        ("s3:GetObject", {"Bucket": "b"}, "arn:aws:s3:::b/*"),
        (
            "s3:GetObject",
            {"Bucket": "b", "Key": "k", "CopySource": "/a/x/y?versionId=1"},
            "arn:aws:s3:::a/x/y",
        ),
        (
            "s3:PutObject",
            {"Bucket": "b", "Key": "k", "CopySource": {"Bucket": "a", "Key": "x"}},
            "arn:aws:s3:::b/k",
        ),
        (
            "s3:GetObject",
            {"Bucket": "b", "Key": "k", "CopySource": "{{ nodes.x }}"},
            "arn:aws:s3:::*",
        ),
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
        (
            "events:PutRule",
            {"Name": "r"},
            "arn:aws:events:eu-west-1:111111111111:rule/r",
        ),
        (
            "events:PutRule",
            {"Name": "r", "EventBusName": "{{ x }}"},
            "arn:aws:events:eu-west-1:111111111111:rule/*/r"
            " arn:aws:events:eu-west-1:111111111111:rule/r",
        ),
        (
            "sqs:SendMessage",
            {"QueueUrl": "https://sqs.us-east-1.amazonaws.com/222222222222/jobs"},
            "arn:aws:sqs:us-east-1:222222222222:jobs",
        ),
        (
            "cloudwatch:PutMetricAlarm",
            {"Dimensions": [{"Name": "QueueName", "Value": "q"}], "AlarmName": "a"},
            "arn:aws:cloudwatch:eu-west-1:111111111111:alarm:a",
        ),
        (
            "elasticloadbalancing:CreateTargetGroup",
            {"Name": "t"},
            "arn:aws:elasticloadbalancing:eu-west-1:111111111111:targetgroup/t/*",
        ),
        (
            "ecs:UpdateService",
            {"service": "s", "cluster": "arn:aws:ecs:eu-west-1:111111111111:cluster/c"},
            "arn:aws:ecs:eu-west-1:111111111111:service/c/s",
        ),
        (
            "wafv2:GetWebACL",
            {"Scope": "CLOUDFRONT", "Name": "w", "Id": "1"},
            "arn:aws:wafv2:eu-west-1:111111111111:global/webacl/w/1",
        ),
        (
            "ssm:GetParameter",
            {"Name": "/a/b:3"},
            "arn:aws:ssm:eu-west-1:111111111111:parameter/a/b",
        ),
        (
            "rds:StartDBInstance",
            {"DBInstanceIdentifier": "Shop"},
            "arn:aws:rds:eu-west-1:111111111111:db:shop",
        ),
        (
            "route53:ChangeResourceRecordSets",
            {"HostedZoneId": "Z1", "ChangeBatch": {"AliasTarget": {"HostedZoneId": "Z2"}}},
            "arn:aws:route53:::hostedzone/Z1",
        ),
        ("route53:GetHostedZone", {"Id": "a.example"}, "arn:aws:route53:::hostedzone/*"),
        ("route53:GetHostedZone", {"Id": "/hostedzone/Z1"}, "arn:aws:route53:::hostedzone/Z1"),
        ("kms:Encrypt", {"KeyId": ["alias/x", "1"]}, "arn:aws:kms:eu-west-1:111111111111:key/*"),
        (
            "lambda:GetFunction",
            {"FunctionName": ["f", "arn:aws:lambda:eu-west-1:2:function:g"]},
            "arn:aws:lambda:eu-west-1:111111111111:function:f"
            " arn:aws:lambda:eu-west-1:2:function:g",
        ),
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
    action: str, config: dict[str, Any], arns: str
) -> None:
    assert on(action, config) == arns.split()


def test_a_place_that_is_not_known_is_any() -> None:
    config = {"InstanceIds": ["i-1"]}
    assert on("ec2:StopInstances", config, Place()) == ["arn:aws:ec2:*:*:instance/i-1"]


@pytest.mark.parametrize(
    ("region", "partition"),
    [
        ("eu-west-1", "aws"),
        ("cn-north-1", "aws-cn"),
        ("us-gov-west-1", "aws-us-gov"),
        ("us-iso-east-1", "aws-iso"),
        ("eusc-de-east-1", "aws-eusc"),
        ("nowhere", "aws"),
    ],
)
def test_arns_are_of_the_partition_of_their_region(region: str, partition: str) -> None:
    there = Place(region, "1")
    assert on("s3:ListBucket", {"Bucket": "b"}, there) == [f"arn:{partition}:s3:::b"]
    stop = on("ec2:StopInstances", {"InstanceIds": ["i-1"]}, there)
    assert stop == [f"arn:{partition}:ec2:{region}:1:instance/i-1"]
    publish = on("sns:Publish", {"TopicArn": "{{ x }}"}, there)
    assert publish == [f"arn:{partition}:sns:*:*:*"]
    unknown = on("ec2:StopInstances", {}, Place(None, "1", partition))
    assert unknown == [f"arn:{partition}:ec2:*:1:instance/*"]


def test_a_role_is_not_taken_for_what_is_called_by_a_mere_name() -> None:
    passed = Permission("iam:PassRole", dependent=True)
    profile = {"IamInstanceProfile": {"Name": "web"}}
    assert list(resources_for(passed, profile, HERE)) == ["arn:aws:iam::111111111111:role/*"]
    role = "arn:aws:iam::111111111111:role/lambda/f"
    assert list(resources_for(passed, {"Role": role}, HERE)) == [role]


def test_what_is_made_may_be_tagged_and_nothing_else() -> None:
    tags = Permission("ec2:CreateTags", dependent=True)
    needed = [Permission("ec2:CreateSnapshot"), Permission("ec2:DescribeSnapshots"), tags]
    assert list(resources_for(tags, {"VolumeId": "vol-1"}, HERE, needed)) == [
        "arn:aws:ec2:eu-west-1::snapshot/*"
    ]


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
