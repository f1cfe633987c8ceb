"""Services of ECS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from typing_extensions import TypedDict, override

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.resource_fields import FIXED, GIVEN
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.curated.ecs.task import Cluster, Definition
from cloudflow_dagster.providers.aws.curated.fields import SecurityGroups, Subnets
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.declare_resource import (
    AwsResource,
    Changed,
    Found,
    aws_resource,
)
from cloudflow_dagster.providers.aws.given import (
    ONE,
    Tags,
    gone,
    is_older,
    one,
)
from cloudflow_dagster.providers.aws.naming import Names
from cloudflow_dagster.providers.aws.operations import Operations

Name = Annotated[str, one("name", "serviceName", "serviceArn"), ONE, Names("ServiceName")]


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


_HOPELESS = 10 / (24 * 60)
"""Days after which tasks that do not run yet are not waited for any more: ten minutes."""
_DEPLOYED = ("task", "count", "subnets", "security_groups", "public_ip")


class Target(BaseModel):
    """The target group of a load balancer that sends requests to the tasks."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    group: Annotated[str, Field(min_length=1, description="ARN of the target group.")]
    container: Annotated[str, Field(min_length=1, description="Name of the container.")]
    port: Annotated[int, Field(ge=1, le=65535, description="Where the container listens.")]


@aws_resource(
    "aws.ecs.service",
    label="Service",
    create=("ecs.CreateService",),
    read=("ecs.DescribeServices",),
    update={
        "ecs.UpdateService": _DEPLOYED,
        "ecs.TagResource": ("tags",),
        "ecs.UntagResource": ("tags",),
    },
    delete=("ecs.DeleteService",),
)
class EcsService(AwsResource):
    """Tasks of Fargate that are kept running; a change replaces them one after the other."""

    noun = "service"
    name: Annotated[
        str,
        FIXED,
        Names("ServiceName"),
        Field(pattern=r"^[A-Za-z0-9_-]{1,255}$", description="What it is called."),
    ]
    cluster: Annotated[
        str,
        FIXED,
        one("arn", "clusterArn", "name"),
        Names("ClusterName"),
        AfterValidator(lambda given: given.rpartition("/")[2]),
        ONE,
        Field(description="Name or ARN."),
    ] = "default"
    task: Annotated[
        str,
        one("arn", "taskDefinitionArn"),
        Field(pattern="^arn:", description="ARN of the revision of a task definition."),
        ONE,
    ]
    count: Annotated[int, Field(ge=0, description="How many tasks.")] = 1
    subnets: Annotated[Subnets, Field(min_length=1, description="Where they are.")]
    security_groups: Annotated[SecurityGroups, Field(description="Who reaches them.")] = None
    public_ip: Annotated[
        bool,
        Field(description="Whether each has an address in the internet, as in a public subnet."),
    ] = False
    target: Annotated[Target | None, FIXED, Field(description="Who sends them requests.")] = None
    tags: Annotated[Tags | None, Field(description="All its tags.")] = None
    arn: Annotated[str | None, GIVEN, Field(description="Names it.")] = None

    @override
    def identify(self) -> str | None:
        return f"{self.cluster}/{self.name}"

    @override
    def create(self, aws: Operations) -> str:
        balancers: list[Json] | None = None
        if self.target is not None:
            balancers = [
                {
                    "targetGroupArn": self.target.group,
                    "containerName": self.target.container,
                    "containerPort": self.target.port,
                }
            ]
        aws.ask(
            "ecs.CreateService",
            serviceName=self.name,
            launchType="FARGATE",
            loadBalancers=balancers,
            **self._deployed(),
        )
        self._wait(aws)
        return f"{self.cluster}/{self.name}"

    @classmethod
    @override
    def read(cls, aws: Operations, identifier: str) -> Found:
        cluster, _, name = identifier.partition("/")
        found = _described(aws, cluster, name)
        if found is not None and (found["status"] == "DRAINING" or _is_beginning(found)):
            gone = found["status"] == "DRAINING"
            waiter = f"ecs.services_{'inactive' if gone else 'stable'}"
            aws.wait(waiter, cluster=cluster, services=[name])
            found = None if gone else _described(aws, cluster, name)
        if found is None:
            return None
        network: dict[str, Any] = found.get("networkConfiguration", {}).get(
            "awsvpcConfiguration", {}
        )
        return identifier, {
            "name": name,
            "cluster": cluster,
            "task": found["taskDefinition"],
            "count": found["desiredCount"],
            "subnets": network.get("subnets", []),
            "security_groups": network.get("securityGroups", []),
            "public_ip": network.get("assignPublicIp") == "ENABLED",
            "target": _target(found.get("loadBalancers", [])),
            "tags": {each["key"]: each["value"] for each in found.get("tags", [])},
            "arn": found["serviceArn"],
        }

    @override
    def update(self, aws: Operations, identifier: str, changed: Changed) -> None:
        if not changed.keys().isdisjoint(_DEPLOYED):
            if self.security_groups is None:
                _, before = self.read(aws, identifier) or ("", {})
                groups: Any = before.get("security_groups")
                self.security_groups = groups
            aws.ask("ecs.UpdateService", service=self.name, **self._deployed())
            self._wait(aws)
        if "tags" in changed:
            _, found = self.read(aws, identifier) or ("", {})
            tags: list[Json] = [{"key": k, "value": v} for k, v in (self.tags or {}).items()]
            if tags:
                aws.ask("ecs.TagResource", resourceArn=found["arn"], tags=tags)
            if old := gone(changed["tags"], self.tags):
                aws.ask("ecs.UntagResource", resourceArn=found["arn"], tagKeys=[*old])

    @classmethod
    @override
    def delete(cls, aws: Operations, identifier: str) -> None:
        cluster, _, name = identifier.partition("/")
        aws.ask("ecs.DeleteService", cluster=cluster, service=name, force=True)
        aws.wait("ecs.services_inactive", cluster=cluster, services=[name])

    def _deployed(self) -> dict[str, Json]:
        network: dict[str, Json] = {
            "subnets": [*self.subnets],
            "securityGroups": [*(self.security_groups or ())],
            "assignPublicIp": "ENABLED" if self.public_ip else "DISABLED",
        }
        return {
            "cluster": self.cluster,
            "taskDefinition": self.task,
            "desiredCount": self.count,
            "networkConfiguration": {"awsvpcConfiguration": network},
        }

    def _wait(self, aws: Operations) -> None:
        aws.wait("ecs.services_stable", cluster=self.cluster, services=[self.name])


def _described(aws: Operations, cluster: str, name: str) -> dict[str, Any] | None:
    """Return what is said of a service; None if it is not there any more."""
    asked: list[Json] = ["TAGS"]
    answer = aws.find(
        "ecs.DescribeServices",
        absent=("ClusterNotFoundException",),
        cluster=cluster,
        services=[name],
        include=asked,
    )
    found: list[dict[str, Any]] = (answer or {}).get("services", [])
    return next((each for each in found if each["status"] in {"ACTIVE", "DRAINING"}), None)


def _is_beginning(service: dict[str, Any]) -> bool:
    """Whether tasks are being started that may still come: others need a change to come."""
    return any(
        each.get("rolloutState") == "IN_PROGRESS"
        and not each.get("failedTasks")
        and not is_older(each["createdAt"], _HOPELESS)
        for each in service.get("deployments", [])
    )


def _target(balancers: list[dict[str, Any]]) -> Json:
    if not balancers:
        return None
    return {
        "group": balancers[0]["targetGroupArn"],
        "container": balancers[0]["containerName"],
        "port": balancers[0]["containerPort"],
    }
