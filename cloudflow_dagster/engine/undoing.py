"""What is undone when a run of a flow has failed, as events of the run.

It is done by whoever executes the run, before the run has ended: until then it counts as one that
goes on, so that its process is watched, and a run that goes on where that one died continues.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
from dagster._core.events import EngineEventData
from dagster._core.execution.context.system import PlanExecutionContext
from dagster_shared.error import SerializableErrorInfo

from cloudflow_dagster.engine import stops, tags
from cloudflow_dagster.engine.execution import RunSuspended
from cloudflow_dagster.engine.lineage import only_undoes
from cloudflow_dagster.engine.shown import LONGEST
from cloudflow_dagster.engine.steps import StepLog
from cloudflow_dagster.nodes.errors import Canceled
from cloudflow_dagster.runtime.run import Run
from cloudflow_dagster.runtime.summary import failure_of
from cloudflow_dagster.runtime.undoing import Undone, undo

_NOT_FAILED = (
    RunSuspended,
    GeneratorExit,
    KeyboardInterrupt,
    dg.DagsterExecutionInterruptedError,
)
"""With these a run ends, or is left, that has not failed."""
_MOST_NAMED = 20
"""Nodes and items that are named where a run's end is told; the rest is in its records."""
_LONGEST_TAG = 500


class RunUndone(Exception):  # noqa: N818 - what people read in the run's page is its name
    """A run has ended that only undid what another one had done."""


class Undoing:
    """Undoes what a run has done, if it failed and its flow says so.

    Attributes:
        said: What was undone, in one sentence or two; empty if nothing was to be.
    """

    def __init__(self) -> None:
        self.said = ""

    def after(
        self, context: PlanExecutionContext, steps: Iterator[dg.DagsterEvent]
    ) -> Iterator[dg.DagsterEvent]:
        """Yield the events of a run's steps, and if it fails those of what is undone.

        A run that goes on from one that was being undone executes no steps.

        Raises:
            RunUndone: The run has undone what another one had done, and nothing else.
        """
        run = _run_of(context)
        if run is None:
            yield from steps
            return
        if tags.UNDONE in context.dagster_run.tags:
            # It is the word of the run that this one does again.
            context.instance.add_run_tags(context.run_id, {tags.UNDONE: tags.NOT_UNDONE})
        if only_undoes(context.dagster_run) or run.records.undoings.under_way():
            yield from self._only_undo(context, run)
        if not run.plan.on_failure_compensate or run.only is not None:
            yield from steps
            return
        failed = False
        try:
            for event in steps:
                failed |= event.is_step_failure
                yield event
        except _NOT_FAILED:
            raise
        except BaseException:
            # The run's own signal may be set, to end its steps: what undoes them goes on.
            yield from self._undo(context, dataclasses.replace(run, stop=threading.Event()))
            raise
        failed = failed or failure_of(run.plan, run.records, only=run.only) is not None
        if failed and not run.stop.is_set():
            yield from self._undo(context, run)

    def _only_undo(self, context: PlanExecutionContext, run: Run) -> Iterator[dg.DagsterEvent]:
        parent = context.dagster_run.parent_run_id or ""
        context.instance.add_run_tags(context.run_id, {tags.UNDOES: parent})
        yield from self._undo(context, run)
        raise RunUndone(self.said)

    def _undo(self, context: PlanExecutionContext, run: Run) -> Iterator[dg.DagsterEvent]:
        _mark(context.instance, run, "under way")
        count = 0
        failed: list[str] = []
        try:
            for each in undo(run, StepLog(context.log)):
                if each.error is None:
                    count += 1
                elif len(failed) < _MOST_NAMED:
                    failed.append(each.place)
                yield _event(context, each)
                _look_for_a_stop()
        except Canceled:
            raise dg.DagsterExecutionInterruptedError("The run was told to stop.") from None
        self.said = _sentence(count, failed)
        _mark(context.instance, run, self.said)
        yield dg.DagsterEvent.engine_event(context, self.said, EngineEventData())


def _look_for_a_stop() -> None:
    if stops.interrupted():
        raise Canceled


def _mark(instance: dg.DagsterInstance, run: Run, said: str) -> None:
    """Let the pages and whoever goes on see that a run, and those before it, were undone."""
    before = itertools.takewhile(lambda ancestor: ancestor.resume, run.records.lineage)
    for run_id in (run.id, *(ancestor.run_id for ancestor in before)):
        instance.add_run_tags(run_id, {tags.UNDONE: said[:_LONGEST_TAG]})


def _run_of(context: PlanExecutionContext) -> Run | None:
    """Return the run as its steps see it; None if it is not one of a flow."""
    if tags.FLOW not in context.dagster_run.tags:
        return None
    found = context.scoped_resources_builder.resource_instance_dict.get("cloudflow")
    return found if isinstance(found, Run) else None


def _event(context: PlanExecutionContext, done: Undone) -> dg.DagsterEvent:
    """Return what the run's page shows of one node that was undone, or was not."""
    metadata: dict[str, dg.MetadataValue[Any]] = {"undone by": dg.MetadataValue.text(done.type)}
    if done.config is not None:
        text = json.dumps(done.config, ensure_ascii=False)
        metadata["config"] = dg.MetadataValue.text(text[:LONGEST])
    if done.error is None:
        said, error = f"Undone: {done.place}.", None
    else:
        code, message = done.error.get("code"), done.error.get("message")
        said = f"Not undone: {done.place}."
        error = SerializableErrorInfo(f"{code}: {message}\n", [], None)
    return dg.DagsterEvent.engine_event(
        context, said, EngineEventData(metadata=metadata, error=error)
    )


def _sentence(undone: int, failed: Sequence[str]) -> str:
    """Say what was undone and what was not."""
    nodes = "nothing" if not undone else "1 node" if undone == 1 else f"{undone:,} nodes"
    if not failed:
        return f"Undone: {nodes}."
    return f"Undone: {nodes}. Not undone: {', '.join(failed)}."
