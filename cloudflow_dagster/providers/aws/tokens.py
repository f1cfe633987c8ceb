"""Idempotency tokens: the same for every repetition of a call.

botocore's models mark 1,501 of them. Two hundred more are called by the same names and documented
as the same, but not marked: those are given too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.providers.aws.models import Service

NO_TOKENS = frozenset({"CallbackId", "NamedQueryId", "QueryExecutionId", "associatedResourceName"})
"""Members that some models call idempotency tokens, but which name what the call is about."""

UNMARKED = frozenset(
    {
        "AmznClientToken",
        "ClientRequestToken",
        "ClientToken",
        "IdempotencyToken",
        "UniqueRequestToken",
        "clientRequestToken",
        "clientToken",
        "idempotencyToken",
    }
)
"""Names of members that are idempotency tokens also where the model does not mark them."""
OWN_TOKENS = frozenset({"CallerReference", "CreatorRequestId"})
"""Names of required members that tell a repetition from a new call, by what the author gives."""
_NO_TOKENS_HERE = ("AcknowledgeThirdPartyJob", "GetThirdPartyJob", "PutThirdPartyJob")
"""Beginnings of CodePipeline's operations, in which `clientToken` says who asks."""
_AS_TOKEN: Mapping[tuple[str, str], str] = {("stepfunctions", "StartExecution"): "name"}
"""Names that the service chooses at random if nobody gives one, and of which it takes each once."""


def is_token(name: str, member: Mapping[str, Json]) -> bool:
    """Whether a member of an input is an idempotency token.

    Args:
        name: Of the member.
        member: As in the model.
    """
    return bool(member.get("idempotencyToken")) and name not in NO_TOKENS


def add_token(
    service: Service, operation: str, arguments: Mapping[str, Any], token: str
) -> dict[str, Any]:
    """Return the arguments with the idempotency token, where one belongs and the author gave none.

    Args:
        service: The service's model.
        operation: The API's own name of the operation.
        arguments: What is sent.
        token: The call's own: 64 characters of `[0-9a-f]`.
    """
    missing = {
        name: fit_token(token, service.shape(member["shape"]))
        for name, member in tokens_of(service, operation).items()
        if name not in arguments
    }
    return {**arguments, **missing}


def tokens_of(service: Service, operation: str) -> dict[str, Mapping[str, Json]]:
    """Return the members of an operation's input that are idempotency tokens, marked or not."""
    members = service.members(operation, "input")
    found = {name: member for name, member in members.items() if is_token(name, member)}
    if found or operation.startswith(_NO_TOKENS_HERE):
        return found
    named = {*UNMARKED, _AS_TOKEN.get((service.name, operation))}
    return {
        name: member
        for name, member in members.items()
        if name in named and service.shape(member["shape"])["type"] == "string"
    }


def fit_token(token: str, shape: Mapping[str, Json]) -> str:
    """Return a token in a form that an API takes.

    Every API takes a UUID if its model does not say otherwise, since that is what botocore sends.
    """
    for candidate in _forms(token, shape):
        if _fits(candidate, shape):
            return candidate
    return str(UUID(hex=token[:32], version=4))


def _forms(token: str, shape: Mapping[str, Json]) -> Iterator[str]:
    yield str(UUID(hex=token[:32], version=4))
    yield token[:32]
    yield token
    yield token[: shape.get("max", len(token))]


def _fits(candidate: str, shape: Mapping[str, Json]) -> bool:
    if not shape.get("min", 0) <= len(candidate) <= shape.get("max", len(candidate)):
        return False
    try:
        return re.fullmatch(shape.get("pattern", ".*"), candidate) is not None
    except re.error:  # not one of Python's patterns
        return True
