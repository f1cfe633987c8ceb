"""Servers and a project that several integration tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from cloudflow_dagster.engine.instance import open_instance
from cloudflow_dagster.project import find_project
from tests.fixtures.programs import CommandLine, Programs
from tests.fixtures.simulated_cloud import simulated_cloud


@pytest.fixture(scope="module")
def separate_cloud() -> Iterator[str]:
    """Endpoint of a simulated cloud with its estate in a process of its own.

    Nothing that another module does to a simulated cloud is seen in it.
    """
    with simulated_cloud() as address:
        yield address


PROJECT = """\
credentials:
  cloud:
    provider: aws
    simulated: true
    region: us-east-1
  elsewhere:
    provider: aws
    source: cloud
    role_arn: arn:aws:iam::222222222222:role/cloudflow-audit
    external_id: cloudflow-audit
    region: eu-west-1
default_credentials:
  aws: cloud
secrets:
  token: {env: FORMAT_TOKEN}
variables:
  team: ops
  limits: {disks: 3}
"""
TOKEN = "open-sesame-1859"


@pytest.fixture(scope="session")
def one_project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    """A project with a Dagster instance, which takes seconds to make, for many tests."""
    root = tmp_path_factory.mktemp("programs")
    (root / "flows").mkdir()
    (root / "cloudflow.yaml").write_text(PROJECT)
    os.environ["FORMAT_TOKEN"] = TOKEN
    project = find_project(root)
    with open_instance(project) as instance:
        yield Programs(project, instance)
    del os.environ["FORMAT_TOKEN"]


@pytest.fixture
def programs(one_project: Programs) -> Programs:
    """The project with no flow in it yet. What ran before is in its history."""
    for file in one_project.project.flows.iterdir():
        file.unlink()
    return one_project


@pytest.fixture
def cloudflow(programs: Programs) -> CommandLine:
    """The `cloudflow` command, in the project's folder."""
    return CommandLine(programs.project.root)
