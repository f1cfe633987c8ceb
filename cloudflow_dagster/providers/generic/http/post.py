"""A POST of JSON, for node types that speak to one service."""

from __future__ import annotations

from collections.abc import Mapping

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.call import Call
from cloudflow_dagster.providers.generic.http.auth import Auth
from cloudflow_dagster.providers.generic.http.status import DEFAULT, expected_status

_SECONDS = 30.0


def post(
    call: Call,
    url: str,
    json: Json,
    *,
    headers: Mapping[str, Json] | None = None,
    auth: Auth | None = None,
) -> Mapping[str, Json]:
    """Send JSON and return `{status, headers, body}`, as `generic.http.request` does.

    Raises:
        NodeError: It could not be sent, or was refused.
        Canceled: The run was told to stop.
    """
    from cloudflow_dagster.providers.generic.http.perform import (  # noqa: PLC0415 - httpx: 140 ms
        Asked,
        perform,
    )

    asked = Asked(
        method="POST",
        url=url,
        query={},
        headers=headers or {},
        content={"json": json},
        auth=auth,
        timeout=_SECONDS,
        expect=expected_status(DEFAULT),
        paginate=None,
        response="auto",
    )
    return perform(call, asked)
