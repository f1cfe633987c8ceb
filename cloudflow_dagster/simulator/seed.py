"""Fills the simulated cloud with a small believable estate."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

from cloudflow_dagster.simulator import estate
from cloudflow_dagster.simulator.haste import hasten
from cloudflow_dagster.simulator.server import CONTROL_PATH, call
from cloudflow_dagster.simulator.session import ACCOUNT, REGION, SECOND_ACCOUNT, EstateAccount

AUDIT_ROLE = f"arn:aws:iam::{SECOND_ACCOUNT}:role/cloudflow-audit"


def seed(endpoint: str) -> bool:
    """Fill both accounts; does nothing if that was done before.

    Names, tags, sizes and (for the same version of moto) ids are the same every time.

    Returns:
        Whether anything was added.
    """
    models = hasten()
    main = EstateAccount(endpoint, models=models)
    try:
        # The bucket that is made last.
        last = estate.BUCKETS[-1].name
        if last in [b["Name"] for b in main.client("s3").list_buckets()["Buckets"]]:
            return False
        # moto's ids are random numbers from this seed on.
        call(endpoint, "GET", "/moto-api/seed?a=20251101")
        role = _fill_iam(main)
        _fill_messaging(main)
        _fill_data(main, role)
        for region, network in estate.NETWORKS.items():
            _fill_region(endpoint, main, ACCOUNT, region, network)
        second = EstateAccount(endpoint, AUDIT_ROLE, models)
        try:
            for region, network in estate.SECOND_NETWORKS.items():
                _fill_region(endpoint, second, SECOND_ACCOUNT, region, network)
            second.client("s3").create_bucket(Bucket="acme-audit-trail")
        finally:
            second.close()
        _fill_storage(main)
    finally:
        main.close()
    return True


def _fill_region(
    endpoint: str, account: EstateAccount, number: str, region: str, network: estate.Network
) -> None:
    ec2 = account.client("ec2", region)
    vpc = ec2.create_vpc(
        CidrBlock=network.cidr, TagSpecifications=_tagged("vpc", {"Name": network.name})
    )["Vpc"]["VpcId"]
    subnets: dict[str, str] = {}
    for zone, cidr in network.subnets.items():
        subnets[zone] = ec2.create_subnet(
            VpcId=vpc,
            CidrBlock=cidr,
            AvailabilityZone=zone,
            TagSpecifications=_tagged("subnet", {"Name": f"{network.name}-{zone[-1]}"}),
        )["Subnet"]["SubnetId"]
    groups = {group.name: _security_group(ec2, vpc, group) for group in network.security_groups}
    instances = {i.name: _instance(ec2, i, subnets, groups) for i in network.instances}
    ages: dict[str, float] = {}
    for volume in network.volumes:
        ages |= _volume(ec2, volume, instances)
    if ages:
        order = {"account": number, "region": region, "snapshots": ages}
        call(endpoint, "POST", f"{CONTROL_PATH}/backdate", order)


def _security_group(ec2: Any, vpc: str, group: estate.SecurityGroup) -> str:
    id: str = ec2.create_security_group(
        GroupName=group.name,
        Description=group.description,
        VpcId=vpc,
        TagSpecifications=_tagged("security-group", {"Name": group.name}),
    )["GroupId"]
    ec2.authorize_security_group_ingress(
        GroupId=id,
        IpPermissions=[
            {
                "IpProtocol": "tcp",
                "FromPort": port,
                "ToPort": port,
                "IpRanges": [{"CidrIp": source}],
            }
            for port, source in group.open
        ],
    )
    return id


def _instance(
    ec2: Any, instance: estate.Instance, subnets: dict[str, str], groups: dict[str, str]
) -> str:
    id: str = ec2.run_instances(
        ImageId=estate.IMAGE,
        InstanceType=instance.size,
        MinCount=1,
        MaxCount=1,
        SubnetId=subnets[instance.zone],
        SecurityGroupIds=[groups[instance.security_group]],
        TagSpecifications=_tagged("instance", {"Name": instance.name, **instance.tags}),
    )["Instances"][0]["InstanceId"]
    if not instance.running:
        ec2.stop_instances(InstanceIds=[id])
    return id


def _volume(ec2: Any, volume: estate.Volume, instances: dict[str, str]) -> dict[str, float]:
    """Create a volume and its snapshots; return the snapshots' ages in days."""
    id: str = ec2.create_volume(
        AvailabilityZone=volume.zone,
        Size=volume.gigabytes,
        VolumeType=volume.type,
        Encrypted=volume.encrypted,
        TagSpecifications=_tagged("volume", {"Name": volume.name, **volume.tags}),
    )["VolumeId"]
    if volume.instance is not None:
        ec2.attach_volume(VolumeId=id, InstanceId=instances[volume.instance], Device="/dev/sdf")
    return {
        ec2.create_snapshot(
            VolumeId=id,
            Description=f"{volume.name}, {days} days old",
            TagSpecifications=_tagged("snapshot", {"Name": volume.name, **volume.tags}),
        )["SnapshotId"]: days
        for days in volume.snapshot_days
    }


