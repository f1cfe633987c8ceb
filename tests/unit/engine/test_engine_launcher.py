"""Runs forked from a warm process: real processes, a real instance, jobs written by hand."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.code_pointer import FileCodePointer
from dagster._core.launcher import WorkerStatus
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin

from cloudflow_dagster.engine import tags
from cloudflow_dagster.engine.launcher import WarmRunLauncher
from cloudflow_dagster.engine.warm.ask import let_go
from cloudflow_dagster.engine.warm.notes import Notes
from tests.unit.engine import jobs_for_workers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="runs are forked on Linux alone")

SETTINGS = """
telemetry: {{enabled: false}}
run_monitoring: {{enabled: true, poll_interval_seconds: 1}}
run_launcher:
  module: cloudflow_dagster.engine.launcher
  class: WarmRunLauncher
  config: {{runs_per_worker: {runs}}}
"""


def eventually(condition: Callable[[], Any], seconds: float = 300) -> Any:
    """Return what a condition gives as soon as that is something."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s")


@dataclass
class Deployment:
    """An instance with our launcher, and a folder with code."""

    instance: dg.DagsterInstance
    code: Path

    @property
    def home(self) -> Path:
        return Path(self.instance.root_directory)

    @property
    def notes(self) -> Notes:
        return Notes(self.home)

    @property
    def launcher(self) -> WarmRunLauncher:
        launcher = self.instance.run_launcher
        assert isinstance(launcher, WarmRunLauncher)
        return launcher

    def launch(self, job: str, executable: str = sys.executable, **config: Any) -> str:
        run = self.instance.create_run_for_job(
            getattr(jobs_for_workers, job),
            run_config=config,
            job_code_origin=JobPythonOrigin(
                job,
                RepositoryPythonOrigin(
                    executable,
                    FileCodePointer(str(self.code / "my_jobs.py"), "defs", str(self.code)),
                ),
            ),
        )
        self.instance.launch_run(run.run_id, None)  # type: ignore[arg-type] - no code server
        return run.run_id

    def status(self, run_id: str) -> dg.DagsterRunStatus:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run.status

    def end_of(self, run_id: str) -> dg.DagsterRunStatus:
        ended = {
            dg.DagsterRunStatus.SUCCESS,
            dg.DagsterRunStatus.FAILURE,
            dg.DagsterRunStatus.CANCELED,
        }
        return eventually(lambda: (s := self.status(run_id)) in ended and s)

    def messages(self, run_id: str) -> str:
        return "\n".join(entry.message or entry.user_message for entry in self.logs(run_id))

    def logs(self, run_id: str) -> list[Any]:
        return list(self.instance.all_logs(run_id))

    def said(self, job: str) -> tuple[str, int, int]:
        """Run a job that says of which version it is, in which process, after how many runs."""
        run_id = self.launch(job)
        assert self.end_of(run_id) is dg.DagsterRunStatus.SUCCESS, self.messages(run_id)
        found = re.search(r"version (\w+) in (\d+) after (\d+) runs", self.messages(run_id))
        assert found
        return found[1], int(found[2]), int(found[3])

    def start_long(self, job: str = "long") -> tuple[str, int]:
        """Launch a run that goes on until it is told not to; return it and its worker."""
        for file in ("waiting", "go_on"):
            (self.code / file).unlink(missing_ok=True)
        run_id = self.launch(job)
        pid = eventually(lambda: (w := self.code / "waiting").exists() and w.read_text())
        return run_id, int(pid)

    def failed_steps(self, run_id: str) -> list[str]:
        events = [entry.dagster_event for entry in self.logs(run_id) if entry.dagster_event]
        return [event.step_key for event in events if event.is_step_failure]

    def worker_of(self, run_id: str) -> int:
        """Return the process of a run as soon as its steps run."""
        eventually(lambda: self.status(run_id) is dg.DagsterRunStatus.STARTED)
        note = self.notes.find(run_id)
        assert note is not None
        assert note.pid is not None
        return note.pid

    def is_reported_once(self, run_id: str, worker: int) -> None:
        """See that the history says, once, that a run's worker is gone."""
        assert f"The process {worker} that executed the run is gone." in self.messages(run_id)
        events = [entry.dagster_event for entry in self.logs(run_id) if entry.dagster_event]
        assert len([event for event in events if event.is_job_failure]) == 1

    def zygote(self) -> int:
        (place,) = (self.home / "run_workers").glob("*.place")
        return int(json.loads(place.read_text())["pid"])


