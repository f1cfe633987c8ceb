"""Fails loudly when Dagster moves what the engine uses beyond its public API.

Then look at the module that each test names, at the new version's source, and at what it says.
"""

from __future__ import annotations

import inspect

import dagster as dg


def test_the_version_is_the_one_that_all_of_this_was_checked_on() -> None:
    assert dg.__version__ == "1.13.27"


def test_executor_the_state_machine_of_a_plan() -> None:
    from dagster._core.execution.plan.active import ActiveExecution
    from dagster._core.execution.plan.execute_plan import (
        _trigger_hook,
        dagster_event_sequence_for_step,
        inner_plan_execution_iterator,
    )

    for name in (
        "plan_events_iterator",
        "get_steps_to_execute",
        "concurrency_event_iterator",
        "get_known_state",
        "handle_event",
        "verify_complete",
        "mark_abandoned",
        "mark_interrupted",
        "check_for_interrupts",
        "is_complete",
    ):
        assert hasattr(ActiveExecution, name), name
    assert list(inspect.signature(_trigger_hook).parameters) == ["step_context", "step_event_list"]
    assert (
        next(iter(inspect.signature(dagster_event_sequence_for_step).parameters)) == "step_context"
    )
    # What the rounds of our executor do is taken from here; see whether it still does the same.
    source = inspect.getsource(inner_plan_execution_iterator)
    for call in ("get_next_step", "concurrency_event_iterator", "handle_event", "_trigger_hook"):
        assert call in source, call


def test_in_process_runs() -> None:
    from dagster._core.execution.api import create_execution_plan, execute_run_iterator

    assert list(inspect.signature(execute_run_iterator).parameters)[:3] == [
        "job",
        "dagster_run",
        "instance",
    ]
    assert "step_keys_to_execute" in inspect.signature(create_execution_plan).parameters
    parameters = inspect.signature(dg.DagsterInstance.create_run_for_job).parameters
    assert {"execution_plan", "remote_job_origin", "tags", "run_config"} <= set(parameters)
    # What `_keep_logging_as_it_is` stands in for.
    assert "dictConfig" in inspect.getsource(dg.DagsterInstance.get_yaml_python_handlers)
    assert "self.get_yaml_python_handlers()" in inspect.getsource(dg.DagsterInstance.get_handlers)


def test_origins() -> None:
    from cloudflow_dagster.engine.origins import job_origin

    assert job_origin("f").repository_origin.get_label() == "__repository__@cloudflow"


def test_the_code_server() -> None:
    from dagster._grpc.server import DagsterApiServer, LoadedRepositories

    # The swap is Dagster's own, for the state of components.
    source = inspect.getsource(DagsterApiServer.ReloadCodeWithState)
    assert "self._loaded_repositories = loaded_repos.update_repo_defs(" in source
    assert "self._server_id = str(uuid.uuid4())" in source
    assert list(inspect.signature(LoadedRepositories.update_repo_defs).parameters) == [
        "self",
        "new_repo_defs_by_name",
    ]
    for name in ("_executions", "_termination_events", "_execution_lock"):
        assert name in inspect.getsource(DagsterApiServer.StartRun), name


def test_the_coordinator() -> None:
    from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import (
        QueuedRunCoordinatorDaemon,
    )

    source = inspect.getsource(QueuedRunCoordinatorDaemon)
    assert "get_concurrency_config()" in source
    assert "run_queue_config.tag_concurrency_limits" in source


def test_names_that_dagster_refuses() -> None:
    from dagster._core.definitions.utils import DISALLOWED_NAMES

    from cloudflow_dagster.engine.names import _REFUSED

    assert set(DISALLOWED_NAMES) == set(_REFUSED)
