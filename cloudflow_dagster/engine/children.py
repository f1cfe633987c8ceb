"""`flow.call`: another flow as a run of its own, in this process, linked to the one that waits."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from cloudflow_dagster.engine import tags
from cloudflow_dagster.engine.calls import Caller, waiting_for, written
from cloudflow_dagster.engine.params import ParamsError, checked_params
from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.call import CallLog
from cloudflow_dagster.nodes.errors import Canceled, NodeError
from cloudflow_dagster.plan import Plan
from cloudflow_dagster.project import Project
from cloudflow_dagster.runtime.plans import Plans
from cloudflow_dagster.runtime.run import ChildWaits, Run


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

    def run_flow(
        self, flow: str, params: Json, max_depth: int | None, parent: Run, *, log: CallLog
    ) -> Json:
        """Run a flow to its end and return its result.

        Raises:
            NodeError: There is no such flow, it is broken, the params do not fit, it reaches itself
                too often, or its run failed.
            Canceled: The run that waits was told to stop.
            ChildWaits: It is suspended.
        """
        # A job has this as a part, so it cannot import at the top what makes jobs.
        from cloudflow_dagster.engine.flow_runs import FlowRun, run_to_end  # noqa: PLC0415

        chain = [*waiting_for(self.parent), Caller(parent.plan.flow, self.parent.run_id)]
        _check_depth(flow, [caller.flow for caller in chain], max_depth)
        loaded = self._load(flow)
        _check_params(loaded.plan, params)
        began = time.monotonic()
        summary = run_to_end(
            self.project,
            self.instance,
            FlowRun(
                plan=loaded.plan,
                job=loaded.job,
                config={"params": params},
                tags={
                    tags.PARENT_RUN: self.parent.run_id,
                    tags.CALL_CHAIN: written(chain),
                },
                parent=self.parent.run_id,
                on_start=lambda run: log.info(f"Runs the flow `{flow}`: run {run.run_id}."),
            ),
        )
        log.info(
            f"The run {summary['run_id']} of `{flow}`: {summary['status']} after "
            f"{time.monotonic() - began:.2f} s."
        )
        if parent.stop.is_set():
            raise Canceled
        if summary["status"] == "waiting":
            raise ChildWaits(summary["run_id"])
        return _result(flow, summary)

    def has_ended(self, run: str) -> bool:
        """Return whether a child run that was suspended has ended, or is gone."""
        child = self.instance.get_run_by_id(run)
        return child is None or child.is_finished

    def result_of(self, flow: str, run: str) -> Json:
        """Return the result of a child run that has ended.

        Raises:
            NodeError: It failed, was canceled, or is gone.
        """
        from cloudflow_dagster.engine.flow_runs import summary_of  # noqa: PLC0415 - as above

        plan = Plans(self.project.records).of_run(run)
        if plan is None or self.instance.get_run_by_id(run) is None:
            raise NodeError("ChildGone", f"The run {run} of `{flow}` was deleted.", transient=False)
        return _result(flow, summary_of(self.project, self.instance, plan, run))

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


def _failed(flow: str, summary: Mapping[str, Any]) -> NodeError:
    code = "ChildFailed" if summary["status"] == "failure" else "ChildCanceled"
    nodes: Mapping[str, Any] = summary["nodes"]
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
    )
