"""Events on buses of EventBridge."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.given import ONE, Body, Text, Texts, as_text, one
from cloudflow_dagster.providers.aws.naming import Names
from cloudflow_dagster.providers.aws.operations import Operations

Bus = Annotated[str, one("name", "Name", "arn", "Arn"), ONE, Names("EventBusName")]


class Put(TypedDict):
    """What EventBridge took."""

    id: Annotated[str, Field(description="Of the event.")]
    bus: Annotated[str, Field(description="The bus.")]


@aws_action(
    "aws.events.event.put",
    label="Put event",
    calls=("events.PutEvents",),
    repeat=Repeat.ASK,
    icon="radio-tower",
)
def put(
    aws: Operations,
    *,
    source: Text,
    type: Text,
    detail: Body,
    bus: Bus = "default",
    resources: Texts | None = None,
) -> Put:
    """Puts an event on a bus of EventBridge, whose rules send it on.

    Args:
        aws: Carries out operations.
        source: Who says it: `shop.orders`.
        type: What happened: `Order placed`.
        detail: Any JSON object.
        bus: Name or ARN of the bus.
        resources: ARNs of what it is about.
    """
    answer = aws.ask(
        "events.PutEvents",
        Entries=[
            {
                "Source": source,
                "DetailType": type,
                "Detail": as_text(detail),
                "EventBusName": bus,
                **({"Resources": resources} if resources else {}),
            }
        ],
    )
    entry = answer["Entries"][0]
    if entry.get("ErrorCode"):
        raise NodeError(entry["ErrorCode"], entry.get("ErrorMessage") or "It was not taken.")
    return {"id": entry["EventId"], "bus": bus}
