"""The project's credentials as Dagster resources, one for each, made when a run needs it.

A job has a resource `credential_<name>` for each credential that its steps log in with: it is seen
in the UI, and its value can be put in the place of another. Ops written by hand use the same ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import dagster as dg

from cloudflow_dagster.credentials.by_name import Credentials, Login
from cloudflow_dagster.plan import Plan
from cloudflow_dagster.project import Project, Settings

_PREFIX = "credential_"


@dataclass(frozen=True)
class Credential:
    """What such a resource gives to an op."""

    name: str
    provider: str
    credentials: Credentials

    def login(self, region: str | None = None) -> Login:
        """Log in: an `AwsLogin` with `client(service)`, a `GcpLogin` or an `AzureLogin`.

        Args:
            region: Overrides the credential's region.

        Raises:
            NodeError: The credential cannot be used; says why and what to do.
        """
        return self.credentials.login(self.name, self.provider, region)


def credential_resource(project: Project, name: str) -> dg.ResourceDefinition:
    """Return the Dagster resource of a credential; its value is a `Credential`.

    Args:
        project: The project that names it, from `cloudflow_dagster.project.find_project`.
        name: The credential's name in `cloudflow.yaml`.

    Raises:
        KeyError: The project has no such credential.
    """
    summary = next((s for s in project.credentials.describe() if s.name == name), None)
    if summary is None:
        raise KeyError(name)

    def make(_: dg.InitResourceContext) -> Credential:
        return Credential(name, summary.provider, project.credentials)

    region = f", {summary.region}" if summary.region else ""
    return dg.ResourceDefinition(make, description=f"{summary.provider}: {summary.how}{region}")


def resource_key(name: str) -> str:
    """Return the key of a credential's resource in a job."""
    return f"{_PREFIX}{name}"


def resources_of(plan: Plan, project: Project) -> dict[str, dg.ResourceDefinition]:
    """Return the resources of the credentials that a flow's steps log in with, by key."""
    credentials = project.credentials
    named = {
        step.credential or credentials.default(step.provider)
        for step in plan.work()
        if step.provider is not None
    }
    known = sorted(name for name in named if name and credentials.spec(name) is not None)
    return {resource_key(name): credential_resource(project, name) for name in known}


@dataclass(frozen=True)
class _Injected:
    """Logs steps in through the resources of their run."""

    credentials: Credentials
    resources: Mapping[str, Credential]

    def login(self, name: str | None, provider: str, region: str | None) -> Login:
        key = resource_key(name or self.credentials.default(provider) or "")
        resource = self.resources.get(key)
        if resource is None or resource.provider != provider:
            return self.credentials.login(name, provider, region)
        return resource.login(region)


@dataclass(frozen=True)
class RunProject:
    """What the runtime needs of a project, with the run's own resources to log in."""

    credentials: _Injected
    settings: Settings


def run_project(project: Project, resources: Mapping[str, Credential]) -> RunProject:
    """Return the project as the steps of a run see it.

    Args:
        project: The project.
        resources: The values of the run's credential resources, by key.
    """
    return RunProject(_Injected(project.credentials, resources), project.settings)
