"""Queues of SQS."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import Field
from typing_extensions import override

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.resource_fields import FIXED, GIVEN
from cloudflow_dagster.providers.aws.declare_resource import (
    AwsResource,
    Changed,
    Found,
    aws_resource,
)
from cloudflow_dagster.providers.aws.given import (
    ONE,
    Document,
    EncryptionKey,
    Tags,
    Text,
    document,
    gone,
    one,
)
from cloudflow_dagster.providers.aws.naming import Names
from cloudflow_dagster.providers.aws.operations import Operations

_ABSENT = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")
_NUMBERS = {
    "visible_after_seconds": "VisibilityTimeout",
    "kept_seconds": "MessageRetentionPeriod",
    "delay_seconds": "DelaySeconds",
    "wait_seconds": "ReceiveMessageWaitTimeSeconds",
}
_ATTRIBUTES = (*_NUMBERS, "dead_letters", "give_up_after", "kms_key", "policy")


@aws_resource(
    "aws.sqs.queue",
    label="Queue",
    create=("sqs.CreateQueue",),
    read=("sqs.GetQueueUrl", "sqs.GetQueueAttributes", "sqs.ListQueueTags"),
    update={
        "sqs.SetQueueAttributes": _ATTRIBUTES,
        "sqs.TagQueue": ("tags",),
        "sqs.UntagQueue": ("tags",),
    },
    delete=("sqs.DeleteQueue",),
    loss="The messages in it.",
)
class SqsQueue(AwsResource):
    """A queue of SQS; one whose name ends with `.fifo` keeps messages in order."""

    noun = "queue"
    name: Annotated[
        Text, FIXED, Names("QueueName"), Field(max_length=80, description="What it is called.")
    ]
    visible_after_seconds: Annotated[
        int | None,
        Field(ge=0, le=43_200, description="When a message that was not deleted comes back."),
    ] = None
    kept_seconds: Annotated[
        int | None, Field(ge=60, le=1_209_600, description="How long messages are kept.")
    ] = None
    delay_seconds: Annotated[
        int | None, Field(ge=0, le=900, description="How long nobody sees a new message.")
    ] = None
    wait_seconds: Annotated[
        int | None, Field(ge=0, le=20, description="How long who receives waits for a message.")
    ] = None
    dead_letters: Annotated[
        str | None,
        one("arn"),
        ONE,
        Field(description="ARN of the queue for messages that nobody can cope with."),
    ] = None
    give_up_after: Annotated[
        int, Field(ge=1, le=1000, description="Receives after which they go there.")
    ] = 5
    kms_key: Annotated[
        EncryptionKey | None,
        Field(description="Key of KMS; without one, SQS encrypts with its own."),
    ] = None
    policy: Annotated[Document | None, Field(description="Who may do what with it.")] = None
    tags: Annotated[Tags | None, Field(description="All its tags.")] = None
    url: Annotated[str | None, GIVEN, Field(description="Its address.")] = None
    arn: Annotated[str | None, GIVEN, Field(description="Names it in policies.")] = None

    @override
    def create(self, aws: Operations) -> str:
        fifo: Json = {"FifoQueue": "true"} if self.name.endswith(".fifo") else {}
        aws.ask("sqs.CreateQueue", QueueName=self.name, Attributes=fifo)
        return self.name

    @classmethod
    @override
    def read(cls, aws: Operations, identifier: str) -> Found:
        found = aws.find("sqs.GetQueueUrl", absent=_ABSENT, QueueName=identifier)
        if found is None:
            return None
        url = found["QueueUrl"]
        answer = aws.find(
            "sqs.GetQueueAttributes", absent=_ABSENT, QueueUrl=url, AttributeNames=["All"]
        )
        if answer is None:
            return None
        has: dict[str, str] = answer.get("Attributes", {})
        redrive: dict[str, Any] = json.loads(has.get("RedrivePolicy") or "{}")
        return identifier, {
            "name": identifier,
            **{name: int(has[api]) for name, api in _NUMBERS.items() if api in has},
            "dead_letters": redrive.get("deadLetterTargetArn"),
            "give_up_after": int(redrive.get("maxReceiveCount", 5)),
            "kms_key": has.get("KmsMasterKeyId") or None,
            "policy": document(has.get("Policy") or None),
            "tags": aws.ask("sqs.ListQueueTags", QueueUrl=url).get("Tags", {}),
            "url": url,
            "arn": has.get("QueueArn"),
        }

    @override
    def update(self, aws: Operations, identifier: str, changed: Changed) -> None:
        url = aws.ask("sqs.GetQueueUrl", QueueName=identifier)["QueueUrl"]
        sent: dict[str, Json] = {
            api: str(getattr(self, name)) for name, api in _NUMBERS.items() if name in changed
        }
        if "kms_key" in changed:
            sent["KmsMasterKeyId"] = self.kms_key
        if "policy" in changed:
            sent["Policy"] = json.dumps(self.policy) if self.policy else ""
        if self.dead_letters and not {"dead_letters", "give_up_after"}.isdisjoint(changed):
            redrive = {
                "deadLetterTargetArn": self.dead_letters,
                "maxReceiveCount": self.give_up_after,
            }
            sent["RedrivePolicy"] = json.dumps(redrive)
        if sent:
            aws.ask("sqs.SetQueueAttributes", QueueUrl=url, Attributes=sent)
        if "tags" in changed:
            aws.ask("sqs.TagQueue", QueueUrl=url, Tags=self.tags) if self.tags else None
            if old := gone(changed["tags"], self.tags):
                aws.ask("sqs.UntagQueue", QueueUrl=url, TagKeys=[*old])

    @classmethod
    @override
    def delete(cls, aws: Operations, identifier: str) -> None:
        url = aws.ask("sqs.GetQueueUrl", QueueName=identifier)["QueueUrl"]
        aws.ask("sqs.DeleteQueue", QueueUrl=url)
