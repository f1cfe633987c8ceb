"""Fails loudly when Dagster moves what the engine uses beyond its public API.

Then look at the module that each test names, at the new version's source, and at what it says.
"""

from __future__ import annotations

import hashlib
import inspect
import logging
import re
from pathlib import Path
from typing import Any, cast

import dagster as dg
from dagster._daemon.auto_run_reexecution import event_log_consumer

from cloudflow_dagster.engine.instance import open_instance
from cloudflow_dagster.project import find_project


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
    # Events of other kinds are not handed to it.
    heeded = set(
        re.findall(r"dagster_event\.(is_\w+)", inspect.getsource(ActiveExecution.handle_event))
    )
    assert heeded == {
        "is_resource_init_failure",
        "is_step_failure",
        "is_step_skipped",
        "is_step_success",
        "is_step_up_for_retry",
        "is_successful_output",
    }


def test_executor_limits_by_tags_are_written_as_dagsters_own() -> None:
    from dagster._core.execution.tags import get_tag_concurrency_limits_config

    ours = get_tag_concurrency_limits_config().config_type.key
    theirs: Any = dg.multiprocess_executor.config_schema.as_field().config_type
    assert theirs.fields["tag_concurrency_limits"].config_type.key == ours


def test_the_end_of_a_step_goes_through_its_log() -> None:
    from dagster._core.events import log_step_event
    from dagster._core.log_manager import DagsterLogManager

    # Where `Attempt.may_say` decides whether a step that is given up has ended.
    assert "step_context.log.log_dagster_event(" in inspect.getsource(log_step_event)
    assert "LOG_RECORD_EVENT_ATTR: dagster_event" in inspect.getsource(
        DagsterLogManager.log_dagster_event
    )


def test_a_step_in_a_process_of_its_own() -> None:
    from dagster._core.executor.base import Executor
    from dagster._core.executor.child_process_executor import ChildProcessCrashException
    from dagster._core.executor.multiprocess import execute_step_out_of_process

    assert list(inspect.signature(execute_step_out_of_process).parameters) == [
        "multiproc_ctx",
        "recon_job",
        "step_context",
        "step",
        "errors",
        "processes",
        "term_events",
        "retries",
        "known_state",
        "repository_load_data",
    ]
    assert ChildProcessCrashException(pid=1, exit_code=-9).exit_code == -9
    assert list(inspect.signature(Executor.log_failure_or_retry_event_after_error).parameters) == [
        "self",
        "step_context",
        "err_info",
        "known_state",
    ]


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


def test_the_launcher() -> None:
    from dagster._core.definitions.reconstruct import reconstruct_repository_def_from_pointer
    from dagster._core.launcher import RunLauncher
    from dagster._grpc.impl import core_execute_run
    from dagster._utils.hosted_user_process import recon_job_from_origin
    from dagster._utils.interrupts import capture_interrupts

    assert list(inspect.signature(core_execute_run).parameters)[:4] == [
        "recon_job",
        "dagster_run",
        "instance",
        "inject_env_vars",
    ]
    assert list(inspect.signature(recon_job_from_origin).parameters) == ["origin"]
    assert next(iter(inspect.signature(reconstruct_repository_def_from_pointer).parameters)) == (
        "pointer"
    )
    # An interrupt that came in one run must not be there in the worker's next one.
    assert '_received_interrupt["received"] = False' in inspect.getsource(capture_interrupts)
    # What a launcher can be asked; whatever is new here is to be thought about.
    assert {name for name in vars(RunLauncher) if not name.startswith("_")} == {
        "launch_run",
        "terminate",
        "dispose",
        "join",
        "supports_check_run_worker_health",
        "check_run_worker_health",
        "get_run_worker_debug_info",
        "supports_resume_run",
        "resume_run",
    }


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


