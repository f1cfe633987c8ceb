"""What a code server serves after changes is what it would serve if it were started anew."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster._serdes import deserialize_value
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cloudflow_dagster.compiler.incremental import IncrementalCompiler
from cloudflow_dagster.engine import tags
from cloudflow_dagster.engine.definitions import FlowsData, repository_of
from cloudflow_dagster.engine.folder import FlowFolder
from cloudflow_dagster.engine.served import Served
from cloudflow_dagster.flow.document import MAX_BYTES
from cloudflow_dagster.project import Project, find_project
from tests.unit.engine.conftest import Flows, value

pytestmark = pytest.mark.filterwarnings(
    # Dagster's own look at it, when it makes a schedule's snapshot.
    "ignore:Property `ScheduleDefinition.environment_vars`:DeprecationWarning"
)

MANUAL = {"id": "start", "type": "trigger.manual"}
IDS = ["a", "b", "c", "d"]
FILES = [*IDS, "input", "No id"]
Step = Callable[[Path], None]
SETTINGS = settings(
    max_examples=25,
    deadline=None,
    # Making a failing example smaller takes minutes here, and the examples are small.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def flow(draw: st.DrawFn) -> str:
    """Draw a flow that may call others, follow failures, be scheduled, or be broken."""
    others = st.sampled_from([*IDS, "nowhere"])
    start: dict[str, Any] = MANUAL
    if draw(st.booleans()):
        start = {"id": "start", "type": "trigger.cron", "config": {"schedule": "0 2 * * *"}}
    nodes = [start, value("one", draw(st.integers(0, 2)))]
    edges = [{"source": "start", "target": "one"}]
    made: dict[str, Any] = {"version": 1, "nodes": nodes, "edges": edges}
    if draw(st.booleans()):
        config: dict[str, Any] = {"flow": draw(others)}
        if draw(st.booleans()):
            config["params"] = {draw(st.sampled_from("xy")): draw(st.sampled_from([1, "text"]))}
        if draw(st.booleans()):
            config["max_depth"] = 3
        nodes.append({"id": "call", "type": "flow.call", "config": config})
        edges.append({"source": "one", "target": "call"})
    if draw(st.booleans()):
        kind = draw(st.sampled_from(["integer", "string"]))
        made["params"] = {"type": "object", "properties": {"x": {"type": kind}}}
        if draw(st.booleans()):
            made["params"]["required"] = ["x"]
    if draw(st.integers(0, 3)) == 0:
        made["on_failure"] = draw(others)
    if draw(st.integers(0, 3)) == 0:
        made["id"] = draw(st.sampled_from(IDS))
    if draw(st.integers(0, 5)) == 0:
        nodes.append({"id": "x", "type": "generic.transfrm"})
    return json.dumps(made)


@st.composite
def steps(draw: st.DrawFn) -> Step:
    """Draw one thing that somebody does to a project."""
    name = draw(st.sampled_from(FILES))
    what = draw(st.sampled_from(["write"] * 5 + ["delete", "rename", "break", "touch", "odd"]))
    text, broken = flow(draw), draw(st.sampled_from(["", "{", "[]", '{"version": 2}', "\0"]))
    other, odd = draw(st.sampled_from(FILES)), draw(st.integers(0, 3))

    def step(root: Path) -> None:
        path = root / "flows" / f"{name}.json"
        match what:
            case "write" | "break":
                remove(path)
                path.write_text(text if what == "write" else broken)
            case "delete":
                remove(path)
            case "rename" if path.exists():
                path.rename(path.with_name(f"{other}.json"))
            case "touch" if path.exists():
                os.utime(path)
            case "odd":
                oddity(root, path, odd)
            case _:
                pass

    return step


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    path.unlink(missing_ok=True)


def oddity(root: Path, path: Path, which: int) -> None:
    remove(path)
    match which:
        case 0:
            path.mkdir()
        case 1:
            path.symlink_to(path)
        case 2:
            (root / "flows" / ".layout").mkdir(exist_ok=True)
            (root / "flows" / ".layout" / path.name).touch()
        case _:
            text = json.dumps({"variables": {"n": path.name}, "default_credentials": {}})
            (root / "cloudflow.yaml").write_text(text)


def everything(data: FlowsData) -> dict[str, Any]:
    """Return all that Dagster's servers are told: the jobs, what is wrong, schedules, sensors."""
    repository = repository_of(data)
    snap = RepositorySnap.from_def(repository, defer_snapshots=False)
    return {
        "flows": data.folder.listed,
        "snapshots": {job.name: job.job.snapshot_id for job in snap.job_datas or ()},
        "schedules": snap.schedules,
        "sensors": snap.sensors,
    }


