"""Messages in queues of SQS."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.given import (
    MANY,
    ONE,
    Body,
    Tags,
    Text,
    as_text,
    many,
    message_attributes,
    one,
)
from cloudflow_dagster.providers.aws.naming import Names
from cloudflow_dagster.providers.aws.operations import Operations

Queue = Annotated[str, one("url", "QueueUrl", "name"), ONE, Names("QueueUrl"), Field(min_length=1)]
Receipts = Annotated[list[str], many("receipt", "ReceiptHandle"), MANY]
_AT_ONCE = 10
_REMEMBERED = 300.0
"""Seconds for which a FIFO queue drops a second message with the same deduplication id."""


class Sent(TypedDict):
    """What SQS took."""

    id: Annotated[str, Field(description="Of the message.")]
    queue: Annotated[str, Field(description="Address of the queue.")]


class Message(TypedDict):
    """A message."""

    id: Annotated[str, Field(description="Of the message.")]
    body: Annotated[Any, Field(description="JSON where it is that, else text.")]
    receipt: Annotated[str, Field(description="With it, the message can be deleted.")]
    attributes: Annotated[dict[str, Any], Field(description="What came with it.")]
    received: Annotated[int | None, Field(description="How often it was received, this included.")]


class Received(TypedDict):
    """Messages."""

    messages: Annotated[list[Message], Field(description="None, if none came in time.")]
    count: Annotated[int, Field(description="How many.")]
    queue: Annotated[str, Field(description="Address of the queue.")]


class Deleted(TypedDict):
    """What is gone."""

    count: Annotated[int, Field(description="How many.")]


def _repeat_of_send(config: Mapping[str, Json]) -> Repeat:
    """Only a FIFO queue drops a second message; an expression may stand for either."""
    return Repeat.TOKEN if str(config.get("queue")).endswith(".fifo") else Repeat.ASK


@aws_action(
    "aws.sqs.message.send",
    label="Send message",
    calls=("sqs.SendMessage", "sqs.GetQueueUrl"),
    repeat=Repeat.ASK,
    repeat_of=_repeat_of_send,
    token_seconds=_REMEMBERED,
    icon="send",
)
def send(
    aws: Operations,
    *,
    queue: Queue,
    body: Body,
    delay: Annotated[int, Field(ge=0, le=900)] | None = None,
    group: str | None = None,
    attributes: Tags | None = None,
) -> Sent:
    """Sends a message to a queue. Anything but text is sent as JSON.

    Args:
        aws: Carries out operations.
        queue: Name or address. To a FIFO queue, an interrupted node sends the message only once.
        body: Text or any JSON.
        delay: Seconds for which nobody sees it; not in FIFO queues.
        group: For FIFO queues: messages of one group stay in order. `default` if none is given.
        attributes: Texts that go with it.
    """
    url = _url(aws, queue)
    fifo = url.endswith(".fifo")
    answer = aws.ask(
        "sqs.SendMessage",
        QueueUrl=url,
        MessageBody=as_text(body),
        DelaySeconds=delay,
        MessageGroupId=(group or "default") if fifo else group,
        MessageDeduplicationId=aws.call.token if fifo else None,
        MessageAttributes=message_attributes(attributes),
    )
    return {"id": answer["MessageId"], "queue": url}


@aws_action(
    "aws.sqs.message.receive",
    label="Receive messages",
    calls=("sqs.ReceiveMessage", "sqs.GetQueueUrl", "sqs.DeleteMessageBatch"),
    repeat=Repeat.SAFE,
    repeat_of=lambda config: Repeat.SAFE if config.get("delete", False) is False else Repeat.ASK,
    icon="inbox",
)
def receive(
    aws: Operations,
    *,
    queue: Queue,
    at_most: Annotated[int, Field(ge=1, le=10)] = 10,
    seconds: Annotated[int, Field(ge=0, le=20)] = 5,
    hidden: Annotated[int, Field(ge=0, le=43_200)] | None = None,
    delete: bool = False,
) -> Received:
    """Receives up to ten messages of a queue.

    Until they are deleted they come back after a while. Delete them when what they asked for is
    done: with `aws.sqs.message.delete`, or at once with `delete`.

    Args:
        aws: Carries out operations.
        queue: Name or address.
        at_most: How many.
        seconds: How long to wait for the first one.
        hidden: For how many seconds nobody else gets them; as the queue says if not given.
        delete: Whether to delete them at once; they are lost then, if what comes later fails.
    """
    url = _url(aws, queue)
    answer = aws.ask(
        "sqs.ReceiveMessage",
        QueueUrl=url,
        MaxNumberOfMessages=at_most,
        WaitTimeSeconds=seconds,
        VisibilityTimeout=hidden,
        MessageAttributeNames=["All"],
        MessageSystemAttributeNames=["ApproximateReceiveCount"],
    )
    messages = [_message(each) for each in answer.get("Messages", [])]
    if delete:
        _delete(aws, url, [each["receipt"] for each in messages])
    return {"messages": messages, "count": len(messages), "queue": url}


@aws_action(
    "aws.sqs.message.delete",
    label="Delete messages",
    calls=("sqs.DeleteMessageBatch", "sqs.GetQueueUrl"),
    repeat=Repeat.SAFE,
    destructive="It takes messages out of a queue for good.",
    icon="trash-2",
)
def delete(aws: Operations, *, queue: Queue, messages: Receipts) -> Deleted:
    """Deletes messages that were received, so that they do not come back.

    Args:
        aws: Carries out operations.
        queue: Name or address.
        messages: Receipts, or messages that another node gave.
    """
    _delete(aws, _url(aws, queue), messages)
    return {"count": len(messages)}


def _url(aws: Operations, queue: Text) -> str:
    if queue.startswith(("https://", "http://")):
        return queue
    return aws.ask("sqs.GetQueueUrl", QueueName=queue)["QueueUrl"]


def _delete(aws: Operations, url: str, receipts: list[str]) -> None:
    for n in range(0, len(receipts), _AT_ONCE):
        entries: list[Json] = [
            {"Id": str(i), "ReceiptHandle": receipt}
            for i, receipt in enumerate(receipts[n : n + _AT_ONCE])
        ]
        answer = aws.ask("sqs.DeleteMessageBatch", QueueUrl=url, Entries=entries)
        if failed := answer.get("Failed"):
            first = failed[0]
            raise NodeError(first["Code"], f"{len(failed)} messages: {first.get('Message', '')}.")


def _message(found: dict[str, Any]) -> Message:
    attributes: dict[str, Any] = found.get("MessageAttributes", {})
    count = found.get("Attributes", {}).get("ApproximateReceiveCount")
    try:
        body: Json = json.loads(found["Body"])
    except ValueError:
        body = found["Body"]
    return {
        "id": found["MessageId"],
        "body": body,
        "receipt": found["ReceiptHandle"],
        "attributes": {
            name: each.get("StringValue", each.get("BinaryValue"))
            for name, each in attributes.items()
        },
        "received": None if count is None else int(count),
    }
