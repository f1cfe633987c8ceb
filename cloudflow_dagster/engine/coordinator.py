"""Starts runs of flows without limits at once, and keeps the others in Dagster's queue.

Extends Dagster's queued coordinator, whose daemon takes runs out of the queue by the limits that
the coordinator names; these are asked for anew in each of its rounds. Checked on Dagster 1.13.27.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import dagster as dg
from dagster._core.run_coordinator import SubmitRunContext
from dagster._core.run_coordinator.queued_run_coordinator import RunQueueConfig
from dagster._serdes import ConfigurableClassData

from cloudflow_dagster.engine import tags
from cloudflow_dagster.engine.concurrency import (
    Verdict,
    ask_for_place,
    queued_limits,
    rule_of,
    skipped,
)

_UNLIMITED = -1


class FlowRunCoordinator(dg.QueuedRunCoordinator):
    """The run coordinator of a project's instance (`run_coordinator` in `dagster.yaml`)."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(
            max_concurrent_runs=_UNLIMITED, dequeue_interval_seconds=1, inst_data=inst_data
        )

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """It has no settings: what may run at the same time stands in the flows."""
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]
    ) -> Self:
        """Make one, as `dagster.yaml` says."""
        del config_value
        return cls(inst_data)

    def get_run_queue_config(self) -> RunQueueConfig:
        """Return the limits for the runs that are in the queue now."""
        queued = self._instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]))
        return RunQueueConfig(
            max_concurrent_runs=_UNLIMITED, tag_concurrency_limits=queued_limits(list(queued))
        )

    def submit_run(self, context: SubmitRunContext) -> dg.DagsterRun:
        """Launch a run, queue it, or cancel it because it is to be skipped."""
        run = context.dagster_run
        if run.tags.get(tags.IN_PROCESS):
            # Copied from the run that this one does again. Tags can be emptied, not taken away.
            self._instance.add_run_tags(run.run_id, {tags.IN_PROCESS: ""})
        rule = rule_of(run)
        if rule is None or run.status is not dg.DagsterRunStatus.NOT_STARTED:
            return self._launch(context)
        match ask_for_place(self._instance, run, rule, in_turn=True):
            case Verdict.GO:
                return self._launch(context)
            case Verdict.WAIT:
                return super().submit_run(context)
            case Verdict.SKIP:
                self._instance.report_run_canceled(run, message=skipped(rule))
                return self._now(run)

    def _launch(self, context: SubmitRunContext) -> dg.DagsterRun:
        run = context.dagster_run
        if run.status is dg.DagsterRunStatus.NOT_STARTED:
            self._instance.launch_run(run.run_id, context.workspace)
        return self._now(run)

    def _now(self, run: dg.DagsterRun) -> dg.DagsterRun:
        return self._instance.get_run_by_id(run.run_id) or run
