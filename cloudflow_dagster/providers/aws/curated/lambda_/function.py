"""Functions of Lambda."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Annotated, Any, cast

from pydantic import Field
from typing_extensions import TypedDict, override

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.fields import LiteralText
from cloudflow_dagster.nodes.resource_fields import FIXED, GIVEN, HIDDEN
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.curated.lambda_.package import checksum, packed
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.declare_resource import (
    AwsResource,
    Changed,
    Found,
    aws_resource,
)
from cloudflow_dagster.providers.aws.given import (
    ONE,
    Body,
    Tags,
    Text,
    gone,
    one,
)
from cloudflow_dagster.providers.aws.naming import Names
from cloudflow_dagster.providers.aws.operations import Operations

Function = Annotated[str, one("name", "FunctionName", "FunctionArn"), ONE, Names("FunctionName")]


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


class Code(TypedDict):
    """A function after its code was exchanged."""

    name: Annotated[str, Field(description="Its name.")]
    arn: Annotated[str, Field(description="Names it, or the version that was published.")]
    version: Annotated[str, Field(description="`$LATEST`, or the version that was published.")]
    code_sha256: Annotated[str, Field(description="Tells its code.")]


@aws_action(
    "aws.lambda.function.update_code",
    label="Update function's code",
    calls=("lambda.UpdateFunctionCode", "lambda.GetFunction"),
    repeat=Repeat.SAFE,
    icon="upload",
)
def update_code(
    aws: Operations,
    *,
    function: Function,
    bucket: Annotated[str, one("name", "Name"), ONE, Names("BucketName")] | None = None,
    key: Annotated[str, one("key", "Key"), ONE, Names("ObjectName")] | None = None,
    image: str | None = None,
    zip: Body = None,
    publish: bool = False,
    wait: bool = True,
) -> Code:
    """Exchanges the code of a function and waits until it runs.

    The same code again changes nothing, and publishes no second version.

    Args:
        aws: Carries out operations.
        function: Name or ARN.
        bucket: Where an archive lies in S3.
        key: Its key there.
        image: Instead: address of an image in ECR.
        zip: Instead: the archive itself, as `{base64}` or `{file}`.
        publish: Whether it becomes a version of its own that does not change any more.
        wait: Whether to wait until calls reach it.
    """
    given = [name for name, value in (("key", key), ("image", image), ("zip", zip)) if value]
    if len(given) != 1 or bool(bucket) is not (given == ["key"]):
        raise NodeError(
            "InvalidConfig",
            "Say where the code is: give `bucket` and `key`, or `image`, or `zip`.",
            transient=False,
        )
    found = aws.ask(
        "lambda.UpdateFunctionCode",
        FunctionName=function,
        S3Bucket=bucket,
        S3Key=key,
        ImageUri=image,
        ZipFile=zip,
        Publish=publish or None,
    )
    if wait:
        aws.wait("lambda.function_updated_v2", FunctionName=function)
    return {
        "name": found["FunctionName"],
        "arn": found["FunctionArn"],
        "version": found["Version"],
        "code_sha256": found["CodeSha256"],
    }


_SETTINGS = {
    "role": "Role",
    "runtime": "Runtime",
    "handler": "Handler",
    "memory_mb": "MemorySize",
    "seconds": "Timeout",
    "description": "Description",
}


@aws_resource(
    "aws.lambda.function",
    label="Function",
    create=("lambda.CreateFunction",),
    read=("lambda.GetFunction",),
    update={
        "lambda.UpdateFunctionCode": ("code",),
        "lambda.UpdateFunctionConfiguration": (*_SETTINGS, "environment"),
        "lambda.TagResource": ("tags",),
        "lambda.UntagResource": ("tags",),
    },
    delete=("lambda.DeleteFunction",),
)
class LambdaFunction(AwsResource):
    """A function of Lambda whose code is one file."""

    noun = "function"
    name: Annotated[
        Text, FIXED, Names("FunctionName"), Field(max_length=64, description="What it is called.")
    ]
    role: Annotated[
        str,
        one("arn", "Arn"),
        ONE,
        Names("RoleArn"),
        Field(description="ARN of the role that it has."),
    ]
    code: Annotated[LiteralText, HIDDEN, Field(min_length=1, description="Its source.")]
    runtime: Annotated[str, Field(description="Language and version.")] = "python3.13"
    handler: Annotated[
        str, Field(pattern=r"^\w+\.\w+$", description="The file and the function in it.")
    ] = "index.handler"
    memory_mb: Annotated[int | None, Field(ge=128, description="How much memory it has.")] = None
    seconds: Annotated[int | None, Field(ge=1, le=900, description="How long it may take.")] = None
    environment: Annotated[Tags | None, Field(description="All its variables.")] = None
    description: Annotated[str | None, Field(description="What it is for.")] = None
    tags: Annotated[Tags | None, Field(description="All its tags.")] = None
    code_sha256: Annotated[str | None, GIVEN, Field(description="Tells its code.")] = None
    arn: Annotated[str | None, GIVEN, Field(description="Names it.")] = None

    @classmethod
    @override
    def read_config(cls, config: Mapping[str, Json]) -> dict[str, Json]:
        wanted = super().read_config(config)
        return wanted | {"code_sha256": checksum(cls.model_validate(wanted).archive())}

    @override
    def create(self, aws: Operations) -> str:
        aws.ask(
            "lambda.CreateFunction",
            FunctionName=self.name,
            Code={"ZipFile": self._sent()},
            **self._settings(),
        )
        aws.wait("lambda.function_active_v2", FunctionName=self.name)
        return self.name

    @classmethod
    @override
    def read(cls, aws: Operations, identifier: str) -> Found:
        absent = ("ResourceNotFoundException",)
        answer = aws.find("lambda.GetFunction", absent=absent, FunctionName=identifier)
        if answer is None:
            return None
        found = answer["Configuration"]
        if found.get("State") == "Pending":
            aws.wait("lambda.function_active_v2", FunctionName=identifier)
            return cls.read(aws, identifier)
        if found.get("LastUpdateStatus") == "InProgress":
            aws.wait("lambda.function_updated_v2", FunctionName=identifier)
            return cls.read(aws, identifier)
        return identifier, {
            "name": identifier,
            **{name: found.get(api) or None for name, api in _SETTINGS.items()},
            "environment": found.get("Environment", {}).get("Variables", {}),
            "tags": answer.get("Tags", {}),
            "code_sha256": found["CodeSha256"],
            "arn": found["FunctionArn"],
        }

    @override
    def update(self, aws: Operations, identifier: str, changed: Changed) -> None:
        if not {*_SETTINGS, "environment"}.isdisjoint(changed):
            aws.ask(
                "lambda.UpdateFunctionConfiguration",
                FunctionName=identifier,
                **self._settings(),
            )
            aws.wait("lambda.function_updated_v2", FunctionName=identifier)
        if "code_sha256" in changed:
            aws.ask("lambda.UpdateFunctionCode", FunctionName=identifier, ZipFile=self._sent())
            aws.wait("lambda.function_updated_v2", FunctionName=identifier)
        if "tags" in changed:
            found = self.read(aws, identifier)
            arn = found[1]["arn"] if found else None
            if self.tags:
                aws.ask("lambda.TagResource", Resource=arn, Tags=self.tags)
            if old := gone(changed["tags"], self.tags):
                aws.ask("lambda.UntagResource", Resource=arn, TagKeys=[*old])

    @classmethod
    @override
    def delete(cls, aws: Operations, identifier: str) -> None:
        aws.ask("lambda.DeleteFunction", FunctionName=identifier)

    def _settings(self) -> dict[str, Json]:
        variables: Json = None if self.environment is None else {"Variables": self.environment}
        settings = {api: getattr(self, name) for name, api in _SETTINGS.items()}
        return settings | {"Environment": variables}

    def archive(self) -> bytes:
        """Return its code as Lambda takes it."""
        return packed(self.code, self.runtime, self.handler)

    def _sent(self) -> Json:
        return {"base64": base64.b64encode(self.archive()).decode()}
