"""Credentials are Dagster resources of the jobs whose steps log in with them."""

# No postponed annotations here: Dagster reads that of `context` when an op is defined.

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cloudflow_dagster.engine.credentials import (
    Credential,
    credential_resource,
    resources_of,
    run_project,
)
from cloudflow_dagster.nodes.spec import Kind
from cloudflow_dagster.plan import Plan, Step
from cloudflow_dagster.project import Project, find_project

YAML = """
credentials:
  sim: {provider: aws, simulated: true, region: eu-west-1}
  other: {provider: aws, profile: prod, region: us-east-1}
  unused: {provider: aws, profile: dev}
default_credentials: {aws: sim}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "cloudflow.yaml").write_text(YAML)
    return find_project(tmp_path)


def step(id: str, credential: str | None, provider: str | None = "aws") -> Step:
    return Step(id=id, type="aws.ec2.x", kind=Kind.ACTION, provider=provider, credential=credential)


def test_a_job_has_a_resource_for_each_credential_that_it_uses(project: Project) -> None:
    steps = (step("a", None), step("b", "other"), step("c", None, None))
    resources = resources_of(Plan(flow="f", file="f.json", steps=steps), project)
    assert list(resources) == ["credential_other", "credential_sim"]
    assert resources["credential_sim"].description == "aws: the simulated cloud, eu-west-1"


def test_an_op_written_by_hand_can_use_one(project: Project) -> None:
    @dg.op(required_resource_keys={"account"})
    def who(context: dg.OpExecutionContext) -> str:
        return context.resources.account.name

    @dg.job(resource_defs={"account": credential_resource(project, "other")})
    def by_hand() -> None:
        who()

    assert by_hand.execute_in_process().output_for_node("who") == "other"


def test_a_credential_that_is_not_there_has_no_resource(project: Project) -> None:
    with pytest.raises(KeyError):
        credential_resource(project, "nobody")


@dataclass(frozen=True)
class Recording(Credential):
    """Stands in the place of a credential, as a test of somebody's flow would put it."""

    regions: list[Any] = field(default_factory=list)

    def login(self, region: str | None = None) -> Any:
        self.regions.append(region)
        return "logged in"


def test_steps_log_in_through_the_resources_of_their_run(project: Project) -> None:
    put = Recording("sim", "aws", project.credentials)
    credentials = run_project(project, {"credential_sim": put}).credentials
    assert credentials.login(None, "aws", "us-west-2") == "logged in"
    assert credentials.login("sim", "aws", None) == "logged in"
    assert put.regions == ["us-west-2", None]
