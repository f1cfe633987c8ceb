"""Mails, through SES."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.fields import Lines, Multiline
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.given import Text
from cloudflow_dagster.providers.aws.operations import Operations


class Sent(TypedDict):
    """What SES took."""

    id: Annotated[str, Field(description="Of the mail.")]
    to: Annotated[list[str], Field(description="Who gets it.")]


@aws_action(
    "aws.ses.mail.send",
    label="Send mail (SES)",
    calls=("sesv2.SendEmail",),
    repeat=Repeat.ASK,
)
def send(
    aws: Operations,
    *,
    from_: Text,
    to: Lines,
    subject: Text,
    text: Multiline = "",
    html: Multiline | None = None,
    cc: Lines | None = None,
    bcc: Lines | None = None,
    reply_to: Lines | None = None,
) -> Sent:
    """Sends a mail through SES.

    Args:
        aws: Carries out operations.
        from_: An address that SES has verified, by `aws.ses.verify_email_identity`; the simulated
            cloud wants that too.
        to: One address or several.
        subject: One line.
        text: For those who read plain text.
        html: For the others.
        cc: Who else gets it.
        bcc: Who else gets it without the others knowing.
        reply_to: Where answers go.
    """
    body: dict[str, Json] = {"Text": {"Data": text, "Charset": "UTF-8"}}
    if html is not None:
        body["Html"] = {"Data": html, "Charset": "UTF-8"}
    answer = aws.ask(
        "sesv2.SendEmail",
        FromEmailAddress=from_,
        Destination={"ToAddresses": to, "CcAddresses": cc or [], "BccAddresses": bcc or []},
        ReplyToAddresses=reply_to,
        Content={"Simple": {"Subject": {"Data": subject, "Charset": "UTF-8"}, "Body": body}},
    )
    return {"id": answer["MessageId"], "to": to}
