"""What the cloud holds for one line, without what differs from line to line (ids, times)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from cloudflow_dagster.simulator.session import EstateAccount
from tests.chaos.desk import Desk


class Truth:
    """Asks the cloud directly.

    Args:
        cloud: The simulated cloud's own address.
        desk: The other API.
    """

    def __init__(self, cloud: str, desk: Desk) -> None:
        self._aws = EstateAccount(cloud)
        self._desk = desk

    def of(self, line: str) -> dict[str, Any]:
        """Return all that was made for a line, each kind sorted."""
        return {
            "servers": sorted(self._servers(line)),
            "volumes": sorted(self._volumes(line)),
            "queues": len(self._queues(line)),
            "letters": sorted(self.letters(line)),
            "objects": sorted(self._objects(line)),
            "topics": sorted(self._topics(line)),
            **self._desk.of(line),
        }

    def _servers(self, line: str) -> Iterator[str]:
        filters = [{"Name": "tag:line", "Values": [line]}]
        pages = self._aws.client("ec2").get_paginator("describe_instances")
        for page in pages.paginate(Filters=filters):
            for reservation in page["Reservations"]:
                for each in reservation["Instances"]:
                    yield f"{each['InstanceType']} {each['State']['Name']}"

    def _volumes(self, line: str) -> Iterator[str]:
        filters = [{"Name": "tag:line", "Values": [line]}]
        pages = self._aws.client("ec2").get_paginator("describe_volumes")
        for page in pages.paginate(Filters=filters):
            for each in page["Volumes"]:
                tags = {tag["Key"]: tag["Value"] for tag in each["Tags"]}
                yield f"{tags['name']}: {each['Size']} GB"

    def _queues(self, line: str) -> list[str]:
        return self._aws.client("sqs").list_queues(QueueNamePrefix=line).get("QueueUrls", [])

    def letters(self, line: str) -> list[str]:
        """Return the texts of the messages in a line's queue; each as often as it is there."""
        return [text for text, _ in self.messages(line)]

    def messages(self, line: str) -> list[tuple[str, str]]:
        """Return (text, id) of the messages in a line's queue."""
        sqs = self._aws.client("sqs")
        found: dict[str, str] = {}
        for url in self._queues(line):
            # What is seen stays visible to others. There are fewer than ten.
            got = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
            found |= {each["MessageId"]: each["Body"] for each in got.get("Messages", [])}
        return [(text, id) for id, text in found.items()]

    def _objects(self, line: str) -> Iterator[str]:
        s3 = self._aws.client("s3")
        if line not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
            return
        for each in s3.list_objects_v2(Bucket=line).get("Contents", []):
            yield each["Key"]

    def _topics(self, line: str) -> Iterator[str]:
        for page in self._aws.client("sns").get_paginator("list_topics").paginate():
            for each in page["Topics"]:
                name = each["TopicArn"].rpartition(":")[2]
                if name.startswith(f"{line}-"):
                    yield name.removeprefix(line)


def differences(expected: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Say in lines where two truths differ."""
    return [
        f"{kind}: {json.dumps(found[kind])} instead of {json.dumps(expected[kind])}"
        for kind in expected
        if found[kind] != expected[kind]
    ]
