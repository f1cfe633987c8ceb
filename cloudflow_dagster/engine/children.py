"""`flow.call`: another flow as a run of its own, in this process, linked to the one that waits."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from cloudflow_dagster.engine import tags
from cloudflow_dagster.engine.calls import Caller, waiting_for, written
from cloudflow_dagster.engine.dead_runs import found_dead, resumed_by_itself
from cloudflow_dagster.engine.lineage import lineage_of
from cloudflow_dagster.engine.params import ParamsError, checked_params
from cloudflow_dagster.engine.run_list import flow_of
from cloudflow_dagster.engine.this_process import process_is_gone
from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.call import CallLog
from cloudflow_dagster.nodes.errors import Canceled, NodeError
from cloudflow_dagster.plan import Plan
from cloudflow_dagster.project import Project
from cloudflow_dagster.runtime.intents import Intent
from cloudflow_dagster.runtime.outcome import MAYBE_DONE, asks
from cloudflow_dagster.runtime.plans import Plans
from cloudflow_dagster.runtime.run import ChildCall, ChildWaits, Run

_RESUME = "dagster/is_resume_retry"
_REASON = "dagster/failure_reason"
_STEP = "STEP_FAILURE"


@dataclass(frozen=True)
class DagsterChildRuns:
    """Runs flows for a run that waits for them.

    Attributes:
        project: Where the flows are.
        instance: Where the runs are kept.
        parent: The run that waits.
    """

    project: Project
    instance: dg.DagsterInstance
    parent: dg.DagsterRun

    def run_flow(self, call: ChildCall, parent: Run, *, log: CallLog) -> Json:
        """Run a flow to its end and return its result.

        Raises:
            NodeError: There is no such flow, it is broken, the params do not fit, it reaches itself
                too often, or its run failed.
            Canceled: The run that waits was told to stop.
            ChildWaits: It is suspended.
        """
        # A job has this as a part, so it cannot import at the top what makes jobs.
        from cloudflow_dagster.engine.in_process import NewRun, create_run  # noqa: PLC0415

        chain = self._chain(parent)
        _check_depth(call.flow, [caller.flow for caller in chain], call.max_depth)
        loaded = self._load(call.flow)
        _check_params(loaded.plan, call.params)
        marks = {**self._marks(parent), tags.CALL: call.token}
        new = NewRun(config={"params": call.params}, tags=marks)
        run = create_run(self.instance, loaded.job, new)
        log.info(f"Runs the flow `{call.flow}`: run {run.run_id}.")
        return self._execute(call.flow, loaded, run, parent, log)

    def begun(self, token: str) -> str | None:
        """Return the run that goes on from what a call began; None if it began nothing."""
        found = self.instance.get_runs(dg.RunsFilter(tags={tags.CALL: token}))
        # Dagster's pages copy all tags to a run that does everything anew.
        line = [run for run in found if run.parent_run_id is None or _RESUME in run.tags]
        ended_well = [run for run in line if run.status is dg.DagsterRunStatus.SUCCESS]
        goes_on = [run for run in line if not run.is_finished]
        return next((run.run_id for run in (*ended_well, *goes_on, *line)), None)

    def go_on(self, call: ChildCall, run: str, parent: Run, *, log: CallLog) -> Json:
        """Return the result of a child run that was begun by an interrupted attempt at this call.

        One whose process died with that attempt is gone on with here, as a new run, and so is one
        that asked something, if that is answered.

        Raises:
            NodeError: It failed, or is gone.
            Canceled: The run that waits was told to stop.
            ChildWaits: It goes on elsewhere, or is suspended.
        """
        from cloudflow_dagster.engine.retrying import CannotRetry, new_run  # noqa: PLC0415 - above

        child = self._as_it_is(run)
        if child is None:
            raise NodeError(
                "ChildGone", f"The run {run} of `{call.flow}` was deleted.", transient=False
            )
        if not child.is_finished:
            log.info(f"Waits for the run {run} of `{call.flow}`, which goes on.")
            raise ChildWaits(run)
        if child.status is dg.DagsterRunStatus.SUCCESS or (
            _failed_by_itself(child) and not self._is_answered(call.flow, child)
        ):
            return self._result_of(call.flow, child)
        loaded = self._load(call.flow)
        try:
            again = new_run(
                self.instance, loaded.job, child, whole=False, marks=self._marks(parent)
            )
        except CannotRetry as error:
            raise NodeError("ChildFailed", str(error), transient=False) from None
        log.info(f"Goes on with the run {run} of `{call.flow}`: run {again.run_id}.")
        return self._execute(call.flow, loaded, again, parent, log)

    def _as_it_is(self, run: str) -> dg.DagsterRun | None:
        """Return a child run; one whose process died is reported as failed first."""
        child = self.instance.get_run_by_id(run)
        if child is None:
            return None
        mark = child.tags.get(tags.IN_PROCESS)
        if child.status is dg.DagsterRunStatus.NOT_STARTED and mark and process_is_gone(mark):
            self.instance.report_run_failed(child, "The process that recorded the run is gone.")
        else:
            found_dead(self.project, self.instance, child)
        return self.instance.get_run_by_id(run)

    def _execute(
        self, flow: str, loaded: Any, run: dg.DagsterRun, parent: Run, log: CallLog
    ) -> Json:
        """Execute a child run in this process."""
        from cloudflow_dagster.engine.flow_runs import FlowRun, execute_to_end  # noqa: PLC0415

        began = time.monotonic()
        new = FlowRun(
            plan=loaded.plan, job=loaded.job, config=run.run_config, parent=self.parent.run_id
        )
        summary = execute_to_end(self.project, self.instance, new, run)
        log.info(
            f"The run {run.run_id} of `{flow}`: {summary['status']} after "
            f"{time.monotonic() - began:.2f} s."
        )
        if parent.stop.is_set():
            raise Canceled
        if summary["status"] == "waiting":
            raise ChildWaits(run.run_id)
        return _result(flow, summary)

    def _chain(self, parent: Run) -> list[Caller]:
        return [*waiting_for(self.parent), Caller(parent.plan.flow, self.parent.run_id)]

    def _marks(self, parent: Run) -> dict[str, str]:
        """Return the tags of a child run."""
        return {
            tags.PARENT_RUN: self.parent.run_id,
            tags.CALL_CHAIN: written(self._chain(parent)),
            # Whoever goes on with the run that waits goes on with this one.
            **resumed_by_itself(0),
        }

    def has_ended(self, run: str) -> bool:
        """Return whether a child run has ended, has died, or is gone."""
        child = self._as_it_is(run)
        return child is None or child.is_finished

    def _result_of(self, flow: str, child: dg.DagsterRun) -> Json:
        """Return the result of a child run that has ended.

        Raises:
            NodeError: It failed, was canceled, or what it is a run of is not known.
        """
        from cloudflow_dagster.engine.flow_runs import summary_of  # noqa: PLC0415 - as above

        plan = self._plan_of(flow, child)
        return _result(flow, summary_of(self.project, self.instance, plan, child.run_id))

    def _plan_of(self, flow: str, child: dg.DagsterRun) -> Plan:
        return Plans(self.project.records).of_run(child.run_id) or self._load(flow).plan

    def _is_answered(self, flow: str, child: dg.DagsterRun) -> bool:
        """Return whether a run has failed at questions that are all answered now.

        `cloudflow answer` goes on with such a run, unless it is killed before it does.
        """
        from cloudflow_dagster.engine.answers import unsettled  # noqa: PLC0415 - as above
        from cloudflow_dagster.engine.run_resource import records_of  # noqa: PLC0415

        lineage = lineage_of(self.instance, child)
        with records_of(self.project, child.run_id, lineage) as records:
            calls = unsettled(self._plan_of(flow, child), records)
        asked = [call.answer is not None for call in calls if call.state == "asked"]
        # It may have failed because a run asks that it has called.
        called = [self._has_no_question(call) for call in calls if call.state == "unsure"]
        answers = [*asked, *(known for known in called if known is not None)]
        return bool(answers) and all(answers)

    def _has_no_question(self, call: Intent) -> bool | None:
        """Return whether a run that a call began can be gone on with; None if it began none."""
        run = self.begun(call.key.token)
        child = self._as_it_is(run) if run is not None else None
        if child is None:
            return None
        if not _failed_by_itself(child):
            return child.status is dg.DagsterRunStatus.SUCCESS
        return self._is_answered(flow_of(child), child)

    def cancel(self, run: str) -> None:
        """Cancel a child run that is suspended."""
        child = self.instance.get_run_by_id(run)
        if child is not None and child.status is dg.DagsterRunStatus.SUSPENDED:
            self.instance.report_run_canceled(child, message="The run that waits for it has ended.")

    def _load(self, flow: str) -> Any:
        from cloudflow_dagster.engine.folder import FlowFolder, UnknownFlowError  # noqa: PLC0415

        try:
            loaded = FlowFolder(self.project).one(flow)
        except UnknownFlowError as error:
            raise NodeError("UnknownFlow", str(error), transient=False) from None
        if loaded.plan is None:
            raise NodeError(
                "BrokenFlow",
                f"The flow `{flow}` is broken: see `cloudflow check {loaded.compiled.file}`.",
                transient=False,
            )
        return loaded


def _check_depth(flow: str, chain: Sequence[str], max_depth: int | None) -> None:
    """Let a flow reach itself only as deep as the call says."""
    depth = chain.count(flow)
    if depth == 0:
        return
    way = " → ".join([*chain[-5:], flow])
    if max_depth is None:
        raise NodeError(
            "Recursion",
            f"The flow reaches itself ({way}). If that is meant, set `max_depth`.",
            transient=False,
        )
    if depth >= max_depth:
        raise NodeError(
            "MaxDepth",
            f"`{flow}` would be {depth + 1} deep in itself, and `max_depth` is {max_depth}.",
            transient=False,
        )


def _check_params(plan: Plan, params: Json) -> None:
    try:
        checked_params(plan, params or {})
    except ParamsError as error:
        raise NodeError("InvalidParams", str(error), transient=False) from None


def _result(flow: str, summary: Mapping[str, Any]) -> Json:
    if summary["status"] != "success":
        raise _failed(flow, summary)
    return summary["result"]


def _failed_by_itself(child: dg.DagsterRun) -> bool:
    """Return whether a run failed because a step did, and not because its process died."""
    return child.status is dg.DagsterRunStatus.FAILURE and child.tags.get(_REASON) == _STEP


def _failed(flow: str, summary: Mapping[str, Any]) -> NodeError:
    code = "ChildFailed" if summary["status"] == "failure" else "ChildCanceled"
    nodes: Mapping[str, Any] = summary["nodes"]
    run = summary["run_id"]
    asking = next((state["error"] for state in nodes.values() if asks(state.get("error"))), None)
    if asking is not None:
        # Unsure: once that is answered, this call goes on with what the child run has done.
        return NodeError(
            MAYBE_DONE,
            f"The run {run} of `{flow}` asks: {asking['message']} Then go on with this run: "
            "`cloudflow runs retry`.",
            transient=False,
            unsure=True,
        )
    errors = [
        f"`{node}`: {state['error']['code']}: {state['error']['message']}"
        for node, state in nodes.items()
        if state["status"] == "failure" and state.get("error")
    ]
    why = f" {errors[0]}" if errors else ""
    return NodeError(
        code,
        f"The run {summary['run_id']} of `{flow}` ended with {summary['status']}.{why}",
        transient=False,
        # Where all is stopped, the child run can end before the one that waits is told to: what it
        # has done is gone on with then.
        unsure=code == "ChildCanceled",
    )
