"""Says what went wrong in a request to the Cloud Control API, and whether it is worth another one.

A request fails in two ways: AWS refuses it (an exception of botocore's, `AlreadyExistsException`),
or it is accepted and fails while it is carried out (an event with a code, `AlreadyExists`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.resource import AlreadyExists
from cloudflow_dagster.providers.aws.errors import TRANSIENT, explain

AGAIN = frozenset({"NetworkFailure", "ResourceConflict", "ServiceInternalError", "Throttling"})
"""Codes of requests that may be made again at once: nothing came of them."""
_LATER = AGAIN | {"NotStabilized", "ServiceTimeout"}
_REFUSED_FOR_NOW = frozenset(
    {
        "ConcurrentModificationException",
        "ConcurrentOperationException",
        "NetworkFailureException",
        "NotStabilizedException",
        "ResourceConflictException",
        "ServiceInternalErrorException",
    }
)
TRANSIENT_CODES = TRANSIENT | _LATER | _REFUSED_FOR_NOW
"""Codes that are worth another attempt of the node."""
_UNSURE = frozenset({"InternalFailure", "NetworkFailure", "NotStabilized", "ServiceTimeout"})
"""Codes of requests that may have been carried out, or half."""
_WHY: Mapping[str, str] = {
    "AccessDenied": "The credential may not do what the type's handler does for it.",
    "AlreadyExists": "It is there already, and AWS does not say which one it is. Name it in "
    "`identifier` to have it as the config says, or choose another name.",
    "Canceled": "Somebody canceled the request.",
    "GeneralServiceException": "The service behind the type refused it.",
    "HandlerInternalFailureException": "AWS's handler of the type failed.",
    "InternalFailure": "AWS's handler of the type failed, perhaps half-way.",
    "InvalidCredentials": "AWS did not accept the credential in the type's handler.",
    "InvalidRequest": "AWS did not accept the properties.",
    "NetworkFailure": "AWS did not reach the service behind the type.",
    "NotFound": "It, or what it refers to, is not there.",
    "NotStabilized": "It was made or changed, but did not become ready.",
    "NotUpdatable": "One of the properties can only be given when it is created.",
    "PrivateTypeException": "The type is private to another account.",
    "ResourceConflict": "It is being used or changed by somebody else.",
    "ServiceInternalError": "The service behind the type failed.",
    "ServiceLimitExceeded": "A quota of the account is used up: raise it in Service Quotas.",
    "ServiceTimeout": "The service behind the type did not answer in time.",
    "Throttling": "The service behind the type was asked too often.",
    "TypeNotFoundException": "The Cloud Control API does not have the type in this region.",
    "UnauthorizedTaggingOperation": "The credential may not tag it.",
    "UnsupportedActionException": "The Cloud Control API cannot do that with this type: use the "
    "operations of its service.",
}


def of_failed_request(type_name: str, event: Mapping[str, Any]) -> NodeError:
    """Return the error of a request that was accepted and then failed.

    Args:
        type_name: CloudFormation's name of the type.
        event: The last `ProgressEvent` of the request.
    """
    canceled = event["OperationStatus"] == "CANCEL_COMPLETE"
    code = "Canceled" if canceled else str(event.get("ErrorCode") or "GeneralServiceException")
    message = _sentences(type_name, str(event.get("StatusMessage") or ""), code)
    if code == "AlreadyExists":
        return AlreadyExists(message, event.get("Identifier"))
    return NodeError(
        code,
        message,
        provider_request_id=event.get("RequestToken"),
        transient=code in _LATER,
        unsure=canceled or code in _UNSURE,
    )


def explained(error: Exception, type_name: str, node_type: str, login: Any) -> NodeError | None:
    """Return what went wrong when AWS did not accept a request; None if it is none of botocore's.

    Args:
        error: What was raised.
        type_name: CloudFormation's name of the type.
        node_type: Id of the node type that called.
        login: The login that was used.
    """
    why = explain(error, node_type, login)
    if why is None or why.code == "NotSimulated":
        return why
    if why.code not in _WHY and why.code.removesuffix("Exception") not in _WHY:
        return why
    return NodeError(
        why.code,
        _sentences(type_name, why.message, why.code),
        provider_request_id=why.provider_request_id,
        transient=True if why.code in TRANSIENT_CODES else why.transient,
        retry_after=why.retry_after,
        unsure=why.unsure,
    )


def _sentences(type_name: str, said: str, code: str) -> str:
    why = _WHY.get(code) or _WHY.get(code.removesuffix("Exception")) or "The request failed."
    said = said.strip()
    if said and said[-1] not in ".!?":
        said = f"{said}."
    return f"{type_name}: {why} AWS says: {said}" if said else f"{type_name}: {why}"
