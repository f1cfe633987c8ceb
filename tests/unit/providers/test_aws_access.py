"""Whether AWS's operations read, change or destroy, and what is harmful in a config."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cloudflow_dagster.nodes.spec import Access
from cloudflow_dagster.providers import catalogue
from cloudflow_dagster.providers.aws.access import access_of

POST = {"http": {"method": "POST"}}


@pytest.mark.parametrize(
    ("operation", "level", "access"),
    [
        ("GetThing", None, Access.READ),
        ("GetThing", "Write", Access.CHANGE),
        ("MakeThing", "Read", Access.READ),
        ("MakeThing", "List", Access.READ),
        ("MakeThing", None, Access.CHANGE),
        ("DeleteThing", "Write", Access.DESTROY),
        ("DeleteThing", "Permissions management", Access.DESTROY),
        ("DeleteThing", "Tagging", Access.CHANGE),
        ("DeleteTags", None, Access.CHANGE),
        ("UntagResource", None, Access.CHANGE),
        ("Deleted", None, Access.CHANGE),
    ],
)
def test_what_iam_says_comes_first_then_the_verb(
    operation: str, level: str | None, access: Access
) -> None:
    assert access_of("acme", operation, POST, rest=False, level=level) is access


def test_what_the_model_says_comes_before_the_verb() -> None:
    settings = {**POST, "readonly": True}
    assert access_of("acme", "DeletePreview", settings, rest=False) is Access.READ


@pytest.mark.parametrize(
    ("id", "access"),
    [
        ("aws.ec2.describe_volumes", Access.READ),
        ("aws.ec2.stop_instances", Access.CHANGE),
        ("aws.ec2.terminate_instances", Access.DESTROY),
        ("aws.ec2.deregister_image", Access.DESTROY),
        ("aws.ec2.delete_tags", Access.CHANGE),
        ("aws.kms.schedule_key_deletion", Access.DESTROY),
        ("aws.kms.cancel_key_deletion", Access.CHANGE),
        ("aws.sqs.purge_queue", Access.DESTROY),
        ("aws.storagegateway.retrieve_tape_archive", Access.CHANGE),
    ],
)
def test_well_known_operations(id: str, access: Access) -> None:
    found = catalogue().get(id)
    assert found is not None
    assert found.access is access
    assert (found.destructive_for({}) is not None) is (access is Access.DESTROY)


def harm(id: str, config: dict[str, Any]) -> str | None:
    found = catalogue().get(id)
    assert found is not None
    return found.destructive_for(config)


def test_a_security_group_that_is_opened_to_the_world_is_harm() -> None:
    ingress = "aws.ec2.authorize_security_group_ingress"
    assert harm(ingress, {"GroupId": "sg-1", "CidrIp": "10.0.0.0/8"}) is None
    assert harm(ingress, {"GroupId": "sg-1", "CidrIp": "{{ params.from }}"}) is None
    assert harm(ingress, {"GroupId": "sg-1", "CidrIp": "0.0.0.0/0"}) is not None
    rules = [{"SecurityGroupRuleId": "r", "SecurityGroupRule": {"CidrIpv6": "::/0"}}]
    changed = {"GroupId": "sg-1", "SecurityGroupRules": rules}
    assert harm("aws.ec2.modify_security_group_rules", changed) == (
        "It opens a security group to the whole internet (::/0)."
    )


_ANYBODY = {"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"}]}
_HOME = {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}
_OVER_TLS = {"Bool": {"aws:SecureTransport": "true"}}
_ANYBODY_OVER_TLS = {"Statement": [{**_ANYBODY["Statement"][0], "Condition": _OVER_TLS}]}
_ALL_BUT_ONE = {"Statement": {"Effect": "Allow", "NotPrincipal": {"AWS": "1"}, "Action": "s3:*"}}
_FROM_HOME = {"Statement": [{**_ANYBODY["Statement"][0], "Condition": _HOME}]}
_ALL = {"Statement": {"Effect": "Allow", "Action": ["*"], "Resource": "*"}}
_DENIED = {"Statement": [{**_ANYBODY["Statement"][0], "Effect": "Deny"}]}


@pytest.mark.parametrize(
    ("id", "config", "harmful"),
    [
        ("aws.s3.put_bucket_acl", {"Bucket": "b", "ACL": "public-read"}, True),
        ("aws.s3.put_bucket_acl", {"Bucket": "b", "ACL": "private"}, False),
        ("aws.s3.put_bucket_policy", {"Bucket": "b", "Policy": json.dumps(_ANYBODY)}, True),
        ("aws.s3.put_bucket_policy", {"Bucket": "b", "Policy": json.dumps(_FROM_HOME)}, False),
        ("aws.s3.put_bucket_policy", {"Bucket": "b", "Policy": json.dumps(_DENIED)}, False),
        ("aws.s3.put_bucket_policy", {"Bucket": "b", "Policy": '{"Statement": broken'}, False),
        ("aws.s3.bucket", {"name": "b-b", "policy": _ANYBODY}, True),
        ("aws.s3.bucket", {"name": "b-b", "policy": _ANYBODY_OVER_TLS}, True),
        ("aws.s3.bucket", {"name": "b-b", "policy": _ALL_BUT_ONE}, True),
        ("aws.s3.bucket", {"name": "b-b", "block_public_access": False}, True),
        ("aws.s3.bucket", {"name": "b-b", "policy": _DENIED}, False),
        ("aws.s3.bucket_policy", {"Bucket": "b", "PolicyDocument": _ANYBODY}, True),
        ("aws.iam.role", {"name": "r", "trust": _ANYBODY}, True),
        ("aws.iam.role", {"name": "r", "trust": "lambda.amazonaws.com"}, False),
        ("aws.iam.role", {"name": "r", "inline_policies": {"all": _ALL}}, True),
        (
            "aws.iam.attach_role_policy",
            {"RoleName": "r", "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"},
            True,
        ),
        ("aws.lambda.add_permission", {"FunctionName": "f", "Principal": "*"}, True),
        ("aws.ec2.modify_snapshot_attribute", {"SnapshotId": "s", "GroupNames": ["all"]}, True),
        (
            "aws.ec2.modify_snapshot_attribute",
            {"SnapshotId": "s", "GroupNames": ["all"], "OperationType": "remove"},
            False,
        ),
        (
            "aws.ec2.modify_image_attribute",
            {"ImageId": "i", "LaunchPermission": {"Remove": [{"Group": "all"}]}},
            False,
        ),
        (
            "aws.ec2.modify_image_attribute",
            {"ImageId": "i", "LaunchPermission": {"Add": [{"Group": "all"}]}},
            True,
        ),
        (
            "aws.s3.put_bucket_acl",
            {"GrantRead": 'uri="http://acs.amazonaws.com/groups/global/AllUsers"'},
            True,
        ),
        (
            "aws.ec2.security_group_resource",
            {"SecurityGroupIngress": [{"CidrIp": "0.0.0.0/0"}]},
            True,
        ),
        (
            "aws.ec2.security_group_resource",
            {"SecurityGroupEgress": [{"CidrIp": "0.0.0.0/0"}]},
            False,
        ),
        ("aws.ec2.security_group_ingress", {"CidrIp": "0.0.0.0/0"}, True),
        ("aws.rds.modify_db_instance", {"PubliclyAccessible": True}, True),
        ("aws.s3.get_bucket_policy", {"Bucket": "b", "ACL": "public-read"}, False),
    ],
)
def test_what_is_opened_to_everybody_or_may_do_everything_is_harm(
    id: str, config: dict[str, Any], *, harmful: bool
) -> None:
    assert (harm(id, config) is not None) is harmful


def test_what_is_deleted_by_the_config_is_harm() -> None:
    def change(action: str) -> dict[str, Any]:
        return {"ChangeBatch": {"Changes": [{"Action": action, "ResourceRecordSet": {}}]}}

    assert harm("aws.route53.change_resource_record_sets", change("UPSERT")) is None
    assert harm("aws.route53.change_resource_record_sets", change("DELETE")) is not None
    put, delete = {"PutRequest": {"Item": {}}}, {"DeleteRequest": {"Key": {}}}
    assert harm("aws.dynamodb.batch_write_item", {"RequestItems": {"t": [put]}}) is None
    assert harm("aws.dynamodb.batch_write_item", {"RequestItems": {"t": [put, delete]}}) is not None
    assert (
        harm("generic.http.request", {"url": "https://a.example", "method": "DELETE"}) is not None
    )
    assert harm("generic.http.request", {"url": "https://a.example"}) is None
