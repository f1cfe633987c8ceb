"""Tasks of ECS."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.given import MANY, ONE, Tags, many, one
from cloudflow_dagster.providers.aws.naming import Names
from cloudflow_dagster.providers.aws.operations import Operations

Cluster = Annotated[str, one("arn", "clusterArn", "name"), ONE, Names("ClusterName")]
Definition = Annotated[str, one("arn", "taskDefinitionArn"), ONE, Names("TaskDefinitionFamilyName")]
Subnets = Annotated[list[str], many("id", "SubnetId"), MANY]
Groups = Annotated[list[str], many("id", "GroupId"), MANY]
_EVERY = 10.0


class Task(TypedDict):
    """A task."""

    arn: Annotated[str, Field(description="Names it.")]
    status: Annotated[str, Field(description="`PROVISIONING`, `RUNNING`, `STOPPED`, …")]
    exit_codes: Annotated[
        dict[str, int | None], Field(description="Of its containers, when they have ended.")
    ]
    reason: Annotated[str | None, Field(description="Why it stopped.")]


@aws_action(
    "aws.ecs.task.run",
    label="Run task",
    calls=("ecs.RunTask", "ecs.DescribeTasks"),
    repeat=Repeat.TOKEN,
    icon="container",
)
def run(
    aws: Operations,
    *,
    task: Definition,
    cluster: Cluster = "default",
    subnets: Subnets | None = None,
    security_groups: Groups | None = None,
    public_ip: bool = False,
    fargate: bool = True,
    container: str | None = None,
    command: list[str] | None = None,
    environment: Tags | None = None,
    wait: bool = True,
) -> Task:
    """Runs a task and waits until it has ended; fails if one of its containers does.

    Args:
        aws: Carries out operations.
        task: Task definition: its family, `family:revision` or ARN.
        cluster: Name or ARN.
        subnets: Where it runs; Fargate needs at least one.
        security_groups: Of its network interface.
        public_ip: Whether it gets an address on the internet.
        fargate: Whether AWS's own machines run it; if not, those of the cluster.
        container: Whose command and environment are changed; needed for that.
        command: Instead of the one in the definition.
        environment: Variables beside those in the definition.
        wait: Whether to wait for its end.
    """
    network: dict[str, Json] = {
        "subnets": subnets or [],
        "securityGroups": security_groups or [],
        "assignPublicIp": "ENABLED" if public_ip else "DISABLED",
    }
    answer = aws.ask(
        "ecs.RunTask",
        taskDefinition=task,
        cluster=cluster,
        launchType="FARGATE" if fargate else "EC2",
        networkConfiguration={"awsvpcConfiguration": network} if subnets else None,
        overrides=_overrides(container, command, environment),
    )
    if not answer["tasks"]:
        raise _refused(answer)
    arn = answer["tasks"][0]["taskArn"]
    if not wait:
        return _task(answer["tasks"][0])
    found = aws.until(
        lambda answer: bool(answer["tasks"]) and answer["tasks"][0]["lastStatus"] == "STOPPED",
        "ecs.DescribeTasks",
        every=_EVERY,
        cluster=cluster,
        tasks=[arn],
    )
    ended = _task(found["tasks"][0])
    failed = [name for name, code in ended["exit_codes"].items() if code != 0]
    if failed or not ended["exit_codes"]:
        why = ended["reason"] or "AWS does not say why"
        codes = ", ".join(f"{name}: {code}" for name, code in ended["exit_codes"].items())
        raise NodeError(
            "TaskFailed", f"The task {arn} failed ({codes}): {why}.", transient=False, unsure=True
        )
    return ended


def _overrides(container: str | None, command: list[str] | None, environment: Tags | None) -> Json:
    if command is None and environment is None:
        return None
    if container is None:
        raise NodeError(
            "InvalidConfig",
            "`container`: say whose command or environment is changed.",
            transient=False,
        )
    variables: list[Json] = [{"name": k, "value": v} for k, v in (environment or {}).items()]
    changed: dict[str, Json] = {"name": container, "environment": variables}
    if command is not None:
        changed["command"] = command
    return {"containerOverrides": [changed]}


def _refused(answer: dict[str, Json]) -> NodeError:
    failures: list[dict[str, Any]] = answer.get("failures") or [{}]
    reason = failures[0].get("reason") or "AWS does not say why"
    return NodeError("TaskNotStarted", f"The task was not started: {reason}.", transient=True)


def _task(found: dict[str, Any]) -> Task:
    return {
        "arn": found["taskArn"],
        "status": found["lastStatus"],
        "exit_codes": {each["name"]: each.get("exitCode") for each in found.get("containers", [])},
        "reason": found.get("stoppedReason"),
    }
