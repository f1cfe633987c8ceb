"""Runs that are not kept any longer are deleted whole, and no others."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cloudflow_dagster.engine import tags
from cloudflow_dagster.engine.disk_space import databases_of, give_back_space
from cloudflow_dagster.engine.origins import job_origin
from cloudflow_dagster.engine.retention import prune
from cloudflow_dagster.engine.retention_sensor import EVERY, retention_sensor
from cloudflow_dagster.engine.run_removal import RunRemoval
from cloudflow_dagster.project import Project, find_project
from cloudflow_dagster.runtime.remembered import Remembered
from tests.fixtures.beside_sqlite import contents
from tests.unit.engine.conftest import Flows, breaks, value

MANUAL = {"id": "start", "type": "trigger.manual"}
NOW = datetime(2026, 6, 1, tzinfo=UTC)
Status = dg.DagsterRunStatus


def keeping(project: Project, **retention: Any) -> Project:
    """Return the project with another retention."""
    (project.root / "cloudflow.yaml").write_text(
        json.dumps(
            {
                "credentials": {"sim": {"provider": "aws", "simulated": True}},
                "settings": {"retention": retention},
            }
        )
    )
    return find_project(project.root)


class Past:
    """Puts runs into the history as if they had ended some days ago."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self._file = Path(instance.root_directory) / "history/runs.db"

    def run(
        self,
        run_id: str,
        days: float,
        flow: str = "f",
        status: Status = Status.SUCCESS,
        parent: str | None = None,
        **more: str,
    ) -> None:
        self.instance.add_run(
            dg.DagsterRun(
                job_name=flow,
                run_id=run_id,
                status=status,
                tags={tags.FLOW: flow, **{f"cloudflow/{tag}": id for tag, id in more.items()}},
                parent_run_id=parent,
                root_run_id=parent,
                remote_job_origin=job_origin(flow),
            )
        )
        self.ended(run_id, days)

    def ended(self, run_id: str, days: float) -> None:
        """Let a run that is there have ended so many days ago."""
        at = NOW - timedelta(days=days)
        text = at.strftime("%Y-%m-%d %H:%M:%S.%f")
        with closing(sqlite3.connect(self._file)) as db:
            db.execute(
                "UPDATE runs SET create_timestamp=?, update_timestamp=?, start_time=?, end_time=? "
                "WHERE run_id=?",
                (text, text, at.timestamp(), at.timestamp(), run_id),
            )
            db.commit()

    def left(self) -> set[str]:
        return set(self.instance.get_run_ids())


@pytest.fixture
def past(instance: dg.DagsterInstance) -> Past:
    return Past(instance)


def test_runs_go_by_age(past: Past, project: Project) -> None:
    past.run("old", 31)
    past.run("border", 30.01)
    past.run("young", 29.99)
    done = prune(keeping(project, keep_days=30), past.instance, now=NOW)

    assert past.left() == {"young"}
    assert {run.run_id: run.why for run in done.runs} == {"old": "age", "border": "age"}
    assert done.complete


def test_of_a_flow_the_newest_are_kept_by_number(past: Past, project: Project) -> None:
    for number in range(5):
        past.run(f"f{number}", 5 - number)
        past.run(f"g{number}", 5 - number, flow="g")
    kept = keeping(project, keep_runs=3, flows={"g": {"keep_runs": 1}})
    done = prune(kept, past.instance, now=NOW)

    assert past.left() == {"f2", "f3", "f4", "g4"}
    assert {run.why for run in done.runs} == {"number"}


def test_what_is_different_for_a_flow_counts_for_it_alone(past: Past, project: Project) -> None:
    past.run("f", 100)
    past.run("g", 100, flow="g")
    past.run("h", 100, flow="h")
    rules = {"g": {"keep_days": None}, "h": {"keep_runs": 7}}
    prune(keeping(project, keep_days=30, flows=rules), past.instance, now=NOW)
    assert past.left() == {"g"}


def test_without_settings_90_days_and_1000_runs_are_kept(past: Past, project: Project) -> None:
    past.run("old", 90.5)
    past.run("young", 89.5)
    prune(project, past.instance, now=NOW)
    assert past.left() == {"young"}
    assert project.settings.retention.of("f").runs == 1_000


def test_null_keeps_everything(past: Past, project: Project) -> None:
    past.run("old", 10_000)
    prune(keeping(project, keep_days=None, keep_runs=None), past.instance, now=NOW)
    assert past.left() == {"old"}


@pytest.mark.parametrize(
    "status",
    [
        Status.QUEUED,
        Status.NOT_STARTED,
        Status.STARTING,
        Status.STARTED,
        Status.SUSPENDED,
        Status.CANCELING,
    ],
)
def test_a_run_that_has_not_ended_is_never_deleted(
    past: Past, project: Project, status: Status
) -> None:
    past.run("living", 1_000, status=status)
    past.run("ended", 1_000)
    prune(keeping(project, keep_days=1, keep_runs=1), past.instance, now=NOW)
    assert past.left() == {"living"}


