"""The history in one file, written in batches: for threads, forks, other processes and bad days."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.event_log.base import EventLogCursor
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage
from sqlalchemy.exc import OperationalError

from cloudflow_dagster.compiler.pipeline import compile_flow
from cloudflow_dagster.engine import connections, event_batches
from cloudflow_dagster.engine.event_log import BatchedEventLog
from cloudflow_dagster.engine.history import SqliteHistory
from cloudflow_dagster.engine.instance import dagster_home, open_instance
from cloudflow_dagster.engine.run_flow import run_flow
from cloudflow_dagster.engine.storage import explain
from cloudflow_dagster.project import Project, find_project
from tests.unit.engine import jobs_by_hand

RUN = "3d7f1f5c-0000-4000-8000-000000000001"
LONG = 400.0
"""Seconds after which a test gives up waiting."""


def line(message: str, run_id: str = RUN) -> dg.EventLogEntry:
    """Return an event as `context.log.info` makes it."""
    return dg.EventLogEntry(
        error_info=None,
        level=20,
        user_message=message,
        run_id=run_id,
        timestamp=time.time(),
        step_key="step",
        job_name="job",
    )


def lines(log: BatchedEventLog, run_id: str = RUN) -> list[str]:
    """Return what was logged, in the order of the log."""
    return [r.event_log_entry.user_message for r in log.get_records_for_run(run_id).records]


def on_disk(folder: Path) -> int:
    """Return how many events another process would see now."""
    with closing(sqlite3.connect(folder / "event_log.db")) as other:
        return other.execute("SELECT count(*) FROM event_logs").fetchone()[0]


def wait_until(holds: Callable[[], bool]) -> None:
    give_up = time.monotonic() + LONG
    while not holds():
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(0.02)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def log(folder: Path) -> Iterator[BatchedEventLog]:
    made = BatchedEventLog(str(folder))
    yield made
    made.dispose()


def program(folder: Path, text: str) -> subprocess.Popen[str]:
    """Start a process that has a `log` of its own on the folder."""
    head = f"""
