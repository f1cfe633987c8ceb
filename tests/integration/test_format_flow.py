"""The flow format, "The flow": each field of a flow, on running flows."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cloudflow_dagster.compiler.pipeline import compile_file, compile_project
from cloudflow_dagster.engine.definitions import build_definitions
from cloudflow_dagster.engine.run_flow import CannotStart
from cloudflow_dagster.engine.told import Told
from cloudflow_dagster.providers import catalogue
from tests.fixtures.programs import (
    MANUAL,
    Programs,
    call,
    chain,
    cron,
    flow,
    params,
    result,
    value,
)

pytestmark = pytest.mark.integration

ONE = chain(MANUAL, result(1))
DOCS = Path(__file__).parents[2] / "docs" / "flow-format.md"


def example() -> dict[str, Any]:
    found = re.search(r"## An example\s+```json\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return json.loads(found[1])


# The example


def test_the_example_runs_as_it_says(
    programs: Programs, separate_cloud: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the simulated cloud; only the names of its credential and its secret are exchanged."""
    monkeypatch.setenv("CLOUDFLOW_SIMULATED_AWS", separate_cloud)
    text = json.dumps(example()).replace("aws_prod", "cloud").replace("slack_webhook", "token")
    nightly = json.loads(text)
    ended = programs.run(nightly)

    assert ended.status == "success"
    assert ended.statuses["every_night"] == "success"
    volumes = ended.output("volumes")["Volumes"]
    assert volumes
    each = ended.output("each")
    assert each["count"] == len(volumes)
    assert [r["VolumeId"] for r in each["results"]] == [v["VolumeId"] for v in volumes]
    assert all(r["Description"].startswith("nightly 20") for r in each["results"])
    assert ended.statuses["any_failed"] == "success"
    assert ended.statuses["alert"] == "skipped"


# version, id, names


def test_only_version_1_is_known(programs: Programs) -> None:
    assert programs.codes(ONE) == []
    assert programs.codes({**ONE, "version": 2}) == ["CF1010"]
    assert programs.codes({k: v for k, v in ONE.items() if k != "version"}) == ["CF1003"]


def test_the_id_is_the_files_stem_without_one(programs: Programs) -> None:
    path = programs.write(chain(MANUAL, result("{{ run.flow }}")), "by_stem")
    named = programs.write(chain(MANUAL, result("{{ run.flow }}"), id="by_id"), "some-file.v2")

    assert programs.run(path).result == "by_stem"
    ended = programs.run(named)
    assert ended.result == "by_id"
    assert ended.run.job_name == "by_id"


@pytest.mark.parametrize(
    ("id", "fine"),
    [
        ("a", True),
        ("a1_b", True),
        ("a" * 63, True),
        ("a" * 64, False),
        ("1a", False),
        ("A", False),
        ("a-b", False),
        ("_a", False),
        ("a__b", False),
        ("", False),
    ],
)
def test_ids_of_flows_and_nodes(programs: Programs, id: str, fine: bool) -> None:
    assert ("CF1006" in programs.codes({**ONE, "id": id})) is not fine
    nodes = [MANUAL, value(id, 1)]
    assert ("CF1006" in programs.codes(flow(nodes))) is not fine


def test_an_id_is_unique_in_a_project(programs: Programs) -> None:
    programs.write({**ONE, "id": "same"}, "one")
    programs.write({**ONE, "id": "same"}, "two")
    compiled = compile_project(programs.project, catalogue())

    assert "CF5010" in {d.code for c in compiled for d in c.diagnostics}


def test_a_file_stem_that_cannot_be_an_id_is_a_diagnostic_that_suggests_one(
    programs: Programs,
) -> None:
    (found,) = programs.check(ONE, "Nightly Backup-v2").diagnostics

    assert found.code == "CF1009"
    assert "nightly_backup_v2" in (found.suggestion or "")


def test_unknown_fields_and_duplicate_keys_are_errors(programs: Programs) -> None:
    assert programs.codes({**ONE, "colour": "red"}) == ["CF1002"]
    path = programs.write(ONE)
    path.write_text(path.read_text().replace('"version": 1', '"version": 1, "version": 1'))
    compiled = compile_file(path, project=programs.project)
    assert [(d.code, d.severity) for d in compiled.diagnostics] == [("CF0009", "error")]


def test_name_description_and_tags_are_shown_in_dagster(programs: Programs) -> None:
    programs.write(
        {
            **ONE,
            "name": "The one",
            "description": "Gives *one*.",
            "tags": {"team": "ops", "x": "y"},
        },
        "shown",
    )
    programs.write({**ONE, "tags": ["nightly", "storage"]}, "listed")
    made = build_definitions(programs.project)
    shown, listed = made.get_job_def("shown"), made.get_job_def("listed")

    assert "The one" in (shown.description or "")
    assert "Gives *one*." in (shown.description or "")
    assert shown.tags.items() >= {"team": "ops", "x": "y"}.items()
    assert {"nightly", "storage"} <= shown.tags.keys() | listed.tags.keys()
    ended = programs.run(programs.project.flows / "shown.json")
    assert ended.run.tags["team"] == "ops"


def test_the_mode_is_workflow_by_default_and_architecture_is_not_supported_yet(
    programs: Programs,
) -> None:
    assert programs.codes({**ONE, "mode": "workflow"}) == []
    (found,) = programs.check({**ONE, "mode": "architecture"}).diagnostics
    assert (found.code, found.severity) == ("CF9006", "error")
    assert "not supported yet" in found.message


def test_on_failure_compensate_without_anything_to_undo_is_a_warning(programs: Programs) -> None:
    (found,) = programs.check({**ONE, "on_failure_compensate": True}).diagnostics
    assert (found.code, found.severity) == ("CF2021", "warning")


