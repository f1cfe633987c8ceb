"""Idempotency tokens: the same for every repetition of a call."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.providers.aws.models import Service

NO_TOKENS = frozenset({"CallbackId", "NamedQueryId", "QueryExecutionId", "associatedResourceName"})
"""Members that some models call idempotency tokens, but which name what the call is about."""


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
        for name, member in service.members(operation, "input").items()
        if is_token(name, member) and name not in arguments
    }
    return {**arguments, **missing}


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