import os, signal, sys, time
from cloudflow_dagster.engine.event_log import BatchedEventLog
from cloudflow_dagster.engine.history import SqliteHistory
from tests.unit.engine.test_engine_history import line, lines
log = BatchedEventLog({str(folder)!r})
"""
    return subprocess.Popen(
        [sys.executable, "-c", head + textwrap.dedent(text)],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=LONG)
    assert process.returncode == 0, err
    return out


def test_whoever_reads_in_the_process_sees_all_that_was_logged(
    folder: Path, log: BatchedEventLog
) -> None:
    other = BatchedEventLog(str(folder))
    for n in range(3):
        log.store_event(line(str(n)))
        assert len(lines(other)) == n + 1


def test_events_are_written_together_and_soon(
    folder: Path, log: BatchedEventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_batches, "LONGEST_WAIT", 1.0)
    for n in range(20):
        log.store_event(line(str(n)))
    assert on_disk(folder) == 0
    wait_until(lambda: on_disk(folder) == 20)


def test_many_events_do_not_wait(
    folder: Path, log: BatchedEventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_batches, "LONGEST_WAIT", 600.0)
    for n in range(1100):
        log.store_event(line(str(n)))
    assert on_disk(folder) == 1000


def test_what_changes_the_status_of_a_run_is_written_at_once(
    project: Project, instance: dg.DagsterInstance
) -> None:
    run = instance.create_run_for_job(dg.GraphDefinition(name="nothing").to_job())
    instance.report_engine_event("before", run)
    instance.report_run_canceling(run)
    assert on_disk(project.state / "dagster" / "history") == 2


def test_whether_a_plan_is_stored_is_known_without_reading_it(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = instance.run_storage
    run = instance.create_run_for_job(dg.GraphDefinition(name="nothing").to_job())
    assert run.execution_plan_snapshot_id
    assert storage.get_execution_plan_snapshot(run.execution_plan_snapshot_id)

    monkeypatch.setattr(SqlRunStorage, "_get_snapshot", None)
    assert storage.has_execution_plan_snapshot(run.execution_plan_snapshot_id)
    assert not storage.has_execution_plan_snapshot("another")


def test_events_of_assets_are_written_at_once(
    project: Project, instance: dg.DagsterInstance
) -> None:
    key = dg.AssetKey("table")
    instance.report_runless_asset_event(dg.AssetMaterialization(key, tags={"of": "mine"}))

    assert on_disk(project.state / "dagster" / "history") == 1
    latest = instance.get_latest_materialization_event(key)
    assert latest is not None
    assert latest.asset_materialization is not None
    assert latest.asset_materialization.tags == {"of": "mine"}


def test_threads_log_side_by_side(log: BatchedEventLog) -> None:
    def work(thread: int) -> None:
        for n in range(100):
            log.store_event(line(f"{thread} {n}"))
            if n % 30 == 0:
                lines(log)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)

    found = lines(log)
    assert len(found) == 1200
    for thread in range(12):
        of_thread = [each for each in found if each.startswith(f"{thread} ")]
        assert of_thread == [f"{thread} {n}" for n in range(100)]


def test_a_forked_child_neither_repeats_nor_disturbs(log: BatchedEventLog) -> None:
    log.store_event(line("first"))
    lines(log)  # a connection is open now
    log.store_event(line("waits in the parent"))
    child = os.fork()
    if not child:
        try:
            log.store_event(line("of the child"))
            log.flush()
            seen = set(lines(log))
            os._exit(0 if {"first", "of the child"} <= seen else 3)
        except BaseException:
            os._exit(4)
    log.store_event(line("after the fork"))
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert sorted(lines(log)) == ["after the fork", "first", "of the child", "waits in the parent"]


def test_children_forked_while_threads_log(log: BatchedEventLog) -> None:
    """Whatever a thread of the parent holds at that moment, the child can go on."""
    stop = threading.Event()
    logged: list[str] = []

    def work() -> None:
        while not stop.is_set():
            log.store_event(line(f"parent {len(logged)}"))
            logged.append("")
            if len(logged) % 7 == 0:
                log.flush()

    thread = threading.Thread(target=work)
    thread.start()
    children: list[int] = []
    for n in range(20):
        child = os.fork()
        if not child:
            signal.alarm(int(LONG))
            try:
                log.store_event(line(f"child {n}"))
                log.flush()
                os._exit(0)
            except BaseException:
                os._exit(4)
        children.append(child)
        time.sleep(0.01)
    statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    stop.set()
    thread.join(LONG)

    assert statuses == [0] * 20
    found = lines(log)
    assert sorted(f for f in found if f.startswith("child")) == sorted(
        f"child {n}" for n in range(20)
    )
    assert [f for f in found if f.startswith("parent")] == [
        f"parent {n}" for n in range(len(logged))
    ]


def test_two_processes_write_at_once(folder: Path, log: BatchedEventLog) -> None:
    text = """
    for n in range(100):
        log.store_event(line(f"{os.getpid()} {n}"))
        if n % 3 == 0:
            log.flush()
    """
    both = [program(folder, text), program(folder, text)]
    for each in both:
        ended(each)

    found = lines(log)
    for each in both:
        mine = [f for f in found if f.startswith(f"{each.pid} ")]
        assert mine == [f"{each.pid} {n}" for n in range(100)]


def test_a_process_that_ends_has_written_everything(folder: Path, log: BatchedEventLog) -> None:
    ended(program(folder, "log.store_event(line('last words'))"))
    assert lines(log) == ["last words"]


def test_a_killed_process_loses_less_than_the_last_half_second(
    folder: Path, log: BatchedEventLog
) -> None:
    process = program(
        folder,
        """
        while True:
            log.store_event(line(str(time.time())))
            print(time.time(), flush=True)
            time.sleep(0.005)
        """,
    )
    assert process.stdout is not None
    times = [float(process.stdout.readline()) for _ in range(300)]
    process.kill()
    process.communicate()

    found = [float(each) for each in lines(log)]
    assert found
    # What a loaded machine holds back is not counted: the gap is in the process's own time.
    assert times[-1] - found[-1] < 0.5


def test_another_process_sees_a_running_step_soon(folder: Path, log: BatchedEventLog) -> None:
    process = program(
        folder,
        """
        print("ready", flush=True)
        while not lines(log):
            time.sleep(0.02)
        """,
    )
    assert process.stdout is not None
    process.stdout.readline()
    log.store_event(line("running"))
    ended(process)


def test_who_watches_is_told_in_order_whoever_writes(folder: Path, log: BatchedEventLog) -> None:
    log.store_event(line("before"))
    cursor = log.get_records_for_run(RUN).cursor
    told: list[tuple[str, str]] = []
    again: list[str] = []
    log.watch(RUN, cursor, lambda event, at: told.append((event.user_message, at)))
    other = BatchedEventLog(str(folder))
    other.watch(RUN, None, lambda event, _: again.append(event.user_message))
    log.store_event(line("of another run", "3d7f1f5c-0000-4000-8000-000000000002"))
    log.store_event(line("mine"))
    wait_until(lambda: len(told) == 1)
    ended(program(folder, "for n in range(3): log.store_event(line(str(n)))"))
    wait_until(lambda: len(told) == 4 and len(again) == 5)
    other.dispose()

    assert [message for message, _ in told] == ["mine", "0", "1", "2"]
    assert again == ["before", "mine", "0", "1", "2"]
    ids = [EventLogCursor.parse(at).storage_id() for _, at in told]
    assert ids == sorted(set(ids))


def test_who_ends_watching_or_saw_the_end_is_told_no_more(log: BatchedEventLog) -> None:
    first: list[str] = []
    second: list[str] = []

    def hear(event: dg.EventLogEntry, _: str) -> None:
        first.append(event.user_message)

    def hear_once(event: dg.EventLogEntry, _: str) -> dg.DagsterRunStatus:
        second.append(event.user_message)
        return dg.DagsterRunStatus.SUCCESS

    log.watch(RUN, None, hear)
    log.watch(RUN, None, hear_once)
    log.store_event(line("a"))
    wait_until(lambda: bool(first and second))
    log.store_event(line("b"))
    wait_until(lambda: len(first) == 2)
    log.end_watch(RUN, hear)
    third: list[str] = []
    log.watch(RUN, None, lambda event, _: third.append(event.user_message))
    log.store_event(line("c"))
    wait_until(lambda: len(third) == 3)

    assert (first, second) == (["a", "b"], ["a"])


def test_ids_are_never_given_twice(log: BatchedEventLog) -> None:
    log.store_event(line("a"))
    highest = log.get_maximum_record_id()
    log.delete_events(RUN)
    log.store_event(line("b"))

    assert highest is not None
    (record,) = log.get_records_for_run(RUN).records
    assert record.storage_id > highest


def test_what_cannot_be_written_now_is_written_later_and_said(
    folder: Path, log: BatchedEventLog, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(connections, "BUSY_SECONDS", 0.1)
    connections.connections_to(folder / "event_log.db").close()
    with closing(sqlite3.connect(folder / "event_log.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        log.store_event(line("a"))
        with pytest.raises(OperationalError) as raised:
            log.flush()
        with pytest.raises(OperationalError):
            log.store_event(line("b"))
        other.execute("ROLLBACK")
    why = explain(raised.value, tmp_path)

    assert why is not None
    assert "Another process holds a lock" in why
    wait_until(lambda: on_disk(folder) == 2)
    assert lines(log) == ["a", "b"]


def test_a_full_disk_is_named_and_the_last_words_are_counted(
    folder: Path, log: BatchedEventLog
) -> None:
    process = program(
        folder,
        """
        import resource
        from pathlib import Path
        from cloudflow_dagster.engine.storage import explain
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            log.store_event(line("x" * 20_000))
            log.flush()
        except Exception as error:
            print(explain(error, Path("/tmp")))
        """,
    )
    out, err = process.communicate(timeout=LONG)

    assert "disk" in out
    assert "The last 1 events could not be written to the history" in err
    assert "Traceback" not in err
    assert lines(log) == []


def test_a_folder_that_was_moved_away_is_noticed(folder: Path, log: BatchedEventLog) -> None:
    log.store_event(line("a"))
    log.flush()
    folder.rename(folder.with_name("away"))
    folder.mkdir()
    log.store_event(line("b"))
    with pytest.raises(OperationalError, match="no such table"):
        log.flush()
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    folder.with_name("away").rename(folder)

    assert lines(log) == ["a", "b"]


EARLIER = """\
# Written by CloudFlow when it made this Dagster instance, and yours from then on.
# https://docs.dagster.io/deployment/oss/dagster-yaml
telemetry:
  enabled: false
