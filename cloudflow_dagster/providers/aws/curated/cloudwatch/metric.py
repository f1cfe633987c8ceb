"""Metrics of CloudWatch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.given import Tags, Text
from cloudflow_dagster.providers.aws.operations import Operations

Statistic = Annotated[str, Field(pattern=r"^([A-Z][A-Za-z]+|\w+\(.*\)|p\d+(\.\d+)?)$")]


class Point(TypedDict):
    """A metric at a time."""

    time: Annotated[str, Field(description="When its period began.")]
    value: Annotated[float, Field(description="Of that period.")]


class Metric(TypedDict):
    """A metric over some time."""

    points: Annotated[list[Point], Field(description="The oldest first; none if nothing came in.")]
    latest: Annotated[float | None, Field(description="The newest value.")]
    highest: Annotated[float | None, Field(description="The highest value.")]
    lowest: Annotated[float | None, Field(description="The lowest value.")]


class Put(TypedDict):
    """What was put."""

    namespace: Annotated[str, Field(description="Of the metric.")]
    metric: Annotated[str, Field(description="Name of the metric.")]


def dimension_list(dimensions: Tags | None) -> list[Json]:
    """Return dimensions as CloudWatch takes them."""
    return [{"Name": name, "Value": value} for name, value in (dimensions or {}).items()]


@aws_action(
    "aws.cloudwatch.metric.get",
    label="Get metric",
    calls=("cloudwatch.GetMetricData",),
    repeat=Repeat.READ,
    icon="chart-line",
)
def get(
    aws: Operations,
    *,
    namespace: Text,
    metric: Text,
    dimensions: Tags | None = None,
    statistic: Statistic = "Average",
    minutes: Annotated[int, Field(ge=1, le=655_200)] = 60,
    period: Annotated[int, Field(ge=1)] = 300,
) -> Metric:
    """Reads a metric over the last minutes.

    Args:
        aws: Carries out operations.
        namespace: `AWS/EC2`, `AWS/RDS`, or one of your own.
        metric: `CPUUtilization`, …
        dimensions: Of what: `{"InstanceId": "i-…"}`.
        statistic: `Average`, `Sum`, `Maximum`, `Minimum`, `SampleCount`, `p99`, …
        minutes: How far back.
        period: Seconds that one value stands for.
    """
    now = datetime.now(UTC)
    stat: dict[str, Json] = {
        "Metric": {
            "Namespace": namespace,
            "MetricName": metric,
            "Dimensions": dimension_list(dimensions),
        },
        "Period": period,
        "Stat": statistic,
    }
    answer = aws.pages(
        "cloudwatch.GetMetricData",
        MetricDataQueries=[{"Id": "wanted", "MetricStat": stat}],
        StartTime=(now - timedelta(minutes=minutes)).isoformat(),
        # What came in this second belongs to it, too.
        EndTime=(now + timedelta(seconds=60)).isoformat(),
        ScanBy="TimestampAscending",
    )
    points: list[Point] = [
        {"time": time, "value": value}
        for found in answer["MetricDataResults"]
        for time, value in zip(found["Timestamps"], found["Values"], strict=True)
    ]
    points.sort(key=lambda point: point["time"])
    values = [point["value"] for point in points]
    return {
        "points": points,
        "latest": values[-1] if values else None,
        "highest": max(values, default=None),
        "lowest": min(values, default=None),
    }


@aws_action(
    "aws.cloudwatch.metric.put",
    label="Put metric",
    calls=("cloudwatch.PutMetricData",),
    repeat=Repeat.ASK,
    icon="chart-line",
)
def put(
    aws: Operations,
    *,
    namespace: Text,
    metric: Text,
    value: float,
    unit: Literal["None", "Count", "Percent", "Seconds", "Milliseconds", "Bytes"] = "None",
    dimensions: Tags | None = None,
) -> Put:
    """Adds a value to a metric of your own.

    Args:
        aws: Carries out operations.
        namespace: Of your own; not one that begins with `AWS/`.
        metric: Name of the metric.
        value: The value, as of now.
        unit: What it counts.
        dimensions: Of what: `{"team": "shop"}`.
    """
    datum: dict[str, Json] = {
        "MetricName": metric,
        "Dimensions": dimension_list(dimensions),
        "Value": value,
        "Unit": unit,
    }
    aws.ask("cloudwatch.PutMetricData", Namespace=namespace, MetricData=[datum])
    return {"namespace": namespace, "metric": metric}
