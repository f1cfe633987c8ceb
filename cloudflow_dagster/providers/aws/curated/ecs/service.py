"""Services of ECS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.curated.ecs.task import Cluster, Definition
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.given import ONE, one
from cloudflow_dagster.providers.aws.operations import Operations

Name = Annotated[str, one("name", "serviceName", "serviceArn"), ONE]


class Service(TypedDict):
    """A service."""

    name: Annotated[str, Field(description="Its name.")]
    arn: Annotated[str, Field(description="Its ARN.")]
    status: Annotated[str, Field(description="`ACTIVE`, …")]
    wanted: Annotated[int, Field(description="How many tasks there should be.")]
    running: Annotated[int, Field(description="How many run.")]
    task: Annotated[str, Field(description="ARN of its task definition.")]


def _repeat_of(config: Mapping[str, Json]) -> Repeat:
    """A second forced deployment replaces all tasks once more."""
    return Repeat.SAFE if config.get("redeploy", False) is False else Repeat.ASK


@aws_action(
    "aws.ecs.service.update",
    label="Update service",
    calls=("ecs.UpdateService", "ecs.DescribeServices"),
    repeat=Repeat.SAFE,
    repeat_of=_repeat_of,
    icon="container",
)
def update(
    aws: Operations,
    *,
    service: Name,
    cluster: Cluster = "default",
    task: Definition | None = None,
    count: Annotated[int, Field(ge=0)] | None = None,
    redeploy: bool = False,
    wait: bool = True,
) -> Service:
    """Changes what a service runs or how often, and waits until it is stable.

    Args:
        aws: Carries out operations.
        service: Name of the service.
        cluster: Name or ARN.
        task: Another task definition.
        count: How many tasks.
        redeploy: Whether to replace all tasks though nothing has changed, for a new image.
        wait: Whether to wait until all tasks are those and run.
    """
    answer = aws.ask(
        "ecs.UpdateService",
        service=service,
        cluster=cluster,
        taskDefinition=task,
        desiredCount=count,
        forceNewDeployment=redeploy or None,
    )
    found = answer["service"]
    if wait:
        aws.wait("ecs.services_stable", cluster=cluster, services=[service])
        found = aws.ask("ecs.DescribeServices", cluster=cluster, services=[service])["services"][0]
    return {
        "name": found["serviceName"],
        "arn": found["serviceArn"],
        "status": found["status"],
        "wanted": found["desiredCount"],
        "running": found["runningCount"],
        "task": found["taskDefinition"],
    }
