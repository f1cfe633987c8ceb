"""Definitions of ECS's tasks."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import override

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.resource_fields import FIXED, GIVEN
from cloudflow_dagster.providers.aws.declare_resource import (
    ANY_CHANGE,
    AwsResource,
    Changed,
    Found,
    aws_resource,
)
from cloudflow_dagster.providers.aws.given import ONE, Tags, Text, one
from cloudflow_dagster.providers.aws.naming import Names
from cloudflow_dagster.providers.aws.operations import Operations

_ABSENT = ("ClientException", "TaskDefinitionNotFoundException")
_CHIPS = {"x86_64": "X86_64", "arm64": "ARM64"}


class Container(BaseModel):
    """A container of a task."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    name: Annotated[str, Field(min_length=1, description="What it is called.")]
    image: Annotated[str, Field(min_length=1, description="What it is made from.")]
    ports: Annotated[list[int] | None, Field(description="Where it listens.")] = None
    command: Annotated[list[str] | None, Field(description="Instead of the image's own.")] = None
    environment: Annotated[dict[str, str] | None, Field(description="Its variables.")] = None
    secrets: Annotated[
        dict[str, str] | None,
        Field(
            description="Variables whose values are secrets: the ARN of each in Secrets Manager "
            "or among the parameters of SSM. `execution_role` must be allowed to read them."
        ),
    ] = None
    essential: Annotated[
        bool, Field(description="Whether the task ends when this container does.")
    ] = True
    log_group: Annotated[
        str | None, Field(description="Where CloudWatch keeps what it prints.")
    ] = None

    def as_asked_for(self, region: str | None) -> dict[str, Json]:
        """Return it as AWS takes it."""
        made: dict[str, Json] = {
            "name": self.name,
            "image": self.image,
            "essential": self.essential,
            "portMappings": [{"containerPort": port} for port in self.ports or ()],
            "environment": [{"name": k, "value": v} for k, v in (self.environment or {}).items()],
            "secrets": [{"name": k, "valueFrom": v} for k, v in (self.secrets or {}).items()],
        }
        if self.command is not None:
            made["command"] = [*self.command]
        if self.log_group is not None:
            made["logConfiguration"] = {
                "logDriver": "awslogs",
                "options": {
                    "awslogs-group": self.log_group,
                    "awslogs-region": region,
                    "awslogs-stream-prefix": self.name,
                },
            }
        return made

    @classmethod
    def shown(cls, found: dict[str, Any]) -> dict[str, Json]:
        """Return one of AWS's as an author writes it."""
        options: dict[str, str] = found.get("logConfiguration", {}).get("options", {})
        return cls(
            name=found["name"],
            image=found["image"],
            essential=found.get("essential", True),
            ports=[each["containerPort"] for each in found.get("portMappings", [])] or None,
            command=found.get("command") or None,
            environment={e["name"]: e["value"] for e in found.get("environment", [])} or None,
            secrets={e["name"]: e["valueFrom"] for e in found.get("secrets", [])} or None,
            log_group=options.get("awslogs-group"),
        ).model_dump(exclude_none=True)


