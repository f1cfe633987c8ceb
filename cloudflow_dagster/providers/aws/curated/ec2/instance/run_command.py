"""Commands on instances, through Systems Manager: no SSH, no open port."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypedDict

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.fields import Lines
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.curated.ec2.instance import Instances
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.operations import Operations

_RUNNING = frozenset({"Pending", "InProgress", "Delayed"})
_EVERY = 5.0
_SHOWN = 400
_DOCUMENTS = {"bash": "AWS-RunShellScript", "powershell": "AWS-RunPowerShellScript"}


class Result(TypedDict):
    """What came of it on one instance."""

    instance: Annotated[str, Field(description="Id of the instance.")]
    status: Annotated[str, Field(description="`Success`, `Failed`, `TimedOut`, `Cancelled`, …")]
    exit_code: Annotated[int | None, Field(description="Of the commands.")]
    stdout: Annotated[str, Field(description="What they wrote, up to 24,000 characters.")]
    stderr: Annotated[str, Field(description="Their errors, up to 8,000 characters.")]


class Ran(TypedDict):
    """What came of the commands."""

    command: Annotated[str, Field(description="Systems Manager's id of the command.")]
    ok: Annotated[bool, Field(description="Whether they succeeded everywhere.")]
    results: Annotated[list[Result], Field(description="What came of it on each instance.")]


def _sent(aws: Operations, given: dict[str, Any], since: datetime) -> Ran | None:
    moment = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    filters: list[Json] = [{"key": "InvokedAfter", "value": moment}]
    for command in aws.pages("ssm.ListCommands", Filters=filters)["Commands"]:
        if command.get("Comment") == _comment(aws):
            instances = given["instances"]
            return _results(aws, command["CommandId"], instances, given["must_succeed"])
    return None


@aws_action(
    "aws.ec2.instance.run_command",
    label="Run command",
    calls=("ssm.SendCommand", "ssm.GetCommandInvocation", "ssm.ListCommands"),
    repeat=Repeat.LOOKUP,
    look_up=_sent,
    icon="terminal",
    category="compute",
)
def run_command(
    aws: Operations,
    *,
    instances: Instances,
    commands: Lines,
    shell: Literal["bash", "powershell"] = "bash",
    folder: str | None = None,
    seconds: Annotated[int, Field(ge=30, le=172_800)] = 3600,
    must_succeed: bool = True,
) -> Ran:
    """Runs commands on instances and waits for what they print.

    The instances need the agent of Systems Manager, which Amazon's images have, and a role that
    lets it work (`AmazonSSMManagedInstanceCore`).

    Args:
        aws: Carries out operations.
        instances: Ids, or instances that another node gave.
        commands: One line, or a list of lines.
        shell: Which shell runs them.
        folder: Where they run.
        seconds: How long they may run.
        must_succeed: Whether the node fails if they do anywhere.
    """
    parameters: dict[str, Json] = {"commands": commands, "executionTimeout": [str(seconds)]}
    if folder:
        parameters["workingDirectory"] = [folder]
    answer = aws.ask(
        "ssm.SendCommand",
        InstanceIds=instances,
        DocumentName=_DOCUMENTS[shell],
        Parameters=parameters,
        Comment=_comment(aws),
    )
    return _results(aws, answer["Command"]["CommandId"], instances, must_succeed)


def _comment(aws: Operations) -> str:
    """Return what a command is found by, if its run is interrupted."""
    return f"cloudflow {aws.call.token[:32]}"


def _results(aws: Operations, command: str, instances: list[str], must_succeed: bool) -> Ran:  # noqa: FBT001
    results = [_result(aws, command, instance) for instance in instances]
    failed = [each for each in results if each["status"] != "Success"]
    if failed and must_succeed:
        first = failed[0]
        said = aws.call.redact(first["stderr"] or first["stdout"]).strip()[-_SHOWN:]
        raise NodeError(
            "CommandFailed",
            f"{len(failed)} of {len(results)} instances: on {first['instance']} it ended with "
            f"{first['status']}, exit code {first['exit_code']}. {said}".strip(),
            transient=False,
        )
    return {"command": command, "ok": not failed, "results": results}


def _result(aws: Operations, command: str, instance: str) -> Result:
    found = aws.until(
        lambda answer: answer["Status"] not in _RUNNING,
        "ssm.GetCommandInvocation",
        every=_EVERY,
        not_yet=("InvocationDoesNotExist",),
        CommandId=command,
        InstanceId=instance,
    )
    return {
        "instance": instance,
        "status": found["Status"],
        "exit_code": found.get("ResponseCode"),
        "stdout": found.get("StandardOutputContent") or "",
        "stderr": found.get("StandardErrorContent") or "",
    }
