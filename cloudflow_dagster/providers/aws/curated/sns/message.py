"""Messages to topics of SNS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.given import ONE, Body, Tags, as_text, message_attributes, one
from cloudflow_dagster.providers.aws.naming import Names
from cloudflow_dagster.providers.aws.operations import Operations

Topic = Annotated[str, one("arn", "TopicArn"), ONE, Names("TopicArn"), Field(pattern=r"^arn:")]
_REMEMBERED = 300.0
"""Seconds for which a FIFO topic drops a second message with the same deduplication id."""


class Published(TypedDict):
    """What SNS took."""

    id: Annotated[str, Field(description="Of the message.")]
    topic: Annotated[str, Field(description="ARN of the topic.")]


def _repeat_of(config: Mapping[str, Json]) -> Repeat:
    """Only a FIFO topic drops a second message; an expression may stand for either."""
    return Repeat.TOKEN if str(config.get("topic")).endswith(".fifo") else Repeat.ASK


@aws_action(
    "aws.sns.message.publish",
    label="Publish message",
    calls=("sns.Publish",),
    repeat=Repeat.ASK,
    repeat_of=_repeat_of,
    token_seconds=_REMEMBERED,
    icon="megaphone",
)
def publish(
    aws: Operations,
    *,
    topic: Topic,
    message: Body,
    subject: Annotated[str, Field(max_length=100)] | None = None,
    group: str | None = None,
    attributes: Tags | None = None,
) -> Published:
    """Publishes a message to a topic. Anything but text is sent as JSON.

    Args:
        aws: Carries out operations.
        topic: ARN. To a FIFO topic, an interrupted node publishes the message only once.
        message: Text or any JSON.
        subject: Of the mails that are made of it.
        group: For FIFO topics: messages of one group stay in order. `default` if none is given.
        attributes: Texts that go with it, for subscriptions that filter.
    """
    fifo = topic.endswith(".fifo")
    answer = aws.ask(
        "sns.Publish",
        TopicArn=topic,
        Message=as_text(message),
        Subject=subject,
        MessageGroupId=(group or "default") if fifo else group,
        MessageDeduplicationId=aws.call.token if fifo else None,
        MessageAttributes=message_attributes(attributes),
    )
    return {"id": answer["MessageId"], "topic": topic}
