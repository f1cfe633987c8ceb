"""The flow format, "The flow": each field of a flow, on running flows."""

from __future__ import annotations

import json
import os
import re
import threading
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cloudflow_dagster.compiler.pipeline import compile_file, compile_project
from cloudflow_dagster.engine.definitions import build_definitions
from cloudflow_dagster.engine.run_flow import CannotStart
from cloudflow_dagster.providers import catalogue
from tests.fixtures.programs import (
    MANUAL,
    Ended,
    Programs,
    breaks,
    call,
    chain,
    cron,
    flow,
    get,
    params,
    result,
    value,
    wait,
)
from tests.fixtures.web import Answer, Asked, serving

pytestmark = pytest.mark.integration

ONE = chain(MANUAL, result(1))
DOCS = Path(__file__).parents[2] / "docs" / "flow-format.md"


def example() -> dict[str, Any]:
    found = re.search(r"## An example\s+```json\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def codes(programs: Programs, made: dict[str, Any], id: str | None = None) -> list[str]:
    return [d.code for d in programs.check(made, id).diagnostics]


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
    assert codes(programs, ONE) == []
    assert codes(programs, {**ONE, "version": 2}) == ["CF1010"]
    assert codes(programs, {k: v for k, v in ONE.items() if k != "version"}) == ["CF1003"]


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
    assert ("CF1006" in codes(programs, {**ONE, "id": id})) is not fine
    nodes = [MANUAL, value(id, 1)]
    assert ("CF1006" in codes(programs, flow(nodes))) is not fine


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
    assert codes(programs, {**ONE, "colour": "red"}) == ["CF1002"]
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
    assert codes(programs, {**ONE, "mode": "workflow"}) == []
    (found,) = programs.check({**ONE, "mode": "architecture"}).diagnostics
    assert (found.code, found.severity) == ("CF9006", "error")
    assert "not supported yet" in found.message


def test_on_failure_compensate_is_not_supported_yet(programs: Programs) -> None:
    (found,) = programs.check({**ONE, "on_failure_compensate": True}).diagnostics
    assert (found.code, found.severity) == ("CF9005", "error")
    assert "not supported yet" in found.message


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
    if wrong == {"keep": 0}:  # Dagster's own types know no minimum: the run says it
        assert programs.run(path, wrong, way="dagster").status == "failure"
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
    assert codes(programs, {**ONE, "params": {"type": "array"}}) == ["CF1008"]
    assert codes(programs, {**ONE, "params": {"type": "object", "properties": []}}) == ["CF1008"]


# Concurrency


class Gate:
    """A site that tells when it is asked, and answers when the gate is opened."""

    def __init__(self) -> None:
        self.came = threading.Semaphore(0)
        self.opened = threading.Event()
        self.asked: list[str] = []
        self.now = self.most = 0
        self._lock = threading.Lock()

    def __call__(self, asked: Asked) -> Answer:
        with self._lock:
            self.asked.append(asked.path)
            self.now += 1
            self.most = max(self.most, self.now)
        self.came.release()
        self.opened.wait(60)
        with self._lock:
            self.now -= 1
        return Answer()


class Background:
    """Runs that go on at the same time as the test."""

    def __init__(self, programs: Programs) -> None:
        self._programs = programs
        self._threads: list[threading.Thread] = []
        self.ended: dict[str, Ended] = {}

    def start(self, name: str, path: Path, given: dict[str, Any] | None = None) -> None:
        def run() -> None:
            self.ended[name] = self._programs.run(path, given)

        thread = threading.Thread(target=run)
        thread.start()
        self._threads.append(thread)

    def join(self) -> None:
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()


def limited(url: str, **concurrency: Any) -> dict[str, Any]:
    return chain(
        MANUAL,
        get("ask", url + "{{ params.name }}"),
        concurrency=concurrency,
        params=params(
            name={"type": "string", "default": "x"}, env={"type": "string", "default": "dev"}
        ),
    )


def waits_for_a_place(programs: Programs, path: Path) -> bool:
    """Return whether one of the flow's runs says that it waits."""
    runs = programs.runs_of(path.stem)
    return any(
        "Waiting for a place" in entry.user_message or "Waiting for a place" in str(entry)
        for run in runs
        for entry in programs.instance.all_logs(run.run_id)
    )


def until(condition: Any) -> None:
    """Wait until a condition holds; fail after a minute."""
    pause = threading.Event()
    for _ in range(600):
        if condition():
            return
        pause.wait(0.1)
    raise AssertionError("It never came to that.")


def test_queue_lets_one_run_too_many_wait(programs: Programs) -> None:
    gate = Gate()
    with serving(gate) as web:
        path = programs.write(limited(web.url("/"), limit=1, when_full="queue"))
        runs = Background(programs)
        runs.start("a", path, {"name": "a"})
        gate.came.acquire(timeout=60)
        runs.start("b", path, {"name": "b"})
        until(lambda: waits_for_a_place(programs, path))
        assert gate.asked == ["/a"]
        gate.opened.set()
        runs.join()

    assert gate.asked == ["/a", "/b"]
    assert {name: ended.status for name, ended in runs.ended.items()} == {
        "a": "success",
        "b": "success",
    }


def test_queue_is_what_happens_without_when_full_and_limit_may_be_more_than_one(
    programs: Programs,
) -> None:
    gate = Gate()
    with serving(gate) as web:
        path = programs.write(limited(web.url("/"), limit=2))
        runs = Background(programs)
        for name in "abc":
            runs.start(name, path, {"name": name})
        gate.came.acquire(timeout=60)
        gate.came.acquire(timeout=60)
        until(lambda: waits_for_a_place(programs, path))
        gate.opened.set()
        runs.join()

    assert gate.most == 2
    assert [ended.status for ended in runs.ended.values()] == ["success"] * 3


def test_runs_are_counted_by_the_key(programs: Programs) -> None:
    gate = Gate()
    with serving(gate) as web:
        made = limited(web.url("/"), limit=1, key="{{ params.env }}", when_full="skip")
        path = programs.write(made)
        runs = Background(programs)
        runs.start("dev", path, {"env": "dev"})
        runs.start("prod", path, {"env": "prod"})
        gate.came.acquire(timeout=60)
        gate.came.acquire(timeout=60)
        third = programs.run(path, {"env": "prod"})
        gate.opened.set()
        runs.join()

    assert [ended.status for ended in runs.ended.values()] == ["success"] * 2
    assert third.status == "canceled"


def test_skip_does_not_start_one_run_too_many(programs: Programs) -> None:
    gate = Gate()
    with serving(gate) as web:
        path = programs.write(limited(web.url("/"), limit=1, when_full="skip"))
        runs = Background(programs)
        runs.start("first", path)
        gate.came.acquire(timeout=60)
        second = programs.run(path)
        assert second.status == "canceled"
        assert set(second.statuses.values()) == {"not_run"}
        assert "Skipped" in second.history
        gate.opened.set()
        runs.join()

    assert runs.ended["first"].status == "success"
    assert len(gate.asked) == 1
    assert programs.run(path).status == "success"


def test_cancel_oldest_cancels_the_run_that_goes_on(programs: Programs) -> None:
    gate = Gate()
    with serving(gate) as web:
        path = programs.write(limited(web.url("/"), limit=1, when_full="cancel_oldest"))
        runs = Background(programs)
        runs.start("old", path, {"name": "old"})
        gate.came.acquire(timeout=60)
        runs.start("new", path, {"name": "new"})
        gate.came.acquire(timeout=60)
        until(lambda: "old" in runs.ended)
        gate.opened.set()
        runs.join()

    assert runs.ended["old"].status == "canceled"
    assert runs.ended["old"].statuses["ask"] == "canceled"
    assert runs.ended["new"].status == "success"
    assert gate.asked == ["/old", "/new"]


# Timeout


def test_a_run_that_takes_longer_than_its_timeout_fails(programs: Programs) -> None:
    gate = Gate()
    with serving(gate) as web:
        ended = programs.run(chain(MANUAL, get("ask", web.url()), value("after"), timeout=0.5))
        gate.opened.set()

    assert ended.status == "failure"
    assert ended.statuses["after"] == "not_run"
    assert "timeout of 0.5 s" in ended.history


@pytest.mark.parametrize("body", [False, True])
def test_waiting_is_not_counted_in_a_runs_timeout(programs: Programs, body: bool) -> None:
    """In a loop's body neither."""
    pause = wait("pause", seconds=1.5)
    if body:
        nodes = [MANUAL, {"id": "each", "type": "logic.loop", "config": {"items": [1, 2]}}, pause]
        made = flow(nodes, ["start > each", "each.item > pause"], timeout=1)
    else:
        made = chain(MANUAL, pause, timeout=1)

    assert programs.run(made).status == "success"


def test_waiting_for_a_place_is_not_counted_in_a_runs_timeout(programs: Programs) -> None:
    gate = Gate()
    with serving(gate) as web:
        path = programs.write(limited(web.url("/"), limit=1) | {"timeout": 1})
        long = programs.write({**limited(web.url("/"), limit=1), "id": path.stem}, "the_same")
        runs = Background(programs)
        runs.start("first", long, {"name": "a"})
        gate.came.acquire(timeout=60)
        runs.start("second", path, {"name": "b"})
        until(lambda: waits_for_a_place(programs, path))
        threading.Event().wait(1.5)
        gate.opened.set()
        runs.join()

    assert runs.ended["second"].status == "success"


# on_failure


FAILED = params(
    flow={"type": "string"}, run_id={"type": "string"}, node={}, error={"type": "object"}
)


def test_on_failure_starts_a_flow_with_flow_run_id_node_and_error(programs: Programs) -> None:
    programs.write(chain(MANUAL, result("{{ params }}"), params=FAILED), "alarm")
    ended = programs.run(chain(MANUAL, breaks("bad"), on_failure="alarm"))
    (alarm,) = programs.runs_of("alarm")

    assert alarm.status is dg.DagsterRunStatus.SUCCESS
    assert alarm.run_config["params"] == {
        "flow": ended.run.job_name,
        "run_id": ended.id,
        "node": "bad",
        "error": ended.error("bad"),
    }
    assert alarm.run_config["event"]["payload"] == alarm.run_config["params"]


def test_on_failure_is_not_started_by_a_success_nor_by_a_failure_that_is_caught(
    programs: Programs,
) -> None:
    programs.write(chain(MANUAL), "quiet_alarm")
    programs.run(chain(MANUAL, value("fine"), on_failure="quiet_alarm"))
    nodes = [MANUAL, breaks("bad"), value("caught")]
    edges = ["start > bad", "bad.error > caught"]
    programs.run(flow(nodes, edges, on_failure="quiet_alarm"))
    programs.run(chain(MANUAL, breaks("bad", on_error="continue"), on_failure="quiet_alarm"))

    assert programs.runs_of("quiet_alarm") == []


def test_on_failure_has_to_be_a_flow_of_the_project(programs: Programs) -> None:
    programs.write(ONE, "alarm")
    (found,) = programs.check({**ONE, "on_failure": "alrm"}).diagnostics

    assert found.code == "CF5008"
    assert "alarm" in (found.suggestion or "")


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