def test_a_run_that_has_just_ended_is_left_to_those_who_watch_for_it(
    past: Past, project: Project
) -> None:
    past.run("first", 20 / 86_400)
    past.run("second", 10 / 86_400)
    prune(keeping(project, keep_runs=1), past.instance, now=NOW)
    assert past.left() == {"first", "second"}


@pytest.mark.parametrize("status", [Status.SUCCESS, Status.STARTED, Status.SUSPENDED])
def test_what_a_re_execution_goes_on_from_is_kept_with_it(
    past: Past, project: Project, status: Status
) -> None:
    past.run("other", 101)
    past.run("first", 100, status=Status.FAILURE)
    past.run("second", 99, status=Status.FAILURE, parent="first")
    past.run("third", 1, status=status, parent="second")
    prune(keeping(project, keep_days=30), past.instance, now=NOW)
    assert past.left() == {"first", "second", "third"}

    past.ended("third", 31)
    if status is Status.SUCCESS:
        prune(keeping(project, keep_days=30), past.instance, now=NOW)
        assert past.left() == set()


def test_a_run_whose_outputs_another_took_is_kept_with_it(past: Past, project: Project) -> None:
    past.run("gives", 100)
    past.run("takes", 1, from_run="gives")
    prune(keeping(project, keep_days=30), past.instance, now=NOW)
    assert past.left() == {"gives", "takes"}


def test_what_a_living_run_is_linked_to_is_kept(past: Past, project: Project) -> None:
    past.run("caller", 100, status=Status.STARTED)
    past.run("called", 50, flow="child", parent_run="caller")
    past.run("failed", 50, flow="bad", status=Status.FAILURE)
    past.run("handler", 50, flow="handles", status=Status.QUEUED, failure_of="failed")
    past.run("of_no_one", 50, flow="child", parent_run="gone")
    prune(keeping(project, keep_days=30), past.instance, now=NOW)
    assert past.left() == {"caller", "called", "failed", "handler"}


def test_runs_of_jobs_that_are_no_flows_are_none_of_ours(past: Past, project: Project) -> None:
    past.instance.add_run(dg.DagsterRun(job_name="mine", run_id="mine", status=Status.SUCCESS))
    past.ended("mine", 1_000)
    prune(keeping(project, keep_days=1), past.instance, now=NOW)
    assert past.left() == {"mine"}


def test_a_dry_run_deletes_nothing(past: Past, project: Project) -> None:
    past.run("old", 100)
    done = prune(project, past.instance, now=NOW, dry_run=True)
    assert [run.run_id for run in done.runs] == ["old"]
    assert past.left() == {"old"}


def test_more_than_are_looked_at_at_a_time(
    past: Past, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloudflow_dagster.engine.retention._PAGE", 3)
    monkeypatch.setattr("cloudflow_dagster.engine.retention._AT_A_TIME", 2)
    for number in range(10):
        past.run(f"r{number}", 100 - number, parent="r0" if number == 9 else None)
    prune(keeping(project, keep_runs=2), past.instance, now=NOW - timedelta(days=50))
    assert past.left() == {"r0", "r8", "r9"}


def in_all_files(folder: Path, text: str) -> list[str]:
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and (text.encode() in contents(path) or text in path.name)
    ]


def finished(flows: Flows, project: Project) -> str:
    """Run a flow with a loop, a failure and a file, and return the run's id."""
    loop = {"id": "each", "type": "logic.loop", "config": {"items": "{{ [1,2] }}"}}
    flows.write(
        "f",
        [MANUAL, loop, value("in", "{{ item }}"), breaks("bad")],
        ["start > each", "each.item > in", "each.done > bad"],
    )
    run_id: str = flows.run("f")["run_id"]
    files = project.state / "files" / run_id
    files.mkdir(parents=True)
    (files / "report.csv").write_text("a,b")
    return run_id


def close_databases(project: Project) -> None:
    """Have what is in write-ahead logs in the files themselves, and deleted pages given back."""
    give_back_space(databases_of(project.state))


def test_nothing_of_a_run_is_left(
    flows: Flows, project: Project, instance: dg.DagsterInstance
) -> None:
    run_id = finished(flows, project)
    assert len(in_all_files(project.state, run_id)) >= 3
    now = datetime.now(UTC) + timedelta(days=91)
    assert [run.run_id for run in prune(project, instance, now=now).runs] == [run_id]
    close_databases(project)

    assert in_all_files(project.state, run_id) == []
    with closing(sqlite3.connect(project.state / "records.sqlite")) as db:
        tables = [
            name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        ]
        counts = {
            t: db.execute(f"SELECT COUNT(*) FROM {t}").fetchone()[0]
            for t in tables
            if not t.startswith("sqlite_")
        }
    assert set(counts.values()) == {0}, counts


