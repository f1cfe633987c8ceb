"""Turns botocore's exceptions into errors that a flow's author can act on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.errors import NodeError

THROTTLED = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
"""Error codes that ask to come back later: those of botocore's standard retry mode."""
TRANSIENT = THROTTLED | {
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "InternalServerException",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "Unavailable",
}
"""Error codes that are worth another attempt whatever the operation is."""
TRANSIENT_STATUS = frozenset({429, 500, 502, 503, 504})

_VALUE = re.compile(r", value: .*?(?=, type: |, valid )", re.DOTALL)
_CLASS = re.compile(r"<class '(\w+)'>")
_TYPES = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "tuple": "a list",
    "dict": "an object",
    "NoneType": "null",
}
_CONNECTION = frozenset(
    {
        "ConnectTimeoutError",
        "ConnectionClosedError",
        "EndpointConnectionError",
        "ProxyConnectionError",
    }
)

_LOST = frozenset({"HTTPClientError", "ResponseParserError"})
"""Exceptions after which the request may have arrived; there was no connection after the others.

The first one is what botocore raises of a connection that was there: `ConnectionClosedError`,
`ReadTimeoutError` and `ResponseStreamingError` are of it.
"""
_SERVER = 500
_NOT_FOUND = 404
_GONE = re.compile(r"not_?found|no_?such|does_?not_?exist|non_?existent", re.IGNORECASE)


def explain(error: Exception, node_type: str, login: Any) -> NodeError | None:
    """Return what went wrong in a call, or None if the exception is none of botocore's.

    Args:
        error: What was raised.
        node_type: Id of the node type that called.
        login: The login that was used; knows why it is not accepted, and whether the cloud is the
            simulated one.
    """
    if is_not_simulated(error, login):
        return NodeError(
            "NotSimulated",
            f"The simulated cloud does not have `{node_type}` (or failed at it). Use another "
            "credential, or pin the node's output.",
            transient=False,
        )
    if answer := answer_of(error):
        return _from_answer(answer, login.explain(error))
    return _without_answer(error, node_type, login)


def _without_answer(error: Exception, node_type: str, login: Any) -> NodeError | None:
    names = {c.__name__ for c in type(error).__mro__}
    if "ParamValidationError" in names:
        return NodeError("ParamValidation", _refused(str(error)), transient=False)
    if "ReadTimeoutError" in names:
        return NodeError(
            "ReadTimeout",
            f"`{node_type}` got no answer in time. Give the node a longer `timeout`, or look "
            "whether the request was carried out after all.",
            transient=True,
            unsure=True,
        )
    if "HTTPClientError" in names:
        # Before the login is asked, which takes it for a server that cannot be reached.
        return NodeError(
            "ConnectionFailed",
            f"`{node_type}`: the connection broke off before there was an answer. Look whether the "
            "request was carried out after all.",
            transient=True,
            unsure=True,
        )
    if why := login.explain(error):
        return why
    if names & {"BotoCoreError", "ResponseParserError"}:
        return NodeError(type(error).__name__, f"{error}", unsure=is_unsure(error))
    return None


def answer_of(error: Exception) -> Mapping[str, Any] | None:
    """Return the service's answer if the exception is one, else None."""
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict) and "Error" in response:
        return response  # pyright: ignore[reportUnknownVariableType] - JSON
    return None


def is_worth_repeating(error: Exception) -> bool:
    """Whether the same request may be sent again at once: throttled, or the service stumbled."""
    if answer := answer_of(error):
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return code_of(answer) in TRANSIENT or status in TRANSIENT_STATUS
    names = {c.__name__ for c in type(error).__mro__}
    return bool(names & _CONNECTION)


def is_unsure(error: Exception) -> bool:
    """Whether what was asked for may have been carried out all the same."""
    if answer := answer_of(error):
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return code_of(answer) not in THROTTLED and isinstance(status, int) and status >= _SERVER
    return bool({c.__name__ for c in type(error).__mro__} & _LOST)


def is_gone(error: Exception) -> bool:
    """Whether an answer says that what was to be taken away is not there."""
    answer = answer_of(error)
    if answer is None:
        return False
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status == _NOT_FOUND or bool(_GONE.search(code_of(answer)))


def is_not_simulated(error: Exception, login: Any) -> bool:
    """Whether the simulated cloud answered that it does not know the operation.

    It does so with a page for people: status 500, or 404 for paths that it does not know. (The
    answer to a HEAD request is always empty; that one is a real "not found".)
    """
    if not login.simulated:
        return False
    if type(error).__name__ == "ResponseParserError":
        return True
    metadata = (answer_of(error) or {}).get("ResponseMetadata", {})
    headers = metadata.get("HTTPHeaders", {})
    return (
        metadata.get("HTTPStatusCode") in {404, 500}
        and str(headers.get("content-type", "")).startswith("text/html")
        and headers.get("content-length") != "0"
    )


def code_of(answer: Mapping[str, Any]) -> str:
    """Return the error code of an answer."""
    return str(answer["Error"].get("Code") or "Unknown")


def retry_after(answer: Mapping[str, Any]) -> float | None:
    """Return the seconds that the service asked to wait, if it did."""
    headers: Mapping[str, str] = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    for name, unit in (("retry-after", 1.0), ("x-amz-retry-after", 0.001)):
        try:
            return max(0.0, float(headers[name]) * unit)
        except (KeyError, ValueError):  # absent, or a date, which AWS does not send
            continue
    return None


def transient_codes(errors: list[Mapping[str, Json]]) -> frozenset[str]:
    """Return the codes worth another attempt, with those that an operation's model adds.

    Args:
        errors: The shapes of the operation's errors, each with its name as `name`.
    """
    own = {
        str(shape.get("error", {}).get("code") or shape["name"])
        for shape in errors
        if "retryable" in shape
    }
    return frozenset(TRANSIENT | own)


def _from_answer(answer: Mapping[str, Any], why: Any) -> NodeError:
    code = code_of(answer)
    metadata: Mapping[str, Any] = answer.get("ResponseMetadata", {})
    status = metadata.get("HTTPStatusCode")
    said = str(answer["Error"].get("Message") or "").strip()
    if why is not None and (code == str(status) or not said):  # the answer to a HEAD is empty
        code, said = why.code, why.problem
    said = said or f"AWS answered `{code}` and said no more."
    if why is not None:
        said = f"{said}{'' if said.endswith(('.', '!', '?')) else '.'} {why.way_out}"
    return NodeError(
        code,
        said,
        provider_request_id=metadata.get("RequestId") or metadata.get("RequestID") or None,
        transient=True if code in TRANSIENT or status in TRANSIENT_STATUS else None,
        retry_after=retry_after(answer),
        unsure=code not in THROTTLED and isinstance(status, int) and status >= _SERVER,
    )


def _refused(message: str) -> str:
    """Say in a flow's words what botocore refused, without the values that were given."""
    lines = message.removeprefix("Parameter validation failed:").strip().splitlines()
    text = " ".join(f"{line.strip().rstrip('.')}." for line in lines if line.strip())
    text = _VALUE.sub("", text)
    return _CLASS.sub(lambda match: _TYPES.get(match[1], match[1]), text)
