"""Topics of SNS."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import override

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.resource_fields import FIXED, GIVEN
from cloudflow_dagster.providers.aws.curated.arns import IDENTITY, arn_of
from cloudflow_dagster.providers.aws.declare_resource import (
    AwsResource,
    Changed,
    Found,
    aws_resource,
)
from cloudflow_dagster.providers.aws.given import (
    ONE,
    UNORDERED_LIST,
    Document,
    EncryptionKey,
    Tags,
    Text,
    document,
    gone,
    one,
    tag_list,
    tags_of,
)
from cloudflow_dagster.providers.aws.naming import Names
from cloudflow_dagster.providers.aws.operations import Operations

_NAMES = {"display_name": "DisplayName", "kms_key": "KmsMasterKeyId", "policy": "Policy"}


class Subscription(BaseModel):
    """Whom a topic tells what is published to it."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    protocol: Annotated[
        Literal["email", "email-json", "http", "https", "sms", "sqs", "lambda", "firehose"],
        Field(description="How it is told."),
    ]
    endpoint: Annotated[
        str, one("arn"), ONE, Field(description="An address, or the ARN of a queue or function.")
    ]


@aws_resource(
    "aws.sns.topic",
    label="Topic",
    create=("sns.CreateTopic",),
    read=(
        IDENTITY,
        "sns.GetTopicAttributes",
        "sns.ListSubscriptionsByTopic",
        "sns.ListTagsForResource",
    ),
    update={
        "sns.SetTopicAttributes": tuple(_NAMES),
        "sns.Subscribe": ("subscriptions",),
        "sns.Unsubscribe": ("subscriptions",),
        "sns.TagResource": ("tags",),
        "sns.UntagResource": ("tags",),
    },
    delete=("sns.DeleteTopic",),
)
class SnsTopic(AwsResource):
    """A topic of SNS, with those whom it tells."""

    noun = "topic"
    name: Annotated[
        Text, FIXED, Names("TopicName"), Field(max_length=256, description="What it is called.")
    ]
    display_name: Annotated[str | None, Field(description="The sender that people see.")] = None
    subscriptions: Annotated[
        list[Subscription] | None,
        Field(description="All that it tells.", json_schema_extra=UNORDERED_LIST),
    ] = None
    kms_key: Annotated[EncryptionKey | None, Field(description="Key of KMS that encrypts it.")] = (
        None
    )
    policy: Annotated[Document | None, Field(description="Who may do what with it.")] = None
    tags: Annotated[Tags | None, Field(description="All its tags.")] = None
    arn: Annotated[str | None, GIVEN, Field(description="Names it.")] = None

    @override
    def create(self, aws: Operations) -> str:
        fifo: Json = {"FifoTopic": "true"} if self.name.endswith(".fifo") else {}
        return str(aws.ask("sns.CreateTopic", Name=self.name, Attributes=fifo)["TopicArn"])

    @classmethod
    @override
    def read(cls, aws: Operations, identifier: str) -> Found:
        arn = identifier if ":" in identifier else arn_of(aws, "sns", identifier)
        answer = aws.find(
            "sns.GetTopicAttributes", absent=("NotFound", "NotFoundException"), TopicArn=arn
        )
        if answer is None:
            return None
        has: dict[str, str] = answer.get("Attributes", {})
        told: list[Json] = [
            {"protocol": each["Protocol"], "endpoint": each["Endpoint"]}
            for each in _subscriptions(aws, arn)
        ]
        tags = aws.ask("sns.ListTagsForResource", ResourceArn=arn).get("Tags")
        return arn, {
            "name": arn.rpartition(":")[2],
            "display_name": has.get("DisplayName") or None,
            "subscriptions": told,
            "kms_key": has.get("KmsMasterKeyId") or None,
            "policy": document(has.get("Policy") or None),
            "tags": tags_of(tags),
            "arn": arn,
        }

    @override
    def update(self, aws: Operations, identifier: str, changed: Changed) -> None:
        for name in changed.keys() & _NAMES.keys():
            value = getattr(self, name)
            text = value if isinstance(value, str) else json.dumps(value)
            aws.ask(
                "sns.SetTopicAttributes",
                TopicArn=identifier,
                AttributeName=_NAMES[name],
                AttributeValue=text,
            )
        if "subscriptions" in changed:
            self._subscribe(aws, identifier)
        if "tags" in changed:
            if self.tags:
                aws.ask("sns.TagResource", ResourceArn=identifier, Tags=tag_list(self.tags))
            if old := gone(changed["tags"], self.tags):
                aws.ask("sns.UntagResource", ResourceArn=identifier, TagKeys=[*old])

    def _subscribe(self, aws: Operations, arn: str) -> None:
        there = {(each["Protocol"], each["Endpoint"]): each for each in _subscriptions(aws, arn)}
        wanted = {(each.protocol, each.endpoint) for each in self.subscriptions or ()}
        for protocol, endpoint in sorted(wanted - there.keys()):
            aws.ask("sns.Subscribe", TopicArn=arn, Protocol=protocol, Endpoint=endpoint)
        for key in there.keys() - wanted:
            # One that nobody has confirmed has no ARN yet, and goes by itself.
            if ":" in (subscribed := str(there[key]["SubscriptionArn"])):
                aws.ask("sns.Unsubscribe", SubscriptionArn=subscribed)

    @classmethod
    @override
    def delete(cls, aws: Operations, identifier: str) -> None:
        aws.ask("sns.DeleteTopic", TopicArn=identifier)


def _subscriptions(aws: Operations, arn: str) -> list[dict[str, Any]]:
    return aws.pages("sns.ListSubscriptionsByTopic", TopicArn=arn).get("Subscriptions", [])
