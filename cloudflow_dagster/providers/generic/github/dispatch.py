"""Workflows of GitHub Actions."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from pydantic import Field
from typing_extensions import TypedDict

from cloudflow_dagster.nodes.call import Call
from cloudflow_dagster.nodes.declare import BLUE, action
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.generic.github.api import API, Repository, ask


class Dispatched(TypedDict):
    """What GitHub said."""

    status: Annotated[int, Field(description="204: GitHub gives no id of the run.")]


@action(
    "generic.github.dispatch",
    label="Run GitHub workflow",
    icon="play",
    category="web",
    color=BLUE,
    repeat=Repeat.ASK,
    documentation="https://docs.github.com/en/rest/actions/workflows",
)
def dispatch(
    call: Call,
    *,
    repository: Repository,
    workflow: Annotated[str, Field(min_length=1)],
    token: Annotated[str, Field(min_length=1)],
    branch: str = "main",
    inputs: dict[str, str] | None = None,
    api: str = API,
) -> Dispatched:
    """Starts a workflow of GitHub Actions that has the trigger `workflow_dispatch`.

    Args:
        call: What surrounds the attempt.
        repository: `owner/name`.
        workflow: Name of its file, `deploy.yml`, or its number.
        token: May write actions: `{{ $secret('github') }}`.
        branch: Branch or tag to run it on.
        inputs: The workflow's inputs.
        api: Address of the API, for GitHub Enterprise.
    """
    path = f"/repos/{repository}/actions/workflows/{quote(workflow, safe='')}/dispatches"
    answer = ask(call, api, path, token, {"ref": branch, "inputs": inputs or {}})
    return {"status": answer["status"]}
