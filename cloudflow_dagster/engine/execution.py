"""Executes a run as Dagster does, and lets it be suspended and gone on with.

Dagster knows the status SUSPENDED, and its pages, its monitor and its queue know what to do with
such a run, but nothing of Dagster suspends one: its `job_execution_iterator` ends every run with
success, failure or cancellation. The one here does the same, except for a run whose executor says
that it is suspended. Checked on Dagster 1.13.27.
"""

from __future__ import annotations

import contextvars
import sys
from collections.abc import Iterator
from typing import Any, cast

import dagster as dg
from dagster._core.definitions.job_base import IJob
from dagster._core.events import EngineEventData, RunFailureReason
from dagster._core.execution.api import (
    ExecuteRunWithPlanIterable,
    create_execution_plan,
    execute_run_iterator,
)
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.context_creation_job import (
    PlanOrchestrationContextManager,
    orchestration_context_event_generator,
)
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.plan.state import KnownExecutionState
from dagster._core.remote_representation.external import RemoteExecutionPlan
from dagster._grpc import impl
from dagster._utils.error import serializable_error_info_from_exc_info
from dagster_shared.error import SerializableErrorInfo

from cloudflow_dagster.engine import names, tags
from cloudflow_dagster.engine.changed_jobs import plan_at_start
from cloudflow_dagster.engine.lineage import was_undone

_suspendable: contextvars.ContextVar[bool] = contextvars.ContextVar("suspendable", default=False)
_STEP_FAILURE = dg.DagsterEventType.STEP_FAILURE.value
_ENDS = {
    dg.DagsterEventType.STEP_SUCCESS,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.STEP_SKIPPED,
}


class RunSuspended(Exception):  # noqa: N818 - it is no error
    """All that the run still does is wait: its process may end. The message says what for."""


def can_suspend() -> bool:
    """Return whether the run that this thread executes may be suspended.

    It may where `run_events` executes it: whatever else executes runs takes a run that ends without
    an end for a dead one.
    """
    return _suspendable.get()


def run_events(
    job: IJob, run: dg.DagsterRun, instance: dg.DagsterInstance, *, goes_on: bool = False
) -> Iterator[dg.DagsterEvent]:
    """Execute a run; yield its events, which are in the history already.

    Args:
        job: The run's job.
        run: The run: one that has not started, or one that was suspended.
        instance: Where it is kept.
        goes_on: Whether it was suspended: what has ended in an earlier process stays as it is.
    """
    if not goes_on and run.status not in {
        dg.DagsterRunStatus.NOT_STARTED,
        dg.DagsterRunStatus.STARTING,
    }:
        # Canceled before it started, or started twice: Dagster knows what to say to that.
        yield from execute_run_iterator(job, run, instance)
        return
    selected = run.resolved_op_selection
    if selected or run.asset_selection or run.asset_check_selection:
        job = job.get_subset(
            op_selection=list(selected) if selected else None,
            asset_selection=run.asset_selection,
            asset_check_selection=run.asset_check_selection,
        )
    if goes_on:
        plan = _what_is_left(job, run, instance)
    elif _does_undone_again(run, instance):
        plan = create_execution_plan(job, run_config=run.run_config, tags=run.tags)
    else:
        plan, run = plan_at_start(job, run, instance)
    token = _suspendable.set(True)
    try:
        yield from ExecuteRunWithPlanIterable(
            execution_plan=plan,
            iterator=_job_events,
            execution_context_manager=PlanOrchestrationContextManager(
                context_event_generator=orchestration_context_event_generator,
                job=job,
                execution_plan=plan,
                dagster_run=run,
                instance=instance,
                run_config=run.run_config,
                raise_on_error=False,
                executor_defs=None,
                output_capture=None,
                resume_from_failure=goes_on,
            ),
        )
    finally:
        _suspendable.reset(token)