nux:
  enabled: false
run_coordinator:
  module: cloudflow_dagster.engine.coordinator
  class: FlowRunCoordinator
compute_logs:
  module: dagster._core.storage.noop_compute_log_manager
  class: NoOpComputeLogManager
schedules:
  use_threads: true
  num_workers: 4
sensors:
  use_threads: true
  num_workers: 4
"""


@pytest.fixture
def earlier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose instance the first version of CloudFlow made."""
    root = tmp_path / "project"
    home = root / ".cloudflow" / "dagster"
    home.mkdir(parents=True)
    (root / "flows").mkdir()
    (home / "dagster.yaml").write_text(EARLIER)
    (home / ".made_by_cloudflow").touch()
    monkeypatch.chdir(root)
    return find_project(root)


def _messages(instance: dg.DagsterInstance, run_id: str) -> list[tuple[object, str]]:
    return [
        (e.dagster_event_type if e.is_dagster_event else None, e.user_message)
        for e in instance.all_logs(run_id)
    ]


def test_the_history_of_an_earlier_version_goes_on(earlier: Project) -> None:
    home = earlier.state / "dagster"
    with dg.DagsterInstance.from_config(str(home)) as instance:
        runs = [
            jobs_by_hand.greeting.execute_in_process(instance=instance).run_id for _ in range(2)
        ]
        instance.event_log_storage.set_concurrency_slots("narrow", 3)
        before = {run: _messages(instance, run) for run in runs}

    with open_instance(earlier) as instance:
        assert isinstance(instance.event_log_storage, BatchedEventLog)
        assert {r.run_id for r in instance.get_runs()} == set(runs)
        assert {run: _messages(instance, run) for run in runs} == before
        assert instance.event_log_storage.get_concurrency_keys() == {"narrow"}
        new = jobs_by_hand.greeting.execute_in_process(instance=instance)
        assert new.success
        assert len(_messages(instance, new.run_id)) == len(before[runs[0]])


