"""What runs remember, and Dagster's own history, in PostgreSQL instead of files."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pytest

from cloudflow_dagster.engine import concurrency
from cloudflow_dagster.engine.beats import beating
from cloudflow_dagster.engine.dead_runs import found_dead
from cloudflow_dagster.engine.instance import open_instance
from cloudflow_dagster.nodes.waits import Wait as Asked
from cloudflow_dagster.project import find_project
from cloudflow_dagster.runtime.database import RecordsError, database
from cloudflow_dagster.runtime.intents import Settled, TakenOver
from cloudflow_dagster.runtime.record import Record, RecordKey
from cloudflow_dagster.runtime.records import SqliteRecords
from cloudflow_dagster.runtime.remembered import Remembered
from cloudflow_dagster.runtime.stored import newest_of
from cloudflow_dagster.runtime.waits import WaitKey, Waits
from tests.fixtures.intents import begun
from tests.fixtures.programs import MANUAL, CommandLine, Programs, chain, over, result, value
from tests.fixtures.servers import environment, postgres

pytestmark = pytest.mark.integration
HERE = Path(__file__).parents[2]
PROJECT = """\
credentials:
  sim: {provider: aws, simulated: true, region: us-east-1}
settings:
  database: {env: CLOUDFLOW_DATABASE}
