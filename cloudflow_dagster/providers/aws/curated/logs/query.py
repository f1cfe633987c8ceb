"""Queries of CloudWatch Logs Insights."""

from __future__ import annotations

import time
from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.fields import Multiline
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.given import MANY, many
from cloudflow_dagster.providers.aws.naming import Names
from cloudflow_dagster.providers.aws.operations import Operations

Groups = Annotated[
    list[str], many("name", "logGroupName"), MANY, Names("LogGroupName"), Field(min_length=1)
]
_EVERY = 5.0
_RUNNING = frozenset({"Scheduled", "Running"})


class Rows(TypedDict):
    """What a query found."""

    rows: Annotated[list[dict[str, str]], Field(description="One object for each line found.")]
    count: Annotated[int, Field(description="How many.")]
    scanned_bytes: Annotated[float | None, Field(description="What AWS charges for.")]


@aws_action(
    "aws.logs.query.run",
    label="Query logs",
    calls=("logs.StartQuery", "logs.GetQueryResults"),
    repeat=Repeat.READ,
    icon="scroll-text",
)
def run(
    aws: Operations,
    *,
    groups: Groups,
    query: Multiline = "fields @timestamp, @message | sort @timestamp desc",
    minutes: Annotated[int, Field(ge=1)] = 60,
    at_most: Annotated[int, Field(ge=1, le=10_000)] = 1000,
) -> Rows:
    """Runs a query of Logs Insights over log groups and waits for what it finds.

    Args:
        aws: Carries out operations.
        groups: Names of log groups.
        query: In the language of Logs Insights.
        minutes: How far back.
        at_most: How many rows.
    """
    now = int(time.time())
    started = aws.ask(
        "logs.StartQuery",
        logGroupNames=groups,
        queryString=query,
        startTime=now - minutes * 60,
        endTime=now,
        limit=at_most,
    )
    found = aws.until(
        lambda answer: answer["status"] not in _RUNNING,
        "logs.GetQueryResults",
        every=_EVERY,
        queryId=started["queryId"],
    )
    if found["status"] != "Complete":
        raise NodeError("QueryFailed", f"The query ended with the status {found['status']}.")
    lines: list[list[dict[str, Any]]] = found.get("results", [])
    rows = [
        {each["field"]: each["value"] for each in line if each["field"] != "@ptr"} for line in lines
    ]
    scanned = found.get("statistics", {}).get("bytesScanned")
    return {"rows": rows, "count": len(rows), "scanned_bytes": scanned}
