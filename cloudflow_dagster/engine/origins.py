"""Where a run that this process executes itself belongs in Dagster's pages.

Dagster's own ways of creating a run with an origin go through a workspace, which costs a code
server. Without an origin the run is not listed under its job and cannot be re-executed from its
page. Checked on Dagster 1.13.27.
"""

from __future__ import annotations

from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)

LOCATION = "cloudflow"
"""The name of the code location, in `workspace.yaml` and in what `cloudflow dev` serves."""
REPOSITORY = "__repository__"
"""The name that Dagster gives to what a `Definitions` holds."""


def job_origin(job: str) -> RemoteJobOrigin:
    """Return the origin by which Dagster's pages find a flow's job."""
    location = RegisteredCodeLocationOrigin(LOCATION)
    return RemoteJobOrigin(RemoteRepositoryOrigin(location, REPOSITORY), job)