"""


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    root = tmp_path_factory.mktemp("on_a_server")
    (root / "flows").mkdir()
    (root / "cloudflow.yaml").write_text(PROJECT)
    home = root / ".cloudflow/dagster"
    home.mkdir(parents=True)
    shutil.copy(HERE / "deploy/dagster.yaml", home / "dagster.yaml")
    with (
        postgres() as address,
        environment(
            CLOUDFLOW_DATABASE=address.replace("postgresql://", "postgresql+psycopg2://"),
            CLOUDFLOW_BROKER="redis://localhost:1/0",
        ),
    ):
        project = find_project(root)
        with open_instance(project) as instance:
            yield Programs(project, instance)


def test_nothing_of_a_run_lies_in_a_file(programs: Programs) -> None:
    body = (value("double", "{{ item * 2 }}"),)
    ended = programs.run(over("{{ $map([1..30], function($n) { $n }) }}", *body))
    assert ended.status == "success"
    assert ended.result["results"] == [n * 2 for n in range(1, 31)]
    assert not list(programs.project.state.rglob("*.sqlite"))
    assert not list(programs.project.state.rglob("*.db"))


def test_a_run_goes_on_where_it_failed(programs: Programs) -> None:
    failing = programs.write(over([1, 0, 4], value("share", "{{ 8 / item }}"), concurrency=1))
    first = programs.run(failing, way="dagster")
    assert first.status == "failure"
    assert programs.again(failing, first).status == "failure"


def test_what_ended_last_is_undone_first(programs: Programs) -> None:
    keys = [RecordKey(node) for node in ("one", "two", "three")]
    with SqliteRecords(programs.project.records, "undone") as records:
        for key in keys:
            records.write(key, Record("failure", attempts=1))
        for key in (keys[2], keys[1], keys[0], keys[2]):
            # Written anew, it is the last one.
            records.write(key, Record("success", output=1))
        records.undoings.begin()
        assert records.undoings.under_way()
        records.undoings.end(["one"])
        assert not records.undoings.under_way()
        number = records._run
    newest = newest_of(records._db, number, "success", ["one", "two", "three"])
    assert [place.node for place, _ in newest] == ["three", "one", "two"]


def test_runs_are_listed_and_deleted(programs: Programs) -> None:
    ended = programs.run(chain(MANUAL, value("one", 1), result()))
    shown = CommandLine(programs.project.root)("runs", "show", ended.id, "--format", "json")
    assert shown.status == 0, shown.err
    remembered = Remembered(programs.project.records)
    assert remembered.knows(ended.id)
    remembered.forget(ended.id)
    remembered.forget_unused_plans()
    assert not remembered.knows(ended.id)


def test_a_run_that_was_taken_over_changes_nothing_more(programs: Programs) -> None:
    where = programs.project.records
    again = [("first", None, True)]
    with SqliteRecords(where, "first") as old, SqliteRecords(where, "second", again) as new:
        old.claim("a")
        new.claim("b")
        key = old.call_key(RecordKey("make"), "make")
        intent = begun(key, "first")
        with pytest.raises(TakenOver):
            old.intents.begin(intent)
        new.intents.begin(intent)
        new.intents.begin(intent)
        new.intents.settle(Settled(key, "done"), "1")
        found = old.intents.find(key)
    assert found is not None
    assert (found.run, found.state, found.request, found.exact) == ("second", "done", None, True)


def test_waits_are_kept(programs: Programs) -> None:
    waits = Waits(programs.project.records)
    key = WaitKey.of("run", "ask", (1,), 0)
    asked = Asked(way="approval", message="May I?")
    wait = waits.begin(key, asked, "run", None)
    assert waits.begin(key, asked, "run", None) == wait
    waits.suspend("run", 1.5)
    assert waits.due(time.time(), 10) == []
    assert waits.answer(wait, {"approved": True}, "ann")
    assert not waits.answer(wait, {"approved": False}, "bob")
    assert waits.due(time.time(), 10) == ["run"]
    assert waits.claim("run", "x")
    assert not waits.claim("run", "y")
    assert waits.worked("run") == 1.5
    waits.forget("run")
    assert waits.of_run("run") == []


def test_a_run_on_a_machine_that_is_not_heard_any_more_is_dead(programs: Programs) -> None:
    project, instance = programs.project, programs.instance
    job = dg.GraphDefinition(name="far").to_job()
    run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    with SqliteRecords(project.records, run.run_id) as records:
        records.claim("elsewhere:1:1")
    assert not found_dead(project, instance, run)
    with beating(project, run.run_id):
        assert not found_dead(project, instance, run)
    database(project.records).execute("UPDATE beats SET at = at - interval '1 minute'", ())
    assert found_dead(project, instance, run)
    now = instance.get_run_by_id(run.run_id)
    assert now is not None
    assert now.status is dg.DagsterRunStatus.FAILURE


def test_places_are_counted_for_all_machines(programs: Programs) -> None:
    flow = chain(MANUAL, value("a", 1), concurrency={"limit": 1, "when_full": "skip"})
    path = programs.write(flow, "alone")
    assert programs.run(path, way="dagster").status == "success"
    held = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        with concurrency._lock(programs.instance):
            ended = pool.submit(lambda: (programs.run(path, way="dagster").status, held.is_set()))
            with pytest.raises(TimeoutError):
                ended.result(3)
            held.set()
        assert ended.result(60) == ("success", True)


def test_a_server_that_does_not_answer_is_told_in_a_sentence(programs: Programs) -> None:
    with environment(CLOUDFLOW_DATABASE="postgresql://nobody:hush@127.0.0.1:1/none"):
        said = CommandLine(programs.project.root)("waits")
    assert said.status == 2
    assert "environment variable CLOUDFLOW_DATABASE cannot be used" in said.err
    assert "Traceback" not in said.err
    assert "hush" not in said.err


def test_readers_do_not_take_all_the_connections_of_the_server(programs: Programs) -> None:
    db = database(programs.project.records)

    def ask(_: int) -> int:
        with db.read() as connection:
            connection.execute("SELECT pg_sleep(0.01)").fetchall()
            with db.read() as same:
                assert same is connection
            row = connection.execute(
                "SELECT COUNT(*) FROM pg_stat_activity WHERE application_name = 'cloudflow'"
            ).fetchone()
        return row[0]

    with ThreadPoolExecutor(50) as pool:
        assert max(pool.map(ask, range(200))) <= 9


def test_a_connection_that_was_cut_is_made_anew(programs: Programs) -> None:
    db = database(programs.project.records)
    cut = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'cloudflow' AND pid <> pg_backend_pid()"
    )
    with db.read() as connection:
        connection.execute(cut)
    with pytest.raises(RecordsError):
        db.execute("DELETE FROM stopped", ())
    db.execute("DELETE FROM stopped", ())
    with pytest.raises(RecordsError), db.read() as connection:
        connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    with db.read() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