def deploy(folder: Path, runs: int) -> Iterator[Deployment]:
    home, code = folder / "home", folder / "code"
    home.mkdir(parents=True)
    code.mkdir()
    (home / "dagster.yaml").write_text(SETTINGS.format(runs=runs))
    shutil.copy(jobs_for_workers.__file__, code / "my_jobs.py")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield Deployment(instance, code)
        let_go(Path(instance.root_directory))


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Every run has a process of its own."""
    yield from deploy(tmp_path_factory.mktemp("fresh"), runs=1)


@pytest.fixture(scope="module")
def reused(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A process takes up to three runs."""
    yield from deploy(tmp_path_factory.mktemp("reused"), runs=3)


@pytest.fixture
def own(reused: Deployment) -> Iterator[Deployment]:
    """The same, for a test that changes its code or kills its processes."""
    code = reused.code / "my_jobs.py"
    right = code.read_text()
    yield reused
    code.write_text(right)
    (reused.code / "go_on").touch()


def test_a_run_is_executed_in_a_fresh_process_of_its_own(fresh: Deployment) -> None:
    first, second = fresh.said("small"), fresh.said("small")

    assert first[0] == "first"
    assert first[1] != second[1]
    assert (first[2], second[2]) == (0, 0)
    eventually(lambda: not fresh.notes.all(), 10)
    assert not list((fresh.home / "run_workers").glob("*-*-*.log"))


def test_dagsters_multiprocess_executor_works_in_it(fresh: Deployment) -> None:
    run_id = fresh.launch("in_processes")

    assert fresh.end_of(run_id) is dg.DagsterRunStatus.SUCCESS, fresh.messages(run_id)
    assert "version first" in fresh.messages(run_id)


def test_our_executor_runs_the_steps_of_a_job_in_it_side_by_side(reused: Deployment) -> None:
    run_id = reused.launch("side_by_side")

    assert reused.end_of(run_id) is dg.DagsterRunStatus.SUCCESS, reused.messages(run_id)
    assert re.search(r"met in \{\d+\}", reused.messages(run_id))


def test_a_failure_in_it_is_told_and_the_next_run_is_not_touched(reused: Deployment) -> None:
    run_id = reused.launch("breaks_beside")

    assert reused.end_of(run_id) is dg.DagsterRunStatus.FAILURE
    failed = [
        e.step_key
        for e in reused.logs(run_id)
        if e.dagster_event and e.dagster_event.is_step_failure
    ]
    assert failed == ["breaks"]
    again = reused.launch("side_by_side")
    assert reused.end_of(again) is dg.DagsterRunStatus.SUCCESS, reused.messages(again)


def test_a_run_of_our_executor_is_canceled_in_it(reused: Deployment) -> None:
    run_id, _ = reused.start_long("long_beside")
    assert reused.launcher.terminate(run_id)

    assert reused.end_of(run_id) is dg.DagsterRunStatus.CANCELED
    assert "The run was told to stop." in reused.messages(run_id)


def test_a_worker_takes_run_after_run_and_is_replaced(reused: Deployment) -> None:
    said = [reused.said("small") for _ in range(7)]

    assert {count for _, _, count in said} == {0, 1, 2}
    assert all([pid for _, pid, _ in said].count(pid) <= 3 for _, pid, _ in said)


def test_a_worker_that_a_run_has_changed_takes_no_other(reused: Deployment) -> None:
    run_id = reused.launch("untidy")
    assert reused.end_of(run_id) is dg.DagsterRunStatus.SUCCESS
    found = re.search(r"Started process for run \(pid: (\d+)\)", reused.messages(run_id))
    assert found

    eventually(lambda: not Path(f"/proc/{found[1]}").exists(), 10)


@pytest.mark.parametrize(
    ("how", "what"),
    [
        ("kill", "was killed by SIGKILL"),
        ("exit", "ended with status 7"),
        ("crash", "was killed by SIGSEGV"),
    ],
)
def test_a_worker_that_dies_is_reported_with_its_last_words(
    reused: Deployment, how: str, what: str
) -> None:
    run_id = reused.launch("deadly", ops={"dies": {"config": {"how": how}}})

    assert reused.end_of(run_id) is dg.DagsterRunStatus.FAILURE
    message = reused.messages(run_id)
    assert what in message
    assert "the last words" in message
    run = reused.instance.get_run_by_id(run_id)
    assert run is not None
    assert run.tags[tags.WORKER_DIED] == "true"
    failures = [e for e in reused.logs(run_id) if e.dagster_event and e.dagster_event.is_failure]
    assert len([e for e in failures if e.dagster_event.is_job_event]) == 1
    assert reused.said("small")[0] == "first"