def test_removal_of_runs() -> None:
    from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
    from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
    from dagster._core.storage.runs.schema import RunTagsTable
    from dagster._core.storage.runs.sql_run_storage import SqlRunStorage

    assert "run_id" in RunTagsTable.c
    for name in ("index_connection", "path_for_shard", "free_concurrency_slots_for_run"):
        assert hasattr(SqliteEventLogStorage, name), name
    parameters = inspect.signature(SqliteEventLogStorage.delete_events_for_run).parameters
    assert list(parameters) == ["self", "conn", "run_id"]
    # What is done instead of these; see whether they delete more now.
    assert "RunTagsTable" not in inspect.getsource(SqlRunStorage.delete_run)
    source = inspect.getsource(SqlEventLogStorage.delete_events)
    assert source.count("delete_events_for_run") == 2
    assert "free_concurrency_slots_for_run" in source


def test_retries() -> None:
    from dagster._core.execution.api import create_execution_plan
    from dagster._core.execution.plan.state import KnownExecutionState

    known = KnownExecutionState.build_resume_retry_reexecution
    assert list(inspect.signature(known).parameters) == ["instance", "parent_run"]
    assert "known_state" in inspect.signature(create_execution_plan).parameters
    parameters = inspect.signature(dg.DagsterInstance.create_run_for_job).parameters
    assert {"parent_run_id", "root_run_id"} <= set(parameters)


def test_the_history() -> None:
    import re

    from dagster._core.instance.ref import InstanceRef
    from dagster._core.storage.event_log import sql_event_log
    from dagster._core.storage.event_log.sqlite import consolidated_sqlite_event_log
    from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
    from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage

    # All accesses go through the two methods that ours lends connections from.
    assert not re.search(r"create_engine|\.connect\(", inspect.getsource(sql_event_log))
    consolidated = consolidated_sqlite_event_log.ConsolidatedSqliteEventLogStorage
    for name in ("run_connection", "index_connection"):
        assert "return self._connect()" in inspect.getsource(getattr(consolidated, name)), name
    assert "self._init_db()" in inspect.getsource(consolidated.__init__)
    for storage in (SqliteRunStorage, SqliteScheduleStorage):
        assert storage.__init__.__code__.co_varnames[:2] == ("self", "conn_string")
        made_by = inspect.getsource(storage).split("def connect")[0]
        assert "PRAGMA journal_mode=WAL" in made_by
    assert "cls(conn_string" in inspect.getsource(SqliteRunStorage.from_local)
    # A plan's snapshot is stored as a job's is, and a look for its id reads no more than that.
    for name in ("add_execution_plan_snapshot", "add_job_snapshot"):
        assert "self._add_snapshot(" in inspect.getsource(getattr(SqliteRunStorage, name)), name
    assert "self._has_snapshot_id(" in inspect.getsource(SqliteRunStorage.has_job_snapshot)
    assert "overrides" in inspect.signature(InstanceRef.from_dir).parameters


def test_what_is_told_of_all_flows() -> None:
    from dagster._core.remote_representation.external_data import JobRefSnap, RepositorySnap
    from dagster._grpc.server import DagsterApiServer

    # What `listing.py` writes for a job without building it.
    assert set(JobRefSnap.__annotations__) == {
        "name",
        "snapshot_id",
        "active_presets",
        "parent_snapshot_id",
        "preview_tags",
        "owners",
        "automation_condition",
    }
    assert "job_refs" in RepositorySnap.__annotations__
    source = inspect.getsource(DagsterApiServer._get_serialized_external_repository_data)
    assert "defer_snapshots=request.defer_snapshots" in source
    assert "args.job_snapshot_id" in inspect.getsource(
        inspect.getmodule(DagsterApiServer).get_external_execution_plan_snapshot
    )


