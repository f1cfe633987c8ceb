"""Alarms of CloudWatch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict, override

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.resource_fields import FIXED, GIVEN
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.curated.cloudwatch.metric import dimension_list
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.declare_resource import (
    AwsResource,
    Changed,
    Found,
    aws_resource,
)
from cloudflow_dagster.providers.aws.given import (
    MANY,
    Tags,
    Text,
    gone,
    many,
    tag_list,
    tags_of,
)
from cloudflow_dagster.providers.aws.naming import Names
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
    name: Annotated[Text, Names("AlarmName")],
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


_SAME = {
    "namespace": "Namespace",
    "metric": "MetricName",
    "threshold": "Threshold",
    "statistic": "Statistic",
    "period": "Period",
    "times": "EvaluationPeriods",
    "notify": "AlarmActions",
    "missing": "TreatMissingData",
    "description": "AlarmDescription",
}
_SIGNS = {api: sign for sign, api in _COMPARE.items()}


@aws_resource(
    "aws.cloudwatch.alarm",
    label="Alarm",
    create=("cloudwatch.PutMetricAlarm",),
    read=("cloudwatch.DescribeAlarms", "cloudwatch.ListTagsForResource"),
    update={"cloudwatch.TagResource": ("tags",), "cloudwatch.UntagResource": ("tags",)},
    delete=("cloudwatch.DeleteAlarms",),
    icon="bell",
)
class MetricAlarm(AwsResource):
    """An alarm of CloudWatch, of one metric."""

    noun = "alarm"
    name: Annotated[
        Text, FIXED, Names("AlarmName"), Field(max_length=255, description="What it is called.")
    ]
    namespace: Annotated[Text, Field(description="`AWS/EC2`, or one of your own.")]
    metric: Annotated[Text, Field(description="`CPUUtilization`, …")]
    threshold: Annotated[float, Field(description="What it is compared with.")]
    compare: Annotated[Literal[">", ">=", "<", "<="], Field(description="How.")] = ">"
    dimensions: Annotated[Tags | None, Field(description='Of what: `{"InstanceId": "i-…"}`.')] = (
        None
    )
    statistic: Annotated[
        Literal["Average", "Sum", "Maximum", "Minimum", "SampleCount"],
        Field(description="What is made of a period's values."),
    ] = "Average"
    period: Annotated[int, Field(ge=10, description="Seconds that one value stands for.")] = 300
    times: Annotated[int, Field(ge=1, description="Periods in a row that it must be so.")] = 1
    notify: Annotated[
        Topics | None, Field(description="ARNs of topics that are told when it goes off.")
    ] = None
    missing: Annotated[
        Literal["missing", "breaching", "notBreaching", "ignore"],
        Field(description="What a period without values counts as."),
    ] = "missing"
    description: Annotated[str | None, Field(description="What it is for.")] = None
    tags: Annotated[Tags | None, Field(description="All its tags.")] = None
    arn: Annotated[str | None, GIVEN, Field(description="Names it.")] = None

    @override
    def create(self, aws: Operations) -> str:
        self._put(aws, {})
        return self.name

    @classmethod
    @override
    def read(cls, aws: Operations, identifier: str) -> Found:
        answer = aws.ask(
            "cloudwatch.DescribeAlarms", AlarmNames=[identifier], AlarmTypes=["MetricAlarm"]
        )
        if not answer.get("MetricAlarms"):
            return None
        found = answer["MetricAlarms"][0]
        arn = found["AlarmArn"]
        tags = aws.ask("cloudwatch.ListTagsForResource", ResourceARN=arn).get("Tags")
        return identifier, {
            "name": identifier,
            **{name: found.get(api) for name, api in _SAME.items()},
            "compare": _SIGNS.get(found["ComparisonOperator"]),
            "dimensions": {each["Name"]: each["Value"] for each in found.get("Dimensions", [])},
            "missing": found.get("TreatMissingData") or "missing",
            "tags": tags_of(tags),
            "arn": arn,
        }

    @override
    def update(self, aws: Operations, identifier: str, changed: Changed) -> None:
        _, found = self.read(aws, identifier) or ("", {})
        if changed.keys() - {"tags"}:
            self._put(aws, found)
        if "tags" in changed:
            arn = found.get("arn")
            if self.tags:
                aws.ask("cloudwatch.TagResource", ResourceARN=arn, Tags=tag_list(self.tags))
            if old := gone(changed["tags"], self.tags):
                aws.ask("cloudwatch.UntagResource", ResourceARN=arn, TagKeys=[*old])

    def _put(self, aws: Operations, found: dict[str, Json]) -> None:
        """Set all of the alarm: what is not sent would be taken away."""
        wanted = {**found, **self.model_dump(mode="json", exclude_none=True)}
        aws.ask(
            "cloudwatch.PutMetricAlarm",
            AlarmName=self.name,
            **{api: wanted.get(name) for name, api in _SAME.items()},
            ComparisonOperator=_COMPARE[self.compare],
            Dimensions=dimension_list(wanted.get("dimensions") or {}),
        )

    @classmethod
    @override
    def delete(cls, aws: Operations, identifier: str) -> None:
        aws.ask("cloudwatch.DeleteAlarms", AlarmNames=[identifier])