def test_a_run_is_canceled(reused: Deployment) -> None:
    run_id, pid = reused.start_long()
    assert reused.launcher.terminate(run_id)

    assert reused.end_of(run_id) is dg.DagsterRunStatus.CANCELED
    assert not reused.launcher.terminate(run_id)
    eventually(lambda: reused.notes.find(run_id) is None, 10)
    assert pid != os.getpid()


def test_another_process_cancels_a_run_and_sees_how_it_is(reused: Deployment) -> None:
    run_id, _ = reused.start_long()
    code = (
        "import sys, dagster as dg\n"
        "with dg.DagsterInstance.from_config(sys.argv[1]) as instance:\n"
        "    run = instance.get_run_by_id(sys.argv[2])\n"
        "    print(instance.run_launcher.check_run_worker_health(run).status.name)\n"
        "    print(instance.run_launcher.terminate(run.run_id))\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, str(reused.home), run_id],
        capture_output=True,
        text=True,
        check=True,
    )

    assert said.stdout.split() == ["RUNNING", "True"]
    assert reused.end_of(run_id) is dg.DagsterRunStatus.CANCELED


def test_a_changed_module_is_what_the_next_run_executes(own: Deployment) -> None:
    assert own.said("small")[0] == "first"
    long, _ = own.start_long()
    code = own.code / "my_jobs.py"
    code.write_text(code.read_text().replace('"first"', '"second"'))

    assert own.said("small")[0] == "second"
    assert own.said("small")[0] == "second"
    assert own.status(long) is dg.DagsterRunStatus.STARTED
    (own.code / "go_on").touch()
    assert own.end_of(long) is dg.DagsterRunStatus.SUCCESS


def test_code_that_cannot_be_loaded_fails_the_run_and_says_why(own: Deployment) -> None:
    code = own.code / "my_jobs.py"
    right = code.read_text()
    code.write_text("import this_module_does_not_exist\n" + right)
    run_id = own.launch("small")

    assert own.end_of(run_id) is dg.DagsterRunStatus.FAILURE
    errors = [
        e.dagster_event.engine_event_data.error
        for e in own.logs(run_id)
        if e.dagster_event and e.dagster_event.is_engine_event
    ]
    assert any(e and "this_module_does_not_exist" in e.to_string() for e in errors)
    code.write_text(right)
    assert own.said("small")[0] == "first"


def test_code_that_ends_the_process_fails_the_run_alone(own: Deployment) -> None:
    code = own.code / "my_jobs.py"
    right = code.read_text()
    code.write_text("import os; os._exit(9)\n" + right)
    run_id = own.launch("small")

    assert own.end_of(run_id) is dg.DagsterRunStatus.FAILURE
    assert "ended with status 9" in own.messages(run_id)
    code.write_text(right)
    assert own.said("small")[0] == "first"


def test_code_that_starts_threads_is_not_forked_from(own: Deployment) -> None:
    code = own.code / "my_jobs.py"
    thread = "import threading as t\nt.Thread(target=t.Event().wait, daemon=True).start()\n"
    code.write_text(thread + code.read_text())

    first, second = own.said("small"), own.said("small")
    assert first[1] != second[1]
    assert (first[2], second[2]) == (0, 0)


def test_runs_outlive_the_warm_process_and_the_next_launch_starts_another(own: Deployment) -> None:
    long, _ = own.start_long()
    before = own.zygote()
    os.kill(before, signal.SIGKILL)

    assert own.said("small")[0] == "first"
    assert own.zygote() != before
    assert own.status(long) is dg.DagsterRunStatus.STARTED
    (own.code / "go_on").touch()
    assert own.end_of(long) is dg.DagsterRunStatus.SUCCESS


def test_a_worker_is_found_dead_when_all_that_watched_it_die_with_it(own: Deployment) -> None:
    long, worker = own.start_long()
    family = [own.zygote(), parent_of(worker), worker]
    for pid in family:
        os.kill(pid, signal.SIGKILL)

    assert own.end_of(long) is dg.DagsterRunStatus.FAILURE
    assert "that executed the run is gone" in own.messages(long)