def test_how_a_location_is_kept() -> None:
    from dagster._api import snapshot_repository
    from dagster._core.remote_origin import GrpcServerCodeLocationOrigin
    from dagster._core.remote_representation.code_location import GrpcServerCodeLocation

    # `flows_location.py` puts something of its own in the place of these.
    fetch = snapshot_repository.sync_get_external_repositories_data_grpc
    assert list(inspect.signature(fetch).parameters) == [
        "api_client",
        "code_location",
        "defer_snapshots",
    ]
    source = inspect.getsource(GrpcServerCodeLocation.__init__)
    assert "from dagster._api.snapshot_repository import" in source
    assert "sync_get_external_repositories_data_grpc(" in source
    assert "ref_to_data_fn=partial(self._job_ref_to_snap, repo_name)" in source
    assert "for job_snap in job_snaps.values():" in source
    assert list(inspect.signature(GrpcServerCodeLocation._job_ref_to_snap).parameters) == [
        "self",
        "repository_name",
        "job_ref",
    ]
    source = inspect.getsource(GrpcServerCodeLocationOrigin.create_location)
    assert "return GrpcServerCodeLocation(self, instance=instance)" in source
    reload = inspect.getsource(GrpcServerCodeLocationOrigin.reload_location)
    assert "reload_code(timeout=instance.code_server_reload_timeout)" in reload


def test_errors_that_are_shown_as_what_they_say() -> None:
    from dagster._core.errors import DagsterUserCodeProcessError
    from dagster._core.execution.plan.utils import op_execution_error_boundary
    from dagster._utils.error import serializable_error_info_from_exc_info

    from cloudflow_dagster.engine.told import Told

    assert issubclass(DagsterUserCodeProcessError, dg.DagsterError)
    assert "except DagsterError as de:" in inspect.getsource(op_execution_error_boundary)
    told = Told("What went wrong.")
    info = serializable_error_info_from_exc_info((Told, told, cast("Any", object())))
    assert (info.message, list(info.stack), info.cause) == ("What went wrong.", [], None)


def test_a_run_can_be_suspended() -> None:
    from dagster._core.events import EVENT_TYPE_TO_PIPELINE_RUN_STATUS
    from dagster._core.execution.api import execute_run_iterator, job_execution_iterator
    from dagster._core.execution.plan.state import KnownExecutionState
    from dagster._core.storage.dagster_run import FINISHED_STATUSES, NON_ACTIVE_RUN_STATUSES
    from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration
    from dagster._grpc import impl

    status, event = dg.DagsterRunStatus, dg.DagsterEventType
    assert EVENT_TYPE_TO_PIPELINE_RUN_STATUS[event.RUN_SUSPENDED] is status.SUSPENDED
    assert EVENT_TYPE_TO_PIPELINE_RUN_STATUS[event.RUN_RESUMED] is status.STARTED
    assert status.SUSPENDED in NON_ACTIVE_RUN_STATUSES
    assert status.SUSPENDED not in FINISHED_STATUSES
    assert "DagsterRunStatus.SUSPENDED" in inspect.getsource(execute_run_monitoring_iteration)
    # What `let_core_execution_suspend` exchanges.
    source = inspect.getsource(impl.core_execute_run)
    assert source.count("execute_run_iterator(") == 1
    assert impl.execute_run_iterator.__module__ in {
        "dagster._core.execution.api",
        "cloudflow_dagster.engine.execution",
    }
    # `execution.py` does what these do; see whether they still do the same.
    assert _digest(job_execution_iterator) == "49ba219757f1e583"
    assert _digest(execute_run_iterator) == "63dd8308fc4d781b"
    assert list(
        inspect.signature(KnownExecutionState.build_resume_retry_reexecution).parameters
    ) == [
        "instance",
        "parent_run",
    ]


def test_a_run_whose_flow_has_changed_is_written_anew() -> None:
    from dagster._core.execution.api import _get_execution_plan_from_run
    from dagster._core.storage.runs.sql_run_storage import SqlRunStorage

    # `changed_jobs.py` writes what this writes, with other fields of the run.
    assert _digest(SqlRunStorage.replace_job_origin) == "7002741b767f399c"
    # Whether a run was to execute all steps is read from what this reads.
    assert _digest(_get_execution_plan_from_run) == "c6a94590660bc6e1"


