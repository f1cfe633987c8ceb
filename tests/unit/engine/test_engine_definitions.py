"""A project's flows as Dagster definitions."""

from __future__ import annotations

import json
import os
from pathlib import Path

import dagster as dg
import pytest

from cloudflow_dagster.diagnostics import FlowError
from cloudflow_dagster.engine import names, tags
from cloudflow_dagster.engine.definitions import (
    FlowsData,
    build_definitions,
    load_job,
    project_of,
    repository_of,
)
from cloudflow_dagster.engine.folder import FlowFolder, UnknownFlowError
from cloudflow_dagster.engine.instance import dagster_home
from cloudflow_dagster.project import Project, find_project
from tests.fixtures.beside_sqlite import copy_folder
from tests.unit.engine.conftest import Flows, value

MANUAL = {"id": "start", "type": "trigger.manual"}


@dg.asset
def theirs() -> int:
    return 1


def jobs(definitions: dg.Definitions) -> dict[str, dg.JobDefinition]:
    return {
        job.name: job
        for job in definitions.get_repository_def().get_all_jobs()
        if not job.name.startswith("__")
    }


def test_flows_merge_into_another_project(flows: Flows) -> None:
    flows.write("mine", [MANUAL, value("one", 1)], ["start > one"])

    @dg.job
    def their_job() -> None: ...

    others = dg.Definitions(assets=[theirs], jobs=[their_job], executor=dg.in_process_executor)
    merged = dg.Definitions.merge(others, build_definitions(flows.project.flows))

    assert set(jobs(merged)) == {"their_job", "mine"}
    assert jobs(merged)["mine"].executor_def.name == "threads"
    dg.Definitions.validate_loadable(merged)


def test_the_folder_is_named_in_three_ways(flows: Flows) -> None:
    flows.write("mine", [MANUAL], [])

    assert set(jobs(build_definitions())) == {"mine"}
    assert set(jobs(build_definitions(flows.project.root))) == {"mine"}
    assert set(jobs(build_definitions(flows.project))) == {"mine"}
    assert project_of(Path("flows")).root == flows.project.root


def test_a_broken_file_takes_no_other_down_and_says_why(flows: Flows) -> None:
    flows.write("good", [MANUAL], [])
    flows.write("bad", [{"id": "x", "type": "generic.transfrm"}], [])
    (flows.project.flows / "worse.json").write_text("{")
    (flows.project.flows / "No id.json").write_text('{"version": 1, "nodes": []}')
    found = jobs(build_definitions(flows.project))

    assert len(found) == 4
    assert tags.BROKEN not in found["good"].tags
    assert "Did you mean `generic.transform`?" in (found["bad"].description or "")
    assert found["bad"].tags[tags.BROKEN] == "true"
    assert found["worse"].tags[tags.BROKEN] == "true"
    result = found["bad"].execute_in_process(raise_on_error=False)
    assert not result.success
    failure = result.failure_data_for_node("broken")
    assert failure is not None
    assert failure.user_failure_data is not None
    assert "generic.transfrm" in (failure.user_failure_data.description or "")


def test_two_files_with_one_id_are_both_seen(flows: Flows) -> None:
    flows.write("a", [MANUAL], [])
    flows.write("b", [MANUAL], [], id="a")

    assert len(jobs(build_definitions(flows.project))) == 2


def test_a_broken_project_file_says_where(flows: Flows) -> None:
    (flows.project.root / "cloudflow.yaml").write_text("credentials: 3\n")

    with pytest.raises(FlowError, match=r"cloudflow\.yaml:1"):
        build_definitions()


def test_nodes_of_one_type_share_a_definition_unless_they_have_notes(flows: Flows) -> None:
    nodes = [MANUAL, value("one", 1), value("two", 2), value("three", 3, notes="Why.")]
    flows.write("f", nodes, ["start > one", "one > two", "two > three"])
    job = jobs(build_definitions(flows.project))["f"]
    definitions = {node.name: node.definition for node in job.nodes}

    assert definitions["one"] is definitions["two"]
    assert definitions["three"].name == "f__three__whole"
    assert "Why." in (definitions["three"].description or "")


def test_provider_and_service_are_shown_on_the_op(flows: Flows) -> None:
    node = {"id": "volumes", "type": "aws.ec2.describe_volumes"}
    flows.write("f", [MANUAL, node], ["start > volumes"])
    job = jobs(build_definitions(flows.project))["f"]

    assert {"dagster/kind/aws", "dagster/kind/ec2"} <= set(job.get_node_named("volumes").tags)


def test_a_job_says_what_its_flow_must_be_allowed(flows: Flows) -> None:
    queue = {"id": "q", "type": "aws.sqs.purge_queue", "config": {"QueueUrl": "https://sqs/1/jobs"}}
    flows.write("mine", [MANUAL, queue], ["start > q"])

    metadata = jobs(build_definitions())["mine"].metadata
    assert metadata["permissions"].value == "- `sqs:PurgeQueue`"
    (statement,) = metadata["least IAM policy"].value["sim"]["Statement"]
    assert statement["Action"] == ["sqs:PurgeQueue"]
    assert statement["Resource"] == ["arn:aws:sqs:us-east-1:123456789012:jobs"]