def let_core_execution_suspend() -> None:
    """Let the runs be suspended that Dagster's `core_execute_run` executes in this process.

    It does what has to be done around a run (environment, loading, what went wrong), and executes
    it with a function of its module's; this puts `run_events` in the place of that.
    """

    def execute(
        job: IJob,
        dagster_run: dg.DagsterRun,
        instance: dg.DagsterInstance,
        resume_from_failure: bool = False,  # noqa: FBT001, FBT002 - as Dagster calls it
    ) -> Iterator[dg.DagsterEvent]:
        del resume_from_failure
        return run_events(job, dagster_run, instance)

    impl.execute_run_iterator = execute  # pyright: ignore[reportPrivateImportUsage] - see above


def report_resumed(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Let a suspended run be one that goes on."""
    instance.report_dagster_event(
        dg.DagsterEvent(
            event_type_value=dg.DagsterEventType.RUN_RESUMED.value,
            job_name=run.job_name,
            message=f'Resumed execution of run for "{run.job_name}".',
        ),
        run_id=run.run_id,
    )


def _does_undone_again(run: dg.DagsterRun, instance: dg.DagsterInstance) -> bool:
    """Return whether a run goes on from one that was undone: Dagster takes that for done.

    All steps are executed then, and those that still count are kept by their records.
    """
    if run.tags.get("dagster/is_resume_retry") != "true" or run.parent_run_id is None:
        return False
    before = instance.get_run_by_id(run.parent_run_id)
    return before is not None and was_undone(before)


def _what_is_left(job: IJob, run: dg.DagsterRun, instance: dg.DagsterInstance) -> ExecutionPlan:
    """Return the plan of the steps that have not ended and can still run.

    Dagster works out the same for a run that goes on where another one failed; here that other run
    is the run itself, and what has failed stays failed.
    """
    failed_run = run.with_status(dg.DagsterRunStatus.FAILURE)
    keys, known = KnownExecutionState.build_resume_retry_reexecution(instance, failed_run)
    ended: dict[str, dg.DagsterEventType] = {}
    for event in _ends_of_steps(instance, run.run_id):
        if event.event_type in _ENDS and event.step_key:
            ended[event.step_key] = event.event_type
    # Mapped steps that were never started are not among what Dagster works out.
    mapped = [
        f"{names.item_op(loop)}[{key}]"
        for loop, outputs in known.dynamic_mappings.items()
        for key in outputs.get(names.ITEM) or ()
    ]
    left = dict.fromkeys([*keys, *(key for key in mapped if key not in ended)])
    failed = {key for key, how in ended.items() if how is dg.DagsterEventType.STEP_FAILURE}
    lost = {names.unmapped(key) for key in _after(failed, instance, run)}
    return create_execution_plan(
        job,
        run_config=run.run_config,
        step_keys_to_execute=[k for k in left if k not in failed and names.unmapped(k) not in lost],
        known_state=known,
        instance_ref=instance.get_ref() if instance.is_persistent else None,
        tags=run.tags,
    )


def _after(failed: set[str], instance: dg.DagsterInstance, run: dg.DagsterRun) -> set[str]:
    """Return the steps that cannot run because these have failed."""
    snapshot = instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id or "")
    plan = RemoteExecutionPlan(execution_plan_snapshot=snapshot)
    # Dagster's type for it is partly unknown.
    dependencies: dict[str, set[str]] = cast("Any", plan).execution_deps()
    before = {names.unmapped(key) for key in failed}
    lost: set[str] = set()
    for step in plan.topological_steps():
        if (before | lost) & {names.unmapped(key) for key in dependencies[step.key]}:
            lost.add(names.unmapped(step.key))
    return lost


def _ends_of_steps(instance: dg.DagsterInstance, run_id: str) -> list[dg.DagsterEvent]:
    """Return how a run's steps have ended, the first one first."""
    entries = instance.all_logs(run_id, of_type=_ENDS)
    return [entry.dagster_event for entry in entries if entry.dagster_event is not None]


def _job_events(
    job_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
) -> Iterator[dg.DagsterEvent]:
    """Do what Dagster's `job_execution_iterator` does, and let the run be suspended."""
    failed: list[dg.DagsterEvent] = []
    if job_context.resume_from_failure:
        before = _ends_of_steps(job_context.instance, job_context.run_id)
        failed += [event for event in before if event.is_step_failure]
    else:
        yield dg.DagsterEvent.job_start(job_context)
    try:
        for event in job_context.executor.execute(job_context, execution_plan):
            if event.event_type_value == _STEP_FAILURE:
                failed.append(event)
            yield event
    except RunSuspended as suspended:
        yield dg.DagsterEvent.job_suspended(job_context, str(suspended))
        return
    except GeneratorExit:
        _broken_off(job_context, serializable_error_info_from_exc_info(sys.exc_info()))
        raise
    except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
        yield _interrupted(job_context, serializable_error_info_from_exc_info(sys.exc_info()))
    except BaseException:
        yield _broken_off(job_context, serializable_error_info_from_exc_info(sys.exc_info()))
    else:
        yield _ended(job_context, failed)


def _status(job_context: PlanOrchestrationContext) -> dg.DagsterRunStatus | None:
    run = job_context.instance.get_run_by_id(job_context.run_id)
    return run.status if run else None


def _interrupted(
    job_context: PlanOrchestrationContext, error: SerializableErrorInfo
) -> dg.DagsterEvent:
    match _status(job_context):
        case dg.DagsterRunStatus.CANCELING:
            return dg.DagsterEvent.job_canceled(job_context, error)
        case dg.DagsterRunStatus.CANCELED:
            said = "The run's process was cleaned up after the run was marked as canceled."
        case dg.DagsterRunStatus.FAILURE:
            said = "Execution was interrupted for a run that was already in a failure state."
        case _ if job_context.instance.run_will_resume(job_context.run_id):
            said = "Execution was interrupted unexpectedly; the run will be resumed."
        case _:
            return dg.DagsterEvent.job_failure(
                job_context,
                "Execution was interrupted unexpectedly. "
                "No user initiated termination request was found, treating as failure.",
                failure_reason=RunFailureReason.UNEXPECTED_TERMINATION,
                error_info=error,
            )
    return dg.DagsterEvent.engine_event(job_context, said, EngineEventData())


def _broken_off(
    job_context: PlanOrchestrationContext, error: SerializableErrorInfo
) -> dg.DagsterEvent:
    if _status(job_context) is dg.DagsterRunStatus.CANCELING:
        return dg.DagsterEvent.job_canceled(
            job_context, error, message="Run failed after it was requested to be terminated."
        )
    # Dagster's retries take an exception for a process that died, after which a flow's run goes on
    # by itself. One that took too long, or could not begin, has failed.
    ours = tags.FLOW in job_context.dagster_run.tags
    return dg.DagsterEvent.job_failure(
        job_context,
        "An exception was thrown during execution.",
        failure_reason=RunFailureReason.STEP_FAILURE if ours else RunFailureReason.RUN_EXCEPTION,
        error_info=error,
    )


def _ended(job_context: PlanOrchestrationContext, failed: list[dg.DagsterEvent]) -> dg.DagsterEvent:
    if not failed:
        return dg.DagsterEvent.job_success(job_context)
    keys = [event.step_key for event in failed]
    if _status(job_context) is dg.DagsterRunStatus.CANCELING:
        return dg.DagsterEvent.job_canceled(
            job_context, None, message=f"Run was canceled. Failed steps: {keys}."
        )
    # Of another executor nothing is asked that it does not have.
    said: str = getattr(job_context.executor, "last_words", "")
    return dg.DagsterEvent.job_failure(
        job_context,
        f"Steps failed: {keys}. {said}".rstrip(),
        failure_reason=RunFailureReason.STEP_FAILURE,
        first_step_failure_event=failed[0],
    )