@aws_resource(
    "aws.ecs.task_definition",
    label="Task definition",
    create=("ecs.RegisterTaskDefinition",),
    read=("ecs.DescribeTaskDefinition",),
    update={"ecs.RegisterTaskDefinition": ANY_CHANGE},
    delete=("ecs.ListTaskDefinitions", "ecs.DeregisterTaskDefinition"),
)
class TaskDefinition(AwsResource):
    """What a task of Fargate consists of. Each change is another revision with its own `arn`.

    Services and tasks that were given the `arn` before go on with the revision that it names.
    """

    noun = "task definition"
    name: Annotated[
        str,
        FIXED,
        Names("TaskDefinitionFamilyName"),
        Field(pattern=r"^[A-Za-z0-9_-]{1,255}$", description="Its family."),
    ]
    containers: Annotated[list[Container], Field(min_length=1, description="All its containers.")]
    cpu: Annotated[
        Literal[256, 512, 1024, 2048, 4096, 8192, 16384],
        Field(description="How much processor it has: 1024 is one."),
    ] = 256
    memory_mb: Annotated[int, Field(ge=512, description="How much memory it has.")] = 512
    chip: Annotated[
        Literal["x86_64", "arm64"], Field(description="What its images are made for.")
    ] = "x86_64"
    role: Annotated[
        Text | None,
        one("arn", "Arn"),
        ONE,
        Names("RoleArn"),
        Field(description="ARN of the role that its containers have."),
    ] = None
    execution_role: Annotated[
        Text | None,
        one("arn", "Arn"),
        ONE,
        Names("RoleArn"),
        Field(description="ARN of the role that fetches images and secrets and writes logs."),
    ] = None
    tags: Annotated[Tags | None, Field(description="All its tags.")] = None
    arn: Annotated[str | None, GIVEN, Field(description="Names its newest revision.")] = None
    revision: Annotated[int | None, GIVEN, Field(description="Number of that.")] = None

    @override
    def create(self, aws: Operations) -> str:
        self._register(aws, self.tags)
        return self.name

    @classmethod
    @override
    def read(cls, aws: Operations, identifier: str) -> Found:
        asked: list[Json] = ["TAGS"]
        answer = aws.find(
            "ecs.DescribeTaskDefinition",
            absent=_ABSENT,
            taskDefinition=identifier,
            include=asked,
        )
        if answer is None or answer["taskDefinition"].get("status") != "ACTIVE":
            return None
        found: dict[str, Any] = answer["taskDefinition"]
        chip = found.get("runtimePlatform", {}).get("cpuArchitecture", "X86_64")
        return identifier, {
            "name": identifier,
            "containers": [Container.shown(each) for each in found["containerDefinitions"]],
            "cpu": int(found.get("cpu") or 0),
            "memory_mb": int(found.get("memory") or 0),
            "chip": next((name for name, api in _CHIPS.items() if api == chip), chip),
            "role": found.get("taskRoleArn"),
            "execution_role": found.get("executionRoleArn"),
            "tags": {each["key"]: each["value"] for each in answer.get("tags", [])},
            "arn": found["taskDefinitionArn"],
            "revision": found["revision"],
        }

    @override
    def update(self, aws: Operations, identifier: str, changed: Changed) -> None:
        _, before = self.read(aws, identifier) or ("", {})
        kept: Any = before.get("tags")
        # A revision has all that it consists of: what the config leaves open is as it was.
        for name in ("role", "execution_role"):
            if getattr(self, name) is None:
                setattr(self, name, before.get(name))
        self._register(aws, kept if self.tags is None else self.tags)

    @classmethod
    @override
    def delete(cls, aws: Operations, identifier: str) -> None:
        asked = "ecs.ListTaskDefinitions"
        listed = aws.pages(asked, familyPrefix=identifier, status="ACTIVE")["taskDefinitionArns"]
        for arn in listed:
            # AWS takes the prefix for that of any family's name.
            if str(arn).rpartition("/")[2].rpartition(":")[0] == identifier:
                aws.ask("ecs.DeregisterTaskDefinition", taskDefinition=arn)

    def _register(self, aws: Operations, tags: Tags | None) -> None:
        made: list[Json] = [{"key": key, "value": value} for key, value in (tags or {}).items()]
        needs: list[Json] = ["FARGATE"]
        aws.ask(
            "ecs.RegisterTaskDefinition",
            family=self.name,
            containerDefinitions=[each.as_asked_for(aws.region) for each in self.containers],
            cpu=str(self.cpu),
            memory=str(self.memory_mb),
            networkMode="awsvpc",
            requiresCompatibilities=needs,
            runtimePlatform={
                "cpuArchitecture": _CHIPS[self.chip],
                "operatingSystemFamily": "LINUX",
            },
            taskRoleArn=self.role,
            executionRoleArn=self.execution_role,
            tags=made or None,
        )