def test_settings_that_somebody_changed_stay(earlier: Project) -> None:
    file = earlier.state / "dagster" / "dagster.yaml"
    file.write_text(EARLIER + "# mine\n")
    with open_instance(earlier) as instance:
        assert not isinstance(instance.event_log_storage, BatchedEventLog)
    assert file.read_text().endswith("# mine\n")


def test_earlier_assets_are_refused_in_one_sentence(tmp_path: Path) -> None:
    with dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path))) as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization("table"))
    ours = {"module": "cloudflow_dagster.engine.history", "class": "SqliteHistory"}
    overrides = {"storage": {"custom": {**ours, "config": {"base_dir": str(tmp_path)}}}}

    with pytest.raises(dg.DagsterInvariantViolationError, match="some of them are of assets"):
        dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path), overrides=overrides))
    assert not list(tmp_path.glob("history/event_log.db*"))
    assert not list(tmp_path.glob("history/new-*"))


def test_the_folder_comes_from_the_settings_or_the_environment(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = dagster_home(project)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with dg.DagsterInstance.get() as instance:
        instance.report_engine_event("by the environment", job_name="job", run_id=RUN)
    monkeypatch.setenv("DAGSTER_HOME", str(home.parent))
    with open_instance(project) as instance:
        assert len(instance.all_logs(RUN)) == 1
    monkeypatch.delenv("DAGSTER_HOME")
    with pytest.raises(dg.DagsterInvariantViolationError, match="needs a folder"):
        dg.DagsterInstance.from_config(str(home))


def test_two_processes_that_make_the_history_at_once(tmp_path: Path) -> None:
    text = f"""
from cloudflow_dagster.engine.history import SqliteHistory
made = SqliteHistory({str(tmp_path)!r})
print(len(made.run_storage.get_runs()), made.event_log_storage.get_maximum_record_id())
"""
    both = [
        subprocess.Popen(
            [sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    assert [ended(each) for each in both] == ["0 None\n"] * 2


def test_what_columns_runs_have_is_asked_until_they_are_there(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [False, True]
    for name in ("has_run_stats_index_cols", "has_backfill_id_column"):
        left = iter(answers)
        monkeypatch.setattr(SqlRunStorage, name, lambda _, left=left: next(left))
        ask = getattr(SqliteHistory(instance.root_directory).run_storage, name)
        assert [ask() for _ in range(4)] == [False, True, True, True]


def test_every_database_of_a_project_is_written_ahead(
    project: Project, instance: dg.DagsterInstance
) -> None:
    (project.flows / "f.json").write_text('{"version": 1, "nodes": [], "edges": []}')
    run_flow(project, compile_flow(project.flows / "f.json", project=project))
    assert instance.get_runs_count() == 1

    modes: dict[str, str] = {}
    for file in project.state.rglob("*"):
        if file.suffix in {".db", ".sqlite"}:
            with closing(sqlite3.connect(file)) as db:
                modes[file.name] = db.execute("PRAGMA journal_mode").fetchone()[0]
    assert modes.keys() >= {"event_log.db", "runs.db", "schedules.db", "records.sqlite"}
    assert set(modes.values()) == {"wal"}
