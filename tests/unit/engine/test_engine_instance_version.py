"""Instances that an older or a newer version made."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest
from alembic.script import ScriptDirectory
from click.testing import CliRunner
from dagster._core.storage.sql import get_alembic_config

from cloudflow_dagster.cli import main
from cloudflow_dagster.engine.instance import dagster_home, open_instance
from cloudflow_dagster.engine.instance_version import _FILES, _SEEN
from cloudflow_dagster.engine.storage import StorageError
from cloudflow_dagster.project import Project
from tests.unit.engine.conftest import Flows

MANUAL = {"id": "start", "type": "trigger.manual"}


def files_of(project: Project) -> list[Path]:
    home = project.state / "dagster"
    return [home / name for name in _FILES if (home / name).exists()]


def revision_of(file: Path) -> str:
    with closing(sqlite3.connect(file)) as db:
        return db.execute("SELECT version_num FROM alembic_version").fetchone()[0]


def set_revision(project: Project, file: Path, revision: str) -> None:
    """Let a file be of another version, and nobody have seen it yet."""
    with closing(sqlite3.connect(file)) as db:
        db.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        db.commit()
    (project.state / "dagster" / _SEEN).unlink(missing_ok=True)


def revisions() -> tuple[str, str]:
    """Return the newest revision and one before it."""
    from dagster._core.storage.runs import sqlite

    script = ScriptDirectory.from_config(get_alembic_config(str(sqlite.__file__)))
    head = script.get_revision("head")
    return head.revision, str(head.down_revision)


def backups(project: Project) -> list[Path]:
    return sorted((project.state / "dagster").glob("before-*/**/*.db"))


def test_a_fresh_instance_has_the_newest_revision_and_is_looked_at_once(project: Project) -> None:
    home = dagster_home(project)
    assert (home / _SEEN).read_text() == dg.__version__
    assert len(files_of(project)) >= 3
    assert {revision_of(file) for file in files_of(project)} == {revisions()[0]}
    assert backups(project) == []


def test_an_older_one_is_migrated_and_copied_before_and_keeps_its_runs(
    flows: Flows, project: Project
) -> None:
    flows.write("f", [MANUAL], [])
    run_id = flows.run("f")["run_id"]
    head, before = revisions()
    for file in files_of(project):
        set_revision(project, file, before)

    with open_instance(project) as instance:
        assert instance.get_run_by_id(run_id) is not None
        assert instance.all_logs(run_id)
    assert {revision_of(file) for file in files_of(project)} == {head}
    copied = backups(project)
    assert {revision_of(copy) for copy in copied if copy.name == "runs.db"} == {before}
    assert {copy.name for copy in copied} >= {file.name for file in files_of(project)}
    # Only once.
    dagster_home(project)
    assert backups(project) == copied


def test_a_newer_one_is_refused_in_one_sentence(project: Project) -> None:
    dagster_home(project)
    for file in files_of(project):
        known = revision_of(file)
        set_revision(project, file, "ffffffffffff")
        with pytest.raises(StorageError, match=f"made by a newer version .*{file.name} has the"):
            open_instance(project)
        set_revision(project, file, known)
    with open_instance(project):
        pass
    assert backups(project) == []


def test_every_command_says_so(project: Project, flows: Flows) -> None:
    flows.write("f", [MANUAL], [])
    dagster_home(project)
    set_revision(project, files_of(project)[0], "ffffffffffff")
    for args in (["run", "f"], ["runs", "list"], ["runs", "prune"], ["dev", "--port", "0"]):
        said = CliRunner().invoke(main, args, catch_exceptions=False)
        assert said.exit_code == 2, args
        assert "made by a newer version of CloudFlow" in said.stderr, args


def test_records_of_a_newer_version_are_refused_too(project: Project, flows: Flows) -> None:
    flows.write("f", [MANUAL], [])
    with closing(sqlite3.connect(project.state / "records.sqlite")) as db:
        db.execute("PRAGMA user_version = 1000")
    said = CliRunner().invoke(main, ["run", "f"], catch_exceptions=False)
    assert said.exit_code != 0
    assert "written by a newer version of CloudFlow" in said.stderr