def _digest(what: object) -> str:
    return hashlib.sha256(inspect.getsource(what).encode()).hexdigest()[:16]  # type: ignore[arg-type]


def test_the_short_way_through_a_step() -> None:
    from dagster._core.execution.context.system import StepExecutionContext
    from dagster._core.execution.plan import compute, execute_plan, execute_step
    from dagster._core.log_manager import DagsterLogHandler

    assert "self._step_launcher = " in inspect.getsource(StepExecutionContext.__init__)
    assert "step_launcher.launch_step(step_context)" in inspect.getsource(execute_plan)
    assert "op_execution_error_boundary(" in inspect.getsource(compute)
    # What `light.py` stands in for; see whether it does more now.
    source = inspect.getsource(execute_step.core_dagster_event_sequence_for_step)
    for part in ("step_restarted_event", "step_start_event", "step_success_event", "is_nothing"):
        assert part in source, part
    # What `own_log` wraps, and what `_is_quiet` asks.
    assert "filter" in vars(DagsterLogHandler)
    assert {"_loggers", "_handlers"} <= set(DagsterLogHandler.__init__.__code__.co_names)


def test_the_texts_of_events() -> None:
    """What `event_text.py` and `BatchedEventLog._event_to_row` do again; see whether it is more."""
    from dagster._core.definitions.metadata import MetadataFieldSerializer, metadata_value
    from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
    from dagster_shared.serdes import serdes

    sources = {
        serdes.serialize_value: "ce4cdafb65e178dd",
        serdes._transform_for_serialization: "f225506f6a3edc8a",
        serdes.ObjectSerializer.pack_items: "d8ae47dc560cf3e7",
        serdes.NamedTupleSerializer.object_as_mapping: "77e5a6dbba939382",
        MetadataFieldSerializer.pack: "5d6fcaf8426dfb53",
        metadata_value.JsonDataFieldSerializer.pack: "27f49d4421d2ba89",
        inspect.unwrap(dg.JsonMetadataValue.__new__): "bcb24bdfe3123161",
        SqlEventLogStorage._event_to_row: "93d47fbe7edc4f70",
    }
    for what, digest in sources.items():
        assert _digest(what) == digest, what


def test_versions_of_an_instance() -> None:
    from alembic.script import ScriptDirectory
    from dagster._core.storage.event_log import sqlite as event_log
    from dagster._core.storage.runs import sqlite as runs
    from dagster._core.storage.schedules import sqlite as schedules
    from dagster._core.storage.sql import get_alembic_config

    for owner in (event_log, runs, schedules):
        script = ScriptDirectory.from_config(get_alembic_config(str(owner.__file__)))
        assert script.get_current_head() in {each.revision for each in script.walk_revisions()}
    assert list(inspect.signature(dg.DagsterInstance.upgrade).parameters) == ["self", "print_fn"]


def test_the_resources_of_a_run_are_at_hand_after_its_steps() -> None:
    """`undoing.py` finds the run as its steps see it there."""
    from dagster._core.definitions.scoped_resources_builder import ScopedResourcesBuilder
    from dagster._core.execution.context.system import PlanExecutionContext

    made = ScopedResourcesBuilder({"cloudflow": 1})
    assert made.resource_instance_dict["cloudflow"] == 1
    assert isinstance(vars(PlanExecutionContext)["scoped_resources_builder"], property)


def test_the_first_daemon_goes_on_with_what_was_interrupted_before_it_looked(
    tmp_path: Path,
) -> None:
    (tmp_path / "cloudflow.yaml").write_text("{}\n")
    with open_instance(find_project(tmp_path)) as instance:
        found = event_log_consumer._fetch_persisted_cursors(
            instance, event_log_consumer.DAGSTER_EVENT_TYPES, logging.getLogger(__name__)
        )
    assert found == dict.fromkeys(event_log_consumer.DAGSTER_EVENT_TYPES, 0)
