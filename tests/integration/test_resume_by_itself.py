"""A run whose process died goes on by itself, as soon as there is a daemon that sees it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cloudflow_dagster.engine.instance import open_instance
from cloudflow_dagster.project import find_project
from tests.fixtures.programs import MANUAL, CommandLine, Programs, breaks, chain, get, result
from tests.fixtures.web import Answer, Asked, serving

pytestmark = pytest.mark.integration
PATIENCE = 240.0


class Site:
    """Makes one thing for each PUT of a path, and kills who asked for it the first time."""

    def __init__(self) -> None:
        self.victim: int | None = None
        self.made: list[str] = []

    def __call__(self, asked: Asked) -> Answer:
        if asked.path not in self.made:
            self.made.append(asked.path)
        if self.victim is not None:
            os.kill(self.victim, signal.SIGKILL)
            self.victim = None
        return Answer(200, '"made"', {"Content-Type": "application/json"})


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    root = tmp_path_factory.mktemp("resumed")
    (root / "flows").mkdir()
    (root / "cloudflow.yaml").write_text("{}\n")
    project = find_project(root)
    with open_instance(project) as instance:
        yield Programs(project, instance)


@pytest.fixture(scope="module")
def site() -> Iterator[tuple[Site, str]]:
    site = Site()
    with serving(site) as web:
        yield site, web.url()


def kill_a_run(programs: Programs, site: Site, flow: str) -> str:
    process = CommandLine(programs.project.root).start("run", flow, "--format", "json")
    site.victim = process.pid
    assert process.wait(120) == -signal.SIGKILL
    for stream in (process.stdout, process.stderr):
        assert stream is not None
        stream.close()
    return programs.runs_of(flow)[-1].run_id


@pytest.fixture(scope="module")
def dev(programs: Programs, site: tuple[Site, str]) -> Iterator[dict[str, str]]:
    """Runs that were killed before `cloudflow dev` was started, by their flows."""
    cloud, url = site
    for name, more in (("once", {}), ("never", {"resumes": 0})):
        put = get("put", f"{url}{name}", {"method": "PUT"})
        programs.write(chain(MANUAL, put, result("{{ input.body }}"), **more), name)
    killed = {name: kill_a_run(programs, cloud, name) for name in ("once", "never")}
    programs.write(chain(MANUAL, breaks("bad")), "broken")
    killed["broken"] = CommandLine(programs.project.root)("run", "broken", "--format", "json").json[
        "run_id"
    ]
    with running_dev(programs.project.root):
        yield killed


@contextmanager
def running_dev(root: Path) -> Iterator[None]:
    process = CommandLine(root).start("dev", "--port", "0")
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=90)


def eventually(condition: Callable[[], Any]) -> Any:
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        if found := condition():
            return found
        time.sleep(0.5)
    raise AssertionError(f"not within {PATIENCE:g} s")


def test_a_run_whose_process_died_goes_on_by_itself_as_often_as_the_flow_says(
    programs: Programs, site: tuple[Site, str], dev: dict[str, str]
) -> None:
    def ended() -> list[dg.DagsterRun] | None:
        runs = programs.runs_of("once")
        return runs if len(runs) > 1 and runs[-1].is_finished else None

    first, second = eventually(ended)
    assert first.status is dg.DagsterRunStatus.FAILURE
    assert second.status is dg.DagsterRunStatus.SUCCESS
    assert (second.parent_run_id, second.root_run_id) == (dev["once"], dev["once"])
    assert site[0].made.count("/once") == 1
    (never,) = programs.runs_of("never")
    assert never.status is dg.DagsterRunStatus.FAILURE
    assert never.tags["dagster/will_retry"] == "false"


def test_a_run_of_which_a_step_failed_does_not_go_on_by_itself(
    programs: Programs, dev: dict[str, str]
) -> None:
    (run,) = programs.runs_of("broken")
    assert run.run_id == dev["broken"]
    assert run.tags["dagster/will_retry"] == "false"