def _fill_iam(account: EstateAccount) -> str:
    iam = account.client("iam")
    for user, tags in estate.USERS.items():
        iam.create_user(UserName=user, Tags=_tags(tags))
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "lambda.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    return iam.create_role(RoleName="report-function", AssumeRolePolicyDocument=json.dumps(trust))[
        "Role"
    ]["Arn"]


def _fill_messaging(account: EstateAccount) -> None:
    sqs, sns = account.client("sqs"), account.client("sns")
    dead = sqs.create_queue(QueueName="orders-dead-letters")["QueueUrl"]
    dead_arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:orders-dead-letters"
    sqs.create_queue(
        QueueName="orders",
        Attributes={
            "RedrivePolicy": json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 3})
        },
        tags={"env": "prod", "owner": "shop"},
    )
    sqs.send_message(QueueUrl=dead, MessageBody=json.dumps({"order": 1017, "problem": "no stock"}))
    sqs.create_queue(QueueName="alerts-inbox")
    topic = sns.create_topic(Name="alerts", Tags=_tags({"owner": "platform"}))["TopicArn"]
    sns.subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:{REGION}:{ACCOUNT}:alerts-inbox"
    )


def _fill_storage(account: EstateAccount) -> None:
    s3 = account.client("s3")
    for bucket in estate.BUCKETS:
        s3.create_bucket(Bucket=bucket.name)
        s3.put_bucket_tagging(Bucket=bucket.name, Tagging={"TagSet": _tags(bucket.tags)})
        for key, size in bucket.objects.items():
            s3.put_object(Bucket=bucket.name, Key=key, Body=b"." * size)


def _fill_data(account: EstateAccount, role: str) -> None:
    dynamodb = account.client("dynamodb")
    dynamodb.create_table(
        TableName="customers",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        Tags=_tags({"env": "prod", "owner": "shop"}),
    )
    for customer in estate.CUSTOMERS:
        dynamodb.put_item(
            TableName="customers", Item={name: {"S": value} for name, value in customer.items()}
        )
    account.client("secretsmanager").create_secret(
        Name="prod/shop/database", SecretString=json.dumps(estate.DATABASE_LOGIN)
    )
    ssm = account.client("ssm")
    for name, (value, kind) in estate.PARAMETERS.items():
        ssm.put_parameter(Name=name, Value=value, Type=kind)
    account.client("rds").create_db_instance(
        DBInstanceIdentifier="shop-db",
        DBInstanceClass="db.t3.medium",
        Engine="postgres",
        AllocatedStorage=50,
        MasterUsername="shop",
        MasterUserPassword=estate.DATABASE_LOGIN["password"],
        Tags=_tags({"env": "prod", "owner": "shop"}),
    )
    account.client("lambda").create_function(
        FunctionName="daily-report",
        Runtime="python3.12",
        Role=role,
        Handler="report.handler",
        Code={"ZipFile": _zipped("report.py", estate.FUNCTION)},
        Tags={"env": "prod", "owner": "platform"},
    )


def _zipped(name: str, text: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        # A fixed time: the function's hash is the same every time.
        archive.writestr(zipfile.ZipInfo(name, (2025, 1, 1, 0, 0, 0)), text)
    return content.getvalue()


def _tags(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _tagged(kind: str, tags: dict[str, str]) -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": _tags(tags)}]
