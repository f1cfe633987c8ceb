"""Functions of Lambda."""

from __future__ import annotations

import base64
import json
from typing import Annotated, Any, cast

from pydantic import Field
from typing_extensions import TypedDict

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.given import ONE, Body, one
from cloudflow_dagster.providers.aws.operations import Operations

Function = Annotated[str, one("name", "FunctionName", "FunctionArn"), ONE]


class Invoked(TypedDict):
    """What the function gave."""

    result: Annotated[Any, Field(description="What it returned, as JSON; null if not waited for.")]
    status: Annotated[int, Field(description="200, or 202 if it was not waited for.")]
    version: Annotated[str | None, Field(description="Which version of the function ran.")]


@aws_action(
    "aws.lambda.function.invoke",
    label="Invoke function",
    calls=("lambda.Invoke",),
    repeat=Repeat.ASK,
    icon="zap",
)
def invoke(
    aws: Operations,
    *,
    function: Function,
    payload: Body = None,
    version: str | None = None,
    wait: bool = True,
) -> Invoked:
    """Calls a function and gives what it returned as JSON.

    An exception in the function is the node's error: its type is the code, so that `retry.on` can
    name it. The end of the function's own log is in the step's log.

    Args:
        aws: Carries out operations.
        function: Name or ARN.
        payload: Any JSON; the function's event.
        version: A version or an alias; the newest if none is given.
        wait: Whether to wait for the result. If not, Lambda tries up to three times.
    """
    answer = aws.ask(
        "lambda.Invoke",
        FunctionName=function,
        Payload=json.dumps(payload, ensure_ascii=False),
        Qualifier=version,
        InvocationType="RequestResponse" if wait else "Event",
        LogType="Tail" if wait else None,
    )
    _show(aws, answer.get("LogResult"))
    result = _parsed(answer.get("Payload")) if wait else None
    if answer.get("FunctionError"):
        raise _failed(result, function)
    return {
        "result": result,
        "status": answer["StatusCode"],
        "version": answer.get("ExecutedVersion"),
    }


def _show(aws: Operations, log: str | None) -> None:
    text = base64.b64decode(log or "").decode(errors="replace").strip()
    if text:
        aws.call.log.info(f"The function's log ends with:\n{text}")


def _parsed(payload: Json) -> Json:
    if not isinstance(payload, str) or not payload:
        return payload or None
    try:
        return json.loads(payload)
    except ValueError:  # a custom runtime may give any text
        return payload


def _failed(result: Json, function: str) -> NodeError:
    said = cast("dict[str, Any]", result) if isinstance(result, dict) else {}
    message = said.get("errorMessage") or "it does not say why"
    return NodeError(
        str(said.get("errorType") or "FunctionError"),
        f"The function `{function}` failed: {message}",
        unsure=True,
    )
