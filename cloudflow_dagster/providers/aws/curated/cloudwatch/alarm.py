"""Alarms of CloudWatch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.curated.cloudwatch.metric import dimension_list
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.given import MANY, Tags, Text, many
from cloudflow_dagster.providers.aws.operations import Operations

Topics = Annotated[list[str], many("arn", "TopicArn"), MANY]
_COMPARE = {
    ">": "GreaterThanThreshold",
    ">=": "GreaterThanOrEqualToThreshold",
    "<": "LessThanThreshold",
    "<=": "LessThanOrEqualToThreshold",
}


class Alarm(TypedDict):
    """An alarm."""

    name: Annotated[str, Field(description="Its name.")]
    arn: Annotated[str, Field(description="Its ARN.")]
    state: Annotated[str, Field(description="`OK`, `ALARM` or `INSUFFICIENT_DATA`.")]


@aws_action(
    "aws.cloudwatch.alarm.set",
    label="Set alarm",
    calls=("cloudwatch.PutMetricAlarm", "cloudwatch.DescribeAlarms"),
    repeat=Repeat.SAFE,
    icon="bell",
)
def set_(
    aws: Operations,
    *,
    name: Text,
    namespace: Text,
    metric: Text,
    threshold: float,
    compare: Literal[">", ">=", "<", "<="] = ">",
    dimensions: Tags | None = None,
    statistic: Literal["Average", "Sum", "Maximum", "Minimum", "SampleCount"] = "Average",
    period: Annotated[int, Field(ge=10)] = 300,
    times: Annotated[int, Field(ge=1)] = 1,
    notify: Topics | None = None,
    missing: Literal["missing", "breaching", "notBreaching", "ignore"] = "missing",
    description: str | None = None,
) -> Alarm:
    """Makes an alarm of a metric, or changes the one that has this name.

    Args:
        aws: Carries out operations.
        name: Of the alarm.
        namespace: `AWS/EC2`, `AWS/RDS`, or one of your own.
        metric: `CPUUtilization`, …
        threshold: What it is compared with.
        compare: How.
        dimensions: Of what: `{"InstanceId": "i-…"}`.
        statistic: What is made of a period's values.
        period: Seconds that one value stands for.
        times: How many periods in a row it must be so.
        notify: ARNs of topics that are told when it goes off, and when it is over.
        missing: What a period without values counts as.
        description: Says what to do about it.
    """
    aws.ask(
        "cloudwatch.PutMetricAlarm",
        AlarmName=name,
        AlarmDescription=description,
        AlarmActions=notify,
        OKActions=notify,
        Namespace=namespace,
        MetricName=metric,
        Dimensions=dimension_list(dimensions),
        Statistic=statistic,
        Period=period,
        EvaluationPeriods=times,
        Threshold=threshold,
        ComparisonOperator=_COMPARE[compare],
        TreatMissingData=missing,
    )
    found = aws.ask("cloudwatch.DescribeAlarms", AlarmNames=[name])["MetricAlarms"][0]
    return {"name": name, "arn": found["AlarmArn"], "state": found["StateValue"]}
