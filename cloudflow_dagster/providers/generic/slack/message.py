"""Messages to Slack."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema
from typing_extensions import TypedDict

from cloudflow_dagster.nodes.call import Call
from cloudflow_dagster.nodes.declare import BLUE, action
from cloudflow_dagster.nodes.fields import Multiline
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.generic.http.post import post

Blocks = Annotated[
    list[dict[str, Any]],
    WithJsonSchema({"type": "array", "items": {"type": "object"}}),
]


class Sent(TypedDict):
    """What Slack said."""

    status: Annotated[int, Field(description="200: Slack gives no id of the message.")]


@action(
    "generic.slack.message",
    label="Slack message",
    icon="message-square",
    category="web",
    color=BLUE,
    repeat=Repeat.ASK,
    documentation="https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks",
)
def message(
    call: Call,
    *,
    webhook: Annotated[str, Field(min_length=1)],
    text: Multiline,
    blocks: Blocks | None = None,
) -> Sent:
    """Sends a message to the channel of an incoming webhook of Slack.

    Args:
        call: What surrounds the attempt.
        webhook: Its address. Whoever has it may write there: `{{ $secret('slack') }}`.
        text: In Slack's own Markdown; with `blocks`, what notifications show.
        blocks: Blocks of Slack's Block Kit.
    """
    call.hide(webhook)
    answer = post(call, webhook, {"text": text, **({"blocks": blocks} if blocks else {})})
    return {"status": answer["status"]}
