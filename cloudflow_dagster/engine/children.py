"""`flow.call`: another flow as a run of its own, in this process, linked to the one that waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from cloudflow_dagster.engine import tags
from cloudflow_dagster.engine.calls import Caller, waiting_for, written
from cloudflow_dagster.engine.params import ParamsError, checked_params
from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.errors import Canceled, NodeError
from cloudflow_dagster.plan import Plan
from cloudflow_dagster.project import Project
from cloudflow_dagster.runtime.run import Run


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

    def run_flow(self, flow: str, params: Json, max_depth: int | None, parent: Run) -> Json:
        """Run a flow to its end and return its result.

        Raises:
            NodeError: There is no such flow, it is broken, the params do not fit, it reaches itself
                too often, or its run failed.
            Canceled: The run that waits was told to stop.
        """
        # A job has this as a part, so it cannot import at the top what makes jobs.
        from cloudflow_dagster.engine.flow_runs import FlowRun, run_to_end  # noqa: PLC0415

        chain = [*waiting_for(self.parent), Caller(parent.plan.flow, self.parent.run_id)]
        _check_depth(flow, [caller.flow for caller in chain], max_depth)
        loaded = self._load(flow)
        _check_params(loaded.plan, params)
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
            ),
        )
        if parent.stop.is_set():
            raise Canceled
        if summary["status"] != "success":
            raise _failed(flow, summary)
        return summary["result"]

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