def fresh(project: Project) -> FlowsData:
    return FlowsData(FlowFolder(find_project(project.root)))


def empty(project: Project) -> Served:
    """Return what is served of a project as it was before anybody put anything into it."""
    (project.root / "cloudflow.yaml").unlink(missing_ok=True)
    for folder in (project.flows / ".layout", project.flows):
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.name != ".layout":
                remove(path)
    served = Served(fresh(project))
    _ = served.data.content
    return served


@given(st.lists(st.lists(steps(), min_size=1, max_size=4), min_size=1, max_size=4))
@SETTINGS
def test_after_any_changes_it_is_as_if_started_anew(
    project: Project, rounds: list[list[Step]]
) -> None:
    served = empty(project)
    for changes in rounds:
        for change in changes:
            change(project.root)
        served.look()
        anew = fresh(project)
        assert served.data.folder.listed == anew.folder.listed

    assert everything(served.data) == everything(fresh(project))
    assert not served.look()


@given(st.lists(st.lists(steps(), min_size=1, max_size=3), min_size=1, max_size=4))
@SETTINGS
def test_the_compiler_finds_the_same_warnings_too(
    project: Project, rounds: list[list[Step]]
) -> None:
    _ = empty(project)
    compiler = IncrementalCompiler(project)
    found: dict[str, Any] = {}
    for changes in rounds:
        for change in changes:
            change(project.root)
        change = compiler.update()
        found.update({one.file: one.diagnostics for one in change.compiled})
        found = {file: found[file] for file in change.files}
        anew = IncrementalCompiler(project).update()
        assert found == {one.file: one.diagnostics for one in anew.compiled}


def test_what_nobody_changed_is_not_compiled_again(flows: Flows) -> None:
    flows.write("callee", [MANUAL], [])
    call = {"id": "call", "type": "flow.call", "config": {"flow": "callee"}}
    flows.write("caller", [MANUAL, call], ["start > call"])
    for number in range(5):
        flows.write(f"other_{number}", [MANUAL], [])
    compiler = IncrementalCompiler(flows.project)
    assert len(compiler.update().compiled) == 7

    flows.write("callee", [MANUAL, value("one", 1)], ["start > one"])
    assert [one.flow_id for one in compiler.update().compiled] == ["callee"]
    params = {"type": "object", "properties": {"x": {}}, "required": ["x"]}
    flows.write("callee", [MANUAL], [], params=params)
    assert [one.flow_id for one in compiler.update().compiled] == ["callee", "caller"]
    (flows.project.flows / "callee.json").unlink()
    assert [one.flow_id for one in compiler.update().compiled] == ["caller"]


