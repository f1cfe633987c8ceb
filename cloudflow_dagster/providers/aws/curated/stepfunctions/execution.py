"""Executions of Step Functions' state machines."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.given import ONE, Body, one
from cloudflow_dagster.providers.aws.naming import Names
from cloudflow_dagster.providers.aws.operations import Operations

Machine = Annotated[
    str, one("arn", "stateMachineArn"), ONE, Names("StateMachineArn"), Field(pattern=r"^arn:")
]
_EVERY = 15.0
_REMEMBERED = 90 * 86_400.0
"""Seconds for which the name of an execution is not free again."""


class Execution(TypedDict):
    """An execution."""

    arn: Annotated[str, Field(description="Names it.")]
    status: Annotated[str, Field(description="`RUNNING` or `SUCCEEDED`.")]
    result: Annotated[Any, Field(description="What it gave, as JSON; null while it runs.")]
    started_at: Annotated[str, Field(description="When it started.")]
    ended_at: Annotated[str | None, Field(description="When it ended.")]


@aws_action(
    "aws.stepfunctions.execution.start",
    label="Start execution",
    calls=("stepfunctions.StartExecution", "stepfunctions.DescribeExecution"),
    repeat=Repeat.TOKEN,
    token_seconds=_REMEMBERED,
    icon="git-branch",
)
def start(
    aws: Operations,
    *,
    machine: Machine,
    input: Body = {},  # noqa: B006 - not changed
    name: str | None = None,
    wait: bool = True,
) -> Execution:
    """Starts a state machine and waits for what it gives.

    If it fails, the node does, with the error that the state machine names as its code. An express
    one cannot be waited for.

    Args:
        aws: Carries out operations.
        machine: ARN of the state machine.
        input: Any JSON.
        name: Of the execution; each name is taken once in 90 days.
        wait: Whether to wait for its end.
    """
    answer = aws.ask(
        "stepfunctions.StartExecution",
        stateMachineArn=machine,
        input=json.dumps(input, ensure_ascii=False),
        name=name,
    )
    found = aws.until(
        lambda answer: not wait or answer["status"] not in {"RUNNING", "PENDING_REDRIVE"},
        "stepfunctions.DescribeExecution",
        every=_EVERY,
        not_yet=("ExecutionDoesNotExist",),
        executionArn=answer["executionArn"],
    )
    if found["status"] not in {"RUNNING", "PENDING_REDRIVE", "SUCCEEDED"}:
        raise _failed(found)
    output = found.get("output")
    return {
        "arn": found["executionArn"],
        "status": found["status"],
        "result": json.loads(output) if output else None,
        "started_at": found["startDate"],
        "ended_at": found.get("stopDate"),
    }


def _failed(found: dict[str, Json]) -> NodeError:
    status = str(found["status"]).lower().replace("_", " ")
    said = found.get("cause") or "it does not say why"
    return NodeError(
        str(found.get("error") or "ExecutionFailed"),
        f"The execution {found['executionArn']} {status}: {said}",
        transient=False,
        unsure=True,
    )
