"""Flows in a Dagster project that knows nothing of `cloudflow dev`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml

from cloudflow_dagster.engine.instance import open_instance
from cloudflow_dagster.project import find_project

pytestmark = pytest.mark.integration

FLOW = {
    "version": 1,
    "nodes": [
        {"id": "start", "type": "trigger.manual"},
        {"id": "one", "type": "generic.transform", "config": {"value": 1}},
        {
            "id": "each",
            "type": "logic.loop",
            "config": {"items": [1, 2]},
        },
        {"id": "twice", "type": "generic.transform", "config": {"value": "{{ item * 2 }}"}},
    ],
    "edges": [
        {"source": "start", "target": "one"},
        {"source": "one", "target": "each"},
        {"source": "each", "source_port": "item", "target": "twice"},
    ],
}
DEFINITIONS = """
import dagster as dg
from cloudflow_dagster import build_definitions

@dg.op
def work():
    print("printed by the op")

@dg.job
def theirs():
    work()

defs = dg.Definitions.merge(dg.Definitions(jobs=[theirs]), build_definitions("flows"))
"""


@pytest.fixture
def host(tmp_path: Path) -> Path:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "mine.json").write_text(json.dumps(FLOW))
    (tmp_path / "definitions.py").write_text(DEFINITIONS)
    return tmp_path


def dagster(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dagster", *arguments]
    home = folder / "home"
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "DAGSTER_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("job", ["mine", "theirs"])
def test_jobs_of_a_merged_project_are_executed_by_dagsters_own_command(
    host: Path, job: str
) -> None:
    ended = dagster(host, "job", "execute", "-f", "definitions.py", "-j", job)

    assert ended.returncode == 0, ended.stderr
    with dg.DagsterInstance.from_config(str(host / "home")) as instance:
        (run,) = instance.get_runs()
        assert run.status is dg.DagsterRunStatus.SUCCESS


def test_a_workspace_loads_the_flows(host: Path) -> None:
    location = {
        "module_name": "cloudflow_dagster.engine.code_location",
        "location_name": "cloudflow",
    }
    (host / "workspace.yaml").write_text(
        yaml.safe_dump({"load_from": [{"python_module": location}]})
    )
    listed = dagster(host, "job", "list", "-w", "workspace.yaml")

    assert listed.returncode == 0, listed.stderr
    assert "mine" in listed.stdout


def test_a_launched_run_is_executed_in_a_process_of_dagsters_own(host: Path) -> None:
    """As a run launcher for containers does it: `dagster api execute_run`."""
    from dagster._core.code_pointer import CodePointer
    from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
    from dagster._grpc.types import ExecuteRunArgs
    from dagster_shared.serdes import serialize_value

    from cloudflow_dagster.engine.folder import FlowFolder

    project = find_project(host)
    with open_instance(project) as instance:
        pointer = CodePointer.from_module(
            "cloudflow_dagster.engine.code_location", "repository", str(host)
        )
        origin = JobPythonOrigin(
            "mine", RepositoryPythonOrigin(sys.executable, pointer, None, None, {})
        )
        job = FlowFolder(project).one("mine").job
        run = instance.create_run_for_job(job, job_code_origin=origin)
        arguments = serialize_value(ExecuteRunArgs(origin, run.run_id, instance.get_ref()))
        ended = subprocess.run(
            [sys.executable, "-m", "dagster", "api", "execute_run", arguments],
            cwd=host,
            capture_output=True,
            text=True,
            check=False,
        )
        found = instance.get_run_by_id(run.run_id)

    assert ended.returncode == 0, ended.stderr
    assert found is not None
    assert found.status is dg.DagsterRunStatus.SUCCESS
