"""Issues on GitHub."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from cloudflow_dagster.nodes.call import Call
from cloudflow_dagster.nodes.declare import BLUE, action
from cloudflow_dagster.nodes.fields import Multiline
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.generic.github.api import API, Repository, ask


class Issue(TypedDict):
    """An issue."""

    number: Annotated[int, Field(description="Of the issue.")]
    url: Annotated[str, Field(description="Its page.")]


@action(
    "generic.github.issue",
    label="Open GitHub issue",
    icon="circle-dot",
    category="web",
    color=BLUE,
    repeat=Repeat.ASK,
    documentation="https://docs.github.com/en/rest/issues/issues",
)
def issue(
    call: Call,
    *,
    repository: Repository,
    title: Annotated[str, Field(min_length=1)],
    token: Annotated[str, Field(min_length=1)],
    body: Multiline = "",
    labels: list[str] | None = None,
    assignees: list[str] | None = None,
    api: str = API,
) -> Issue:
    """Opens an issue in a repository on GitHub.

    Args:
        call: What surrounds the attempt.
        repository: `owner/name`.
        title: One line.
        token: May write issues: `{{ $secret('github') }}`.
        body: Markdown.
        labels: Names of labels.
        assignees: Who is to look at it.
        api: Address of the API, for GitHub Enterprise.
    """
    made = {"title": title, "body": body, "labels": labels or [], "assignees": assignees or []}
    found = ask(call, api, f"/repos/{repository}/issues", token, made)["body"]
    return {"number": found["number"], "url": found["html_url"]}