def test_all_flows_are_told_of_as_dagster_would(flows: Flows) -> None:
    cron = {"id": "cron", "type": "trigger.cron", "config": {"schedule": "@daily"}}
    flows.write("f", [cron], [], on_failure="g")
    flows.write("g", [MANUAL], [])
    (flows.project.flows / "broken.json").write_text("{")
    served = Served(FlowsData(FlowFolder(flows.project)))
    before = deserialize_value(served.listing.written(served.data.content), RepositorySnap)
    assert served.listing.fill(60)
    assert not served.listing.fill(60)
    after = deserialize_value(served.listing.written(served.data.content), RepositorySnap)
    whole = RepositorySnap.from_def(repository_of(served.data), defer_snapshots=True)

    assert after == whole
    assert [ref.name for ref in before.get_job_refs()] == ["broken", "f", "g"]
    ids = {ref.snapshot_id for ref in [*before.get_job_refs(), *after.get_job_refs()]}
    assert len(ids) == 6


def test_no_job_is_built_to_tell_of_all(flows: Flows, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        flows.write(f"f{number}", [MANUAL], [])
    folder = FlowFolder(flows.project)
    monkeypatch.setattr(folder, "_loaded", lambda job: pytest.fail(f"{job} was built"))
    served = Served(FlowsData(folder))

    assert "f2" in served.listing.written(served.data.content)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_text("{"),
        lambda path: path.write_text(json.dumps({"version": 1, "id": "good_1", "nodes": []})),
        lambda path: path.write_text(" " * (MAX_BYTES + 1)),
        lambda path: path.write_bytes(b"\xff\xfe\x00"),
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: (path.unlink(), path.symlink_to(path)),
        lambda path: (path.unlink(), os.mkfifo(path)),
    ],
    ids=["no JSON", "an id twice", "huge", "no text", "a folder", "a circle", "a pipe"],
)
def test_whatever_becomes_of_a_file_the_others_stay_and_it_is_said(
    flows: Flows, spoil: Callable[[Path], object]
) -> None:
    for number in range(3):
        flows.write(f"good_{number}", [MANUAL], [])
    path = flows.write("z_spoilt", [MANUAL], [])
    served = Served(FlowsData(FlowFolder(flows.project)))
    assert len(served.data.get_job_names()) == 4
    good = {name: served.data.get_job(name) for name in ("good_0", "good_2")}
    spoil(path)

    assert served.look()
    names = set(served.data.get_job_names())
    (spoilt,) = names - {"good_0", "good_1", "good_2"}
    job = served.data.get_job(spoilt)
    assert job.tags[tags.BROKEN] == "true"
    assert "**CF" in (job.description or "")
    assert {name: served.data.get_job(name) for name in good} == good
    remove(path)
    flows.write("z_spoilt", [MANUAL], [])
    assert served.look()
    assert tags.BROKEN not in served.data.get_job("z_spoilt").tags
    assert set(served.data.get_job_names()) == {"good_0", "good_1", "good_2", "z_spoilt"}


def test_a_folder_that_goes_and_comes_back(flows: Flows) -> None:
    flows.write("a", [MANUAL], [])
    served = Served(FlowsData(FlowFolder(flows.project)))
    assert served.data.get_job_names() == ["a"]
    away = flows.project.flows.rename(flows.project.root / "away")
    assert served.look()
    assert served.data.get_job_names() == []
    away.rename(flows.project.flows)
    assert served.look()
    assert served.data.get_job_names() == ["a"]


def test_a_project_file_that_breaks_changes_nothing_until_it_is_mended(
    flows: Flows, caplog: pytest.LogCaptureFixture
) -> None:
    flows.write("a", [MANUAL], [])
    served = Served(FlowsData(FlowFolder(flows.project)))
    assert served.data.get_job_names() == ["a"]
    job: dg.JobDefinition = served.data.get_job("a")
    file = flows.project.root / "cloudflow.yaml"
    file.write_text("credentials: 3\n")

    assert not served.look()
    assert "cloudflow.yaml:1" in caplog.text
    assert served.data.get_job("a") is job
    flows.write("b", [MANUAL], [])
    assert served.look()
    assert served.data.get_job_names() == ["a", "b"]
    file.write_text("variables: {n: 1}\n")
    assert served.look()
    assert served.data.folder.project.variables == {"n": 1}
