"""Costs, from Cost Explorer."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.given import Tags
from cloudflow_dagster.providers.aws.operations import Operations


class Share(TypedDict):
    """What one service cost."""

    service: Annotated[str, Field(description="As the bill calls it.")]
    amount: Annotated[float, Field(description="What it cost.")]


class Costs(TypedDict):
    """What an account cost over some days."""

    total: Annotated[float, Field(description="All services together.")]
    currency: Annotated[str, Field(description="`USD`, …")]
    services: Annotated[list[Share], Field(description="The dearest first.")]
    start: Annotated[str, Field(description="The first day.")]
    end: Annotated[str, Field(description="The day after the last one.")]


@aws_action(
    "aws.ce.cost.by_service",
    label="Cost by service",
    calls=("ce.GetCostAndUsage",),
    repeat=Repeat.READ,
)
def by_service(
    aws: Operations,
    *,
    days: Annotated[int, Field(ge=1, le=365)] = 30,
    tags: Tags | None = None,
    cost: Literal[
        "UnblendedCost", "AmortizedCost", "NetAmortizedCost", "NetUnblendedCost"
    ] = "UnblendedCost",
) -> Costs:
    """Adds up what each service cost over the last days; each question costs a cent itself.

    Args:
        aws: Carries out operations.
        days: How many, up to yesterday.
        tags: Only what carries all of these; they must be active as cost allocation tags.
        cost: Which of the bill's numbers.
    """
    end = datetime.now(UTC).date()
    start = end - timedelta(days=days)
    asked: dict[str, Json] = {
        "TimePeriod": {"Start": start.isoformat(), "End": end.isoformat()},
        "Granularity": "DAILY",
        "Metrics": [cost],
        "GroupBy": [{"Type": "DIMENSION", "Key": "SERVICE"}],
        "Filter": _filter(tags),
    }
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    currency = "USD"
    page: Json = None
    while True:
        answer = aws.ask("ce.GetCostAndUsage", **asked, NextPageToken=page)
        groups = [group for day in answer["ResultsByTime"] for group in day.get("Groups", [])]
        for group in groups:
            found = group["Metrics"][cost]
            sums[group["Keys"][0]] += Decimal(found["Amount"])
            currency = found["Unit"]
        page = answer.get("NextPageToken")
        if not page:
            break
    services: list[Share] = [
        {"service": name, "amount": float(amount)}
        for name, amount in sorted(sums.items(), key=lambda each: -each[1])
    ]
    return {
        "total": float(sum(sums.values())),
        "currency": currency,
        "services": services,
        "start": start.isoformat(),
        "end": end.isoformat(),
    }


def _filter(tags: Tags | None) -> Json:
    parts: list[Json] = [{"Tags": {"Key": k, "Values": [v]}} for k, v in (tags or {}).items()]
    if len(parts) > 1:
        return {"And": parts}
    return parts[0] if parts else None