@pytest.mark.parametrize("part", ["_remove_run", "_remove_events", "_remove_files", "forget"])
def test_what_a_kill_left_half_deleted_the_next_one_finishes(
    flows: Flows,
    project: Project,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    part: str,
) -> None:
    run_id = finished(flows, project)
    now = datetime.now(UTC) + timedelta(days=91)
    owner = Remembered if part == "forget" else RunRemoval

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(owner, part, killed)
        with pytest.raises(KeyboardInterrupt):
            prune(project, instance, now=now)
    assert in_all_files(project.state, run_id) != []
    # Now it is not old any more, but it was begun with.
    prune(project, instance)
    close_databases(project)
    assert in_all_files(project.state, run_id) == []


def test_what_is_stored_of_runs_that_dagster_deleted_goes_by_age(
    flows: Flows, project: Project, instance: dg.DagsterInstance
) -> None:
    run_id = finished(flows, project)
    instance.delete_run(run_id)
    prune(project, instance)
    assert Remembered(project.state / "records.sqlite").knows(run_id)
    done = prune(project, instance, now=datetime.now(UTC) + timedelta(days=91))
    assert [(run.run_id, run.flow, run.why) for run in done.runs] == [(run_id, "f", "remains")]
    assert not Remembered(project.state / "records.sqlite").knows(run_id)
    assert not (project.state / "files" / run_id).exists()


def test_the_disk_gets_its_space_back(
    flows: Flows, project: Project, instance: dg.DagsterInstance
) -> None:
    flows.write("large", [MANUAL, value("a", "x" * 3_000_000)], ["start > a"])
    flows.run("large")
    close_databases(project)
    records = project.state / "records.sqlite"
    assert records.stat().st_size > 3_000_000
    prune(project, instance, now=datetime.now(UTC) + timedelta(days=91))
    assert records.stat().st_size < 200_000


@pytest.mark.parametrize("megabytes", [1, 12])
def test_a_file_that_gives_nothing_back_is_written_anew_once(
    tmp_path: Path, megabytes: int
) -> None:
    file = tmp_path / "some.db"
    with closing(sqlite3.connect(file)) as db:
        db.execute("CREATE TABLE t (x)")
        db.executemany("INSERT INTO t VALUES (?)", [("x" * 1_000_000,)] * megabytes)
        db.commit()
        db.execute("DELETE FROM t")
        db.commit()
    large = file.stat().st_size
    give_back_space([file, tmp_path / "not_there.db"])
    assert file.stat().st_size < large / 10
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("PRAGMA auto_vacuum").fetchone()[0] == 2


def test_a_file_that_somebody_writes_into_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloudflow_dagster.engine.disk_space._PATIENCE", 0.1)
    file = tmp_path / "some.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as db:
        db.execute("CREATE TABLE t (x)")
        db.execute("BEGIN IMMEDIATE")
        give_back_space([file])
        db.execute("INSERT INTO t VALUES (1)")
        db.execute("COMMIT")


def test_one_process_at_a_time_deletes(past: Past, project: Project) -> None:
    import fcntl

    past.run("old", 100)
    with (project.state / "prune.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert prune(project, past.instance, now=NOW).busy
    assert past.left() == {"old"}
    assert not prune(project, past.instance, now=NOW).busy


def test_a_run_id_that_is_a_path_deletes_no_folder(past: Past, project: Project) -> None:
    victim = project.state / "files" / "victim"
    victim.mkdir(parents=True)
    past.run("../files/victim", 100)
    past.run("..", 100)
    prune(project, past.instance, now=NOW)
    assert past.left() == set()
    assert victim.is_dir()
    assert (project.state / "dagster").is_dir()


def test_the_sensor_deletes_once_an_hour(past: Past, project: Project) -> None:
    sensor = retention_sensor(project)

    def look(cursor: str | None) -> tuple[str, str | None]:
        context = dg.build_sensor_context(past.instance, cursor=cursor)
        told = sensor.evaluate_tick(context)
        return str(told.skip_message), told.cursor

    past.run("old", 100)
    said, cursor = look(None)
    assert "Deleted 1 run" in said
    assert past.left() == set()
    past.run("next", 100)
    said, same = look(cursor)
    assert "looks again" in said
    assert past.left() == {"next"}
    hour_ago = str(float(same or 0) - EVERY - 1)
    assert "Deleted 1 run" in look(hour_ago)[0]
    assert "Deleted 0 runs" in look("rubbish")[0]


def test_what_takes_too_long_is_gone_on_with(past: Past, project: Project) -> None:
    past.run("old", 100)
    done = prune(project, past.instance, now=NOW, seconds=0)
    assert not done.complete
    assert past.left() == {"old"}
    assert prune(project, past.instance, now=NOW, seconds=60).complete