# Params


TYPED = params(
    env={"type": "string", "enum": ["dev", "prod"], "default": "dev"},
    keep={"type": "integer", "minimum": 1, "default": 7},
    options={"type": "object", "properties": {"dry": {"type": "boolean", "default": True}}},
)


def test_params_are_typed_and_have_defaults(programs: Programs) -> None:
    path = programs.write(chain(MANUAL, result("{{ params }}"), params=TYPED))

    assert programs.run(path).result == {"env": "dev", "keep": 7}
    given = {"env": "prod", "keep": 3, "options": {}}
    expected = {"env": "prod", "keep": 3, "options": {"dry": True}}
    assert programs.run(path, given).result == expected
    assert programs.run(path, given, way="dagster").result == expected


@pytest.mark.parametrize("wrong", [{"env": "test"}, {"keep": 0}, {"keep": "3"}, {"options": []}])
def test_the_cli_and_the_launchpad_check_params(programs: Programs, wrong: dict[str, Any]) -> None:
    path = programs.write(chain(MANUAL, result("{{ params }}"), params=TYPED))

    with pytest.raises(CannotStart, match=next(iter(wrong))):
        programs.run(path, wrong)
    if wrong == {"keep": 0}:  # Dagster's own types know no minimum
        with pytest.raises(Told, match="less than the minimum"):
            programs.run(path, wrong, way="dagster")
        return
    with pytest.raises(dg.DagsterInvalidConfigError, match=next(iter(wrong))):
        programs.run(path, wrong, way="dagster")


def test_the_launchpad_shows_params_with_their_types_and_defaults(programs: Programs) -> None:
    path = programs.write(chain(MANUAL, params=TYPED))
    job = build_definitions(programs.project).get_job_def(path.stem)
    shown: Any = job.config_mapping
    fields = shown.config_schema.config_type.fields["params"].config_type.fields

    assert fields["env"].default_value == "dev"
    assert fields["keep"].config_type.given_name == "Int"
    assert not fields["options"].is_required


def test_params_have_to_be_a_schema_of_type_object(programs: Programs) -> None:
    assert programs.codes({**ONE, "params": {"type": "array"}}) == ["CF1008"]
    assert programs.codes({**ONE, "params": {"type": "object", "properties": []}}) == ["CF1008"]


# A broken file


def test_a_file_that_is_not_valid_never_takes_the_others_down(programs: Programs) -> None:
    programs.write(chain(MANUAL, result(1)), "fine")
    (programs.project.flows / "torn.json").write_text('{"version": 1, "nodes": [')
    programs.write(chain(MANUAL, {"id": "x", "type": "no.such.type"}), "wrong")
    programs.write(chain(cron("night"), value("a")), "nightly")
    made = build_definitions(programs.project)

    assert set(made.resolve_job_def("fine").nodes_in_topological_order)
    assert {s.name for s in made.schedules or ()} == {"nightly__night"}
    assert programs.run(programs.project.flows / "fine.json", way="dagster").result == 1


def test_whatever_lies_in_the_folder_the_others_stay_loaded(programs: Programs) -> None:
    folder = programs.project.flows
    programs.write(ONE, "fine")
    programs.write(ONE, "a-b")
    programs.write(ONE, "ü b")
    programs.write(ONE, "n" * 100)
    (folder / "directory.json").mkdir()
    os.mkfifo(folder / "pipe.json")
    (folder / "dangling.json").symlink_to("nowhere")
    (folder / "circle.json").symlink_to("circle.json")
    (folder / "binary.json").write_bytes(bytes(range(256)) * 9)
    (folder / "empty.json").touch()
    (folder / "deep.json").write_text("[" * 100_000)
    (folder / ".#fine.json").symlink_to("an editor's lock")
    try:
        compiled = compile_project(programs.project, catalogue())
        broken = {Path(c.file).name for c in compiled if c.failed}
        jobs = build_definitions(programs.project).jobs or ()
        ended = programs.run(folder / "fine.json", way="dagster")
    finally:
        (folder / "directory.json").rmdir()

    left = {path.name for path in folder.iterdir()}
    assert broken == left - {"fine.json", ".#fine.json"} | {"directory.json"}
    assert len(jobs) == len(compiled)
    assert ended.result == 1


def test_the_broken_one_shows_its_diagnostics_in_dagster(programs: Programs) -> None:
    programs.write(chain(MANUAL, {"id": "x", "type": "generic.transfrom"}), "wrong")
    job = build_definitions(programs.project).get_job_def("wrong")

    assert "CF1011" in (job.description or "")
    assert "generic.transform" in (job.description or "")
    with dg.DagsterInstance.ephemeral() as instance:
        done = job.execute_in_process(instance=instance, raise_on_error=False)
        history = "\n".join(str(entry) for entry in instance.all_logs(done.run_id))
    assert not done.success
    assert "CF1011" in history


def test_a_call_of_a_broken_flow_fails_alone(programs: Programs) -> None:
    (programs.project.flows / "torn.json").write_text("{")
    nodes = [MANUAL, call("call", "{{ 'torn' }}"), result("{{ input.code }}")]
    ended = programs.run(flow(nodes, ["start > call", "call.error > end"]))

    assert ended.result == "BrokenFlow"


def test_what_stands_beside_flows_is_not_a_flow(programs: Programs) -> None:
    (programs.project.root / "other.json").write_text("{")
    (programs.project.flows / "notes.txt").write_text("{")
    programs.write(ONE, "only")

    assert [c.flow_id for c in compile_project(programs.project, catalogue())] == ["only"]
    assert [job.name for job in build_definitions(programs.project).jobs or ()] == ["only"]