def test_health_of_a_dead_worker_is_known_and_the_run_has_failed(own: Deployment) -> None:
    long, worker = own.start_long()
    own.launcher._disposed.set()
    for pid in (own.zygote(), parent_of(worker), worker):
        os.kill(pid, signal.SIGKILL)
    run = own.instance.get_run_by_id(long)
    assert run is not None

    eventually(
        lambda: own.launcher.check_run_worker_health(run).status is not WorkerStatus.RUNNING, 10
    )
    assert own.status(long) is dg.DagsterRunStatus.FAILURE
    own.launcher._disposed.clear()


LAUNCH = """
import sys
from pathlib import Path
import dagster as dg
from tests.unit.engine.test_engine_launcher import Deployment
with dg.DagsterInstance.from_config(sys.argv[1]) as instance:
    there = Deployment(instance, Path(sys.argv[2]))
    print(there.launch("long_beside"), there.launch("long_beside"), flush=True)
    sys.stdin.read()
"""
LOOK = """
import sys
import dagster as dg
with dg.DagsterInstance.from_config(sys.argv[1]) as instance:
    health = instance.run_launcher.check_run_worker_health(instance.get_run_by_id(sys.argv[2]))
    print(health.status.name, instance.get_run_by_id(sys.argv[2]).status.name)
"""


@contextmanager
def started(*command: str, **more: Any) -> Generator[subprocess.Popen[str]]:
    """Start a process that ends with this."""
    with subprocess.Popen(command, text=True, **more) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def test_processes_that_launched_nothing_report_a_worker_that_died(tmp_path: Path) -> None:
    for there in deploy(tmp_path, runs=1):
        launches = ("-c", LAUNCH, str(there.home), str(there.code))
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with started(sys.executable, *launches, **pipes) as launcher:
            assert launcher.stdout
            first, second = launcher.stdout.readline().split()
            pids = [there.worker_of(run_id) for run_id in (first, second)]
            # Nobody is left who knew of them: neither who launched them nor who forked them.
            for pid in (launcher.pid, there.zygote(), parent_of(pids[0]), *pids):
                os.kill(pid, signal.SIGKILL)
        looked = subprocess.run(
            [sys.executable, "-c", LOOK, str(there.home), first],
            capture_output=True,
            text=True,
            check=True,
        )
        assert looked.stdout.split() == ["FAILED", "FAILURE"]
        there.is_reported_once(first, pids[0])

        daemon = str(Path(sys.executable).with_name("dagster-daemon"))
        home = {**os.environ, "DAGSTER_HOME": str(there.home)}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with started(daemon, "run", "--empty-workspace", env=home, **quiet):
            assert there.end_of(second) is dg.DagsterRunStatus.FAILURE
        there.is_reported_once(second, pids[1])


def test_another_interpreter_without_cloudflow_falls_back_and_says_so(own: Deployment) -> None:
    with pytest.raises(dg.DagsterInvariantViolationError, match="requires a workspace"):
        own.launch("small", executable="/usr/bin/false")

    (run,) = own.instance.get_runs(limit=1)
    assert "launched by Dagster's own launcher" in own.messages(run.run_id)


def test_a_warm_process_that_dies_at_its_start_is_told_and_its_run_has_failed(
    own: Deployment,
) -> None:
    python = own.code / "python"
    python.write_text("#!/bin/sh\necho 'no module named dagster' >&2\nexit 3\n")
    python.chmod(0o755)
    # In a deployment with a code server, Dagster's own launcher would now launch it.
    with pytest.raises(dg.DagsterInvariantViolationError, match="requires a workspace"):
        own.launch("small", executable=str(python))

    (run,) = own.instance.get_runs(limit=1)
    assert run.status is dg.DagsterRunStatus.FAILURE
    said = own.messages(run.run_id)
    assert "The warm process ended with status 3:\nno module named dagster" in said
    assert own.said("small")[0] == "first"


def test_it_finds_place_in_a_deep_folder_and_ends_with_the_process_that_started_it(
    tmp_path: Path,
) -> None:
    for deep in deploy(tmp_path / ("d" * 60) / ("e" * 60), runs=1):
        assert deep.said("small")[0] == "first"
        zygote = deep.zygote()
    assert not Path(f"/proc/{zygote}").exists()


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
