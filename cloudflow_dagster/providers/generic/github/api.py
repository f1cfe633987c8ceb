"""What all node types of GitHub share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeAlias

from pydantic import Field

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.call import Call
from cloudflow_dagster.providers.generic.http.post import post

Repository: TypeAlias = Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
API = "https://api.github.com"
_HEADERS: Mapping[str, Json] = {
    "Accept": "application/vnd.github+json",
    "X-GitHub-Api-Version": "2022-11-28",
}


def ask(call: Call, api: str, path: str, token: str, body: Json) -> Mapping[str, Json]:
    """Send JSON to GitHub's API and return the answer.

    Raises:
        NodeError: GitHub refused it or could not be reached.
    """
    url = f"{api.rstrip('/')}{path}"
    return post(call, url, body, headers=_HEADERS, auth={"type": "bearer", "token": token})
