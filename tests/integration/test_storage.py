"""A disk, or a file on it, that fails gets one sentence that names it and a way out."""

from __future__ import annotations

import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from cloudflow_dagster.engine import storage
from cloudflow_dagster.engine.instance import open_instance
from cloudflow_dagster.engine.storage import StorageError, storage_explained, try_out
from cloudflow_dagster.project import Project, find_project
from tests.fixtures.beside_sqlite import copy_folder
from tests.fixtures.programs import MANUAL, CommandLine, Programs, chain, result

pytestmark = pytest.mark.integration


@pytest.fixture
def project(programs: Programs, tmp_path: Path) -> Project:
    """A project with an instance that has been used: a copy, because it will be damaged."""
    programs.write(chain(MANUAL, result("done")), "mine")
    copy_folder(programs.project.root, tmp_path / "copy")
    return find_project(tmp_path / "copy")


def why(project: Project) -> str:
    """Return what is said of a project whose state cannot be used."""
    with pytest.raises(StorageError) as raised:
        try_out(project)
    return str(raised.value)


def test_a_state_that_can_be_used_passes(project: Project) -> None:
    before = sorted(project.state.rglob("*"))
    try_out(project)
    assert [p for p in sorted(project.state.rglob("*")) if p not in before] in (
        [],
        [project.state / "logs"],
    )


def _file_for_a_folder(project: Project) -> None:
    shutil.rmtree(project.state)
    project.state.write_text("mine")


def _damaged_history(project: Project) -> None:
    for path in (project.state / "dagster" / "history").glob("runs.db-*"):
        path.unlink()
    (project.state / "dagster" / "history" / "runs.db").write_bytes(b"no database" * 1000)


def _damaged_records(project: Project) -> None:
    for path in project.state.glob("records.sqlite*"):
        path.unlink()
    (project.state / "records.sqlite").write_bytes(b"no database" * 1000)


def _no_yaml(project: Project) -> None:
    (project.state / "dagster" / "dagster.yaml").write_text("a: [")


def _odd_settings(project: Project) -> None:
    (project.state / "dagster" / "dagster.yaml").write_text("run_coordinator: {modul: x}\n")


DAMAGE: list[tuple[Callable[[Project], None], str, str]] = [
    (_file_for_a_folder, ".cloudflow", "Move it away"),
    (_damaged_history, ".cloudflow/dagster/history/runs.db", "Move the folder"),
    (_damaged_records, ".cloudflow/records.sqlite", "Move the file away"),
    (_no_yaml, "dagster.yaml", "Correct it"),
    (_odd_settings, "dagster.yaml", "Correct the file"),
]


@pytest.mark.parametrize(("damage", "place", "way_out"), DAMAGE)
def test_run_ends_with_2_and_names_what_is_damaged(
    project: Project, damage: Callable[[Project], None], place: str, way_out: str
) -> None:
    damage(project)
    said = CommandLine(project.root)("run", "mine", "--format", "json")

    assert (said.status, said.out) == (2, "")
    assert place in said.err
    assert way_out in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(("damage", "place", "way_out"), DAMAGE)
def test_dev_ends_with_2_and_names_what_is_damaged(
    project: Project, damage: Callable[[Project], None], place: str, way_out: str
) -> None:
    damage(project)
    said = CommandLine(project.root)("dev", "--port", "0")

    assert said.status == 2
    assert place in said.err
    assert way_out in said.err
    assert "Traceback" not in said.err


def test_a_lock_that_somebody_holds_is_named(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "_PATIENCE", 0.1)
    history = project.state / "dagster" / "history" / "runs.db"
    with closing(sqlite3.connect(history, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert "holds a lock" in why(project)


def test_a_disk_without_space_is_named(project: Project) -> None:
    with (
        pytest.raises(StorageError, match="is full"),
        storage_explained(project),
        Path("/dev/full").open("wb", buffering=0) as full,
    ):
        full.write(b"x")


def test_files_that_may_not_get_larger_break_a_run_off_with_a_reason(project: Project) -> None:
    """The history of runs is larger than the limit already, so the first event fails."""

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    ended = subprocess.run(
        [Path(sys.executable).with_name("cloudflow"), "run", "mine", "--format", "json"],
        cwd=project.root,
        preexec_fn=limited,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert ended.returncode in {1, 2}
    assert ended.stdout == ""
    assert "ulimit -f" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_other_errors_stay_what_they_are(project: Project) -> None:
    with pytest.raises(KeyError), storage_explained(project):
        raise KeyError("mine")
    with pytest.raises(FileNotFoundError), storage_explained(project):
        Path("/nowhere/else").read_text()


def test_the_instance_opens_again_after_its_settings_are_corrected(project: Project) -> None:
    file = project.state / "dagster" / "dagster.yaml"
    good = file.read_text()
    _odd_settings(project)
    with pytest.raises(StorageError):
        open_instance(project)
    file.write_text(good)
    with open_instance(project) as instance:
        assert instance.get_runs() is not None