def test_a_job_has_the_flows_tags_and_description(flows: Flows) -> None:
    flows.write(
        "f",
        [MANUAL],
        [],
        name="My flow",
        description="What it does.",
        tags={"team": "ops", "a key with spaces!": "x"},
        concurrency={"limit": 2, "key": "{{ params.a }}"},
        params={"type": "object", "properties": {"a": {"type": "string", "default": "z"}}},
    )
    job = jobs(build_definitions(flows.project))["f"]

    assert "**My flow**" in (job.description or "")
    assert "What it does." in (job.description or "")
    assert job.tags["team"] == "ops"
    assert job.tags["a_key_with_spaces_"] == "x"
    assert json.loads(job.tags[tags.LIMIT])["defaults"] == {"a": "z"}


def test_a_process_that_runs_one_flow_builds_only_that(
    flows: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    flows.write("class", [MANUAL], [], id="class")
    flows.write("other", [MANUAL], [], id="named_inside")
    folder = FlowFolder(flows.project)
    monkeypatch.setattr(folder, "load", lambda: pytest.fail("all flows were built"))
    repository = repository_of(FlowsData(folder))

    assert repository.get_job(names.dagster_name("class")).name == "cf__class"
    assert repository.get_job("named_inside").name == "named_inside"
    with pytest.raises(UnknownFlowError, match=r"no flow `othr`.*Did you mean `other`\?"):
        folder.one("othr")


def test_one_job_is_loaded_by_its_name(flows: Flows) -> None:
    flows.write("class", [MANUAL], [])
    flows.write("other", [MANUAL], [], id="named_inside")
    flows.write("twice", [MANUAL], [], id="class")
    (flows.project.flows / "No id.json").write_text("{")
    every = {flow.job.name for flow in FlowFolder(flows.project).load()}

    assert len(every) == 4
    for name in every:
        assert load_job(flows.project, name).name == name
    with pytest.raises(UnknownFlowError, match=r"no flow `othr`.*Did you mean `other`\?"):
        load_job(flows.project, "othr")


def test_the_repository_knows_jobs_schedules_and_sensors(flows: Flows) -> None:
    cron = {"id": "cron", "type": "trigger.cron", "config": {"schedule": "@daily"}}
    flows.write("f", [cron], [], on_failure="g")
    flows.write("g", [MANUAL], [])
    repository = repository_of(FlowsData(FlowFolder(flows.project)))

    assert sorted(job.name for job in repository.get_all_jobs()) == ["f", "g"]
    assert [schedule.name for schedule in repository.schedule_defs] == ["f__cron"]
    assert sorted(sensor.name for sensor in repository.sensor_defs) == [
        "cloudflow__dead_runs",
        "cloudflow__on_failure",
        "cloudflow__retention",
    ]


def test_jobs_of_flows_that_did_not_change_are_kept(flows: Flows) -> None:
    flows.write("a", [MANUAL], [])
    flows.write("b", [MANUAL], [])
    (flows.project.flows / "c.json").write_text("{")
    folder = FlowFolder(flows.project)
    before = {flow.job.name: flow.job for flow in folder.load()}
    flows.write("b", [MANUAL, value("one", 1)], ["start > one"])
    after = {flow.job.name: flow.job for flow in folder.load()}

    assert after["a"] is before["a"]
    assert after["b"] is not before["b"]
    assert after["c"] is before["c"]


def test_each_change_of_the_folder_is_seen_once(flows: Flows) -> None:
    folder = FlowFolder(flows.project)
    assert folder.look()
    assert not folder.look()
    path = flows.write("a", [MANUAL], [])
    assert folder.look()
    path.write_text(path.read_text() + "\n")
    assert folder.look()
    path.rename(path.with_name("b.json"))
    assert folder.look()
    assert list(folder.listed) == ["b"]
    path.with_name("b.json").unlink()
    assert folder.look()
    assert not folder.look()
    assert not folder.listed


def test_a_change_of_the_same_size_within_a_tick_of_the_clock_is_seen(flows: Flows) -> None:
    path = flows.write("a", [MANUAL, value("one", 1)], ["start > one"])
    folder = FlowFolder(flows.project)
    folder.look()
    before = path.stat()
    path.write_text(path.read_text().replace("1}", "2}"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert folder.look()
    plan = folder.loaded("a").plan
    assert plan is not None
    assert plan.step("one").config == {"value": 2}


def test_the_instance_is_set_up_once_and_then_the_users(tmp_path: Path, fresh_state: Path) -> None:
    project: Project = find_project(tmp_path)
    copy_folder(fresh_state, project.state)
    settings = dagster_home(project) / "dagster.yaml"
    assert "telemetry:\n  enabled: false" in settings.read_text()
    settings.write_text("telemetry: {enabled: false}\n")

    dagster_home(project)
    assert settings.read_text() == "telemetry: {enabled: false}\n"


@pytest.mark.parametrize(
    "name", ["input", "class", "a-b", "", "cf__x", "cf__x_", "ü", "None", "a b", "a.b"]
)
def test_names_are_mangled_to_what_dagster_accepts(name: str) -> None:
    made = names.dagster_name(name)

    dg.OpDefinition(name=made, compute_fn=lambda context, inputs: None)
    assert made != name


def test_mangled_names_differ() -> None:
    given = ["a-b", "a_b", "a.b", "a__2d_b", "input", "cf__input", "cf__x_input", "", "_"]

    assert len({names.dagster_name(name) for name in given}) == len(given)


@pytest.mark.parametrize(
    ("key", "node"),
    [
        ("volumes", ("volumes", "")),
        ("input", ("input", "")),
        ("each__item[0_199]", ("each", "item")),
        ("each__item[?]", ("each", "item")),
        ("each__done", ("each", "done")),
    ],
)
def test_a_step_key_tells_its_node(key: str, node: tuple[str, str]) -> None:
    assert names.node_of(key) == node
