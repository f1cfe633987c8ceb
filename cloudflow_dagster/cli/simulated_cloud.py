"""The simulated cloud for commands that run flows in their own process."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import click

from cloudflow_dagster.cli.surroundings import give_up
from cloudflow_dagster.plan import Plan
from cloudflow_dagster.project import Project


@contextmanager
def cloud_for(plan: Plan, project: Project) -> Generator[None]:
    """Have the simulated cloud at hand while the flow runs, if it may need it.

    It may if a step, or a secret that a step reads, uses a credential of the simulated cloud, or if
    a flow that it calls might.
    """
    credentials = project.credentials
    names = {
        step.credential or credentials.default("aws")
        for step in plan.work()
        if step.provider == "aws" or step.secrets or step.type == "flow.call"
    }
    if not any(name is not None and credentials.simulated(name) for name in names):
        yield
        return
    with simulated_cloud(project):
        yield


@contextmanager
def simulated_cloud(project: Project) -> Generator[None]:
    """Have the simulated cloud at hand: the one that runs, or one that ends with this.

    Ends the command with status 2 and one sentence if it cannot be started.
    """
    from cloudflow_dagster.simulator import (  # noqa: PLC0415 - only if it is needed
        SimulatorMissingError,
        check_installed,
        discover,
        simulated_aws,
    )

    try:
        if discover(project.state) is None:
            check_installed()
            click.echo("Starting a simulated cloud …", err=True)
        with simulated_aws(project):
            yield
    except SimulatorMissingError as error:
        give_up(str(error))
