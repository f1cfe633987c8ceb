"""One run in detail: its nodes, what went in and came out, and the runs that it is linked to.

Everything is taken from what the run left behind (the plan that Dagster recorded with it, its
events, the records), nothing from the flow's file, which may have changed since or be gone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import Any

import dagster as dg

from cloudflow_dagster.engine import names, tags
from cloudflow_dagster.engine.lineage import lineage_of, was_undone
from cloudflow_dagster.engine.run_error import error_of
from cloudflow_dagster.engine.run_list import ListedRun, listed
from cloudflow_dagster.engine.run_resource import records_of
from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.project import Project
from cloudflow_dagster.runtime.plans import Plans
from cloudflow_dagster.runtime.record import Ancestor, Record, RecordKey
from cloudflow_dagster.runtime.records import SqliteRecords
from cloudflow_dagster.runtime.remembered import Remembered
from cloudflow_dagster.runtime.undoing import compensation_of

_Type = dg.DagsterEventType
_WORST_FIRST = ("failure", "canceled", "not_run", "success", "skipped")
_EXCEPTION = re.compile(r"^dagster\.[\w.]+: ")
"""The class that Dagster puts before what an exception says."""
_MOST_LINKED = 100
"""Runs of one kind that are named as linked."""


@dataclass(frozen=True, kw_only=True)
class ShownNode:
    """What became of one node.

    Attributes:
        id: The node.
        status: `success`, `failure`, `skipped`, `canceled`, `not_run`, `running` or `pending`.
        kept: Whether it was not executed in this run, but in one that this one goes on from.
        seconds: How long it worked, until now if it still does; None if it never did.
        attempts: How often it was tried.
        items: For a node of a loop's body how many items ended with which status.
        input: What came in, as Dagster's pages show it; None if nothing did.
        output: What it gave.
        has_output: Whether it gave anything, be it null.
        error: `{node, code, message, provider_request_id, attempts}` after a failure.
    """

    id: str
    status: str
    kept: bool = False
    seconds: float | None = None
    attempts: int = 0
    items: Mapping[str, int] = field(default_factory=dict[str, int])
    input: Json = None
    output: Json = None
    has_output: bool = False
    error: Mapping[str, Json] | None = None

    def as_json(self) -> dict[str, Json]:
        """Return what `--format json` prints."""
        return {
            "status": self.status,
            "kept": self.kept,
            "seconds": self.seconds,
            "attempts": self.attempts,
            "items": dict(self.items),
            "input": self.input,
            "output": self.output,
            "error": dict(self.error) if self.error is not None else None,
        }


@dataclass(frozen=True, kw_only=True)
class RunDetails:
    """A run in detail.

    Attributes:
        run: It as one line.
        message: Why it failed as a whole, or "".
        nodes: Its nodes, those first that others hang on.
        first_run: The first of its line of re-executions, if it is not that itself.
        retried_by: The runs that did it again.
        calls: The runs that its `flow.call` nodes started.
        on_failure: The runs that were started after its failure.
        compensation: `{undone, not_undone}` if it was undone.
    """

    run: ListedRun
    message: str
    nodes: Sequence[ShownNode]
    first_run: str | None
    retried_by: Sequence[str]
    calls: Sequence[str]
    on_failure: Sequence[str]
    compensation: Mapping[str, Json] | None = None

    def as_json(self) -> dict[str, Json]:
        """Return what `--format json` prints."""
        return {
            **self.run.as_json(),
            "message": self.message or None,
            "first_run": self.first_run,
            "retried_by": list(self.retried_by),
            "calls": list(self.calls),
            "on_failure": list(self.on_failure),
            "nodes": {node.id: node.as_json() for node in self.nodes},
            "compensation": None if self.compensation is None else dict(self.compensation),
        }


def details_of(project: Project, instance: dg.DagsterInstance, record: dg.RunRecord) -> RunDetails:
    """Return a run in detail.

    Args:
        project: Where the records lie.
        instance: The history.
        record: The run.
    """
    run = record.dagster_run
    root = run.root_run_id
    return RunDetails(
        run=listed(record),
        message=_message_of(instance, run),
        nodes=list(_Nodes(project, instance, run).all()),
        first_run=root if root not in {None, run.run_id, run.parent_run_id} else None,
        retried_by=_with_tag(instance, "dagster/parent_run_id", run.run_id),
        calls=_with_tag(instance, tags.PARENT_RUN, run.run_id),
        on_failure=_with_tag(instance, tags.FAILURE_OF, run.run_id),
        compensation=_compensation(project, instance, run),
    )


def _compensation(
    project: Project, instance: dg.DagsterInstance, run: dg.DagsterRun
) -> dict[str, Json] | None:
    if not was_undone(run):
        return None
    plan = Plans(project.records).of_run(run.run_id)
    if plan is None:
        return None
    with records_of(project, run.run_id, lineage_of(instance, run)) as records:
        return compensation_of(plan, records)


def nodes_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[str]:
    """Return the nodes of a run outside loops, in the order of their edges."""
    return list(_planned(instance, run))


def _with_tag(instance: dg.DagsterInstance, tag: str, run_id: str) -> list[str]:
    """Return the runs that have a tag with this run's id, the oldest first."""
    found = instance.get_run_ids(dg.RunsFilter(tags={tag: run_id}), limit=_MOST_LINKED)
    return list(reversed(found))


def _message_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """Return what Dagster says of a run that failed or was canceled."""
    if run.status not in {dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}:
        return ""
    ends = {_Type.RUN_FAILURE, _Type.RUN_CANCELED}
    found = instance.get_records_for_run(run.run_id, of_type=ends, limit=1, ascending=False)
    for each in found.records:
        event = each.event_log_entry.dagster_event
        if event is None:
            continue
        error = error_of(event)
        said = (error.message if error else event.message or "").strip()
        return _EXCEPTION.sub("", said)
    return ""


@dataclass(frozen=True)
class _Planned:
    """What was planned for a node."""

    own: bool
    """Whether this run executes it."""
    last: str
    """The key of its last step."""


@dataclass(frozen=True)
class _Step:
    """What Dagster's events say of a node: of its one step, or a loop's steps together."""

    statuses: frozenset[str]
    seconds: float | None
    attempts: int
    ended: bool
    """Whether its last step has ended."""


class _Nodes:
    """The nodes of a run."""

    def __init__(self, project: Project, instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
        self._instance = instance
        self._run = run
        self._lineage = lineage_of(instance, run)
        path = project.records
        self._remembered = Remembered(path)
        # Records that are opened remember their run, and what is asked for here may be deleted.
        known = self._remembered.knows(run.run_id)
        self._records = SqliteRecords(path, run.run_id, self._lineage) if known else None

    def all(self) -> Iterator[ShownNode]:
        """Yield what became of each, and after a loop of the nodes in its body."""
        planned = _planned(self._instance, self._run)
        steps = _steps(self._instance, self._run, planned)
        inputs = _inputs(self._instance, self._run)
        bodies = self._bodies(set(planned))
        for node, plan in planned.items():
            yield self._node(node, plan, steps.get(node), inputs.get(node))
        yield from bodies

    def _node(self, node: str, plan: _Planned, step: _Step | None, came_in: Json) -> ShownNode:
        record = self._records.read(RecordKey(node)) if self._records else None
        output = record.output if record is not None and record.has_output else None
        return ShownNode(
            id=node,
            status=self._status(plan, record, step),
            kept=not plan.own and record is not None,
            seconds=step.seconds if step else None,
            attempts=max(record.attempts if record else 0, step.attempts if step else 0),
            input=came_in,
            output=output,
            has_output=record is not None and record.has_output,
            error=record.error if record is not None else None,
        )

    def _status(self, plan: _Planned, record: Record | None, step: _Step | None) -> str:
        going_on = not self._run.is_finished
        if plan.own and step is not None and going_on and not step.ended:
            return "running"
        if record is not None:
            return record.status
        if step is None:
            return "pending" if going_on and plan.own else "not_run"
        worst = next((word for word in _WORST_FIRST if word in step.statuses), None)
        return worst or ("running" if going_on else "canceled")

    def _bodies(self, outside: set[str]) -> list[ShownNode]:
        """Return what became of the nodes in the bodies of loops."""
        runs = [self._run.run_id, *_resumed(self._lineage)]
        counted: dict[str, dict[str, int]] = {}
        attempts: dict[str, int] = {}
        for count in self._remembered.body_counts(runs):
            # Under the id of a loop stand its iterations, which are no node.
            if count.node not in outside:
                counted.setdefault(count.node, {})[count.status] = count.items
                attempts[count.node] = max(attempts.get(count.node, 0), count.attempts)
        return [
            ShownNode(
                id=node,
                status=next(word for word in (*_WORST_FIRST, *items) if word in items),
                attempts=attempts[node],
                items=items,
            )
            for node, items in counted.items()
        ]


def _resumed(lineage: Sequence[Ancestor]) -> Iterator[str]:
    """Yield the runs whose items of loops are kept."""
    for ancestor in lineage:
        if not ancestor.resume:
            return
        yield ancestor.run_id


def _planned(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dict[str, _Planned]:
    """Return what was planned for the nodes outside loops, in the order of their edges."""
    snapshot_id = run.execution_plan_snapshot_id
    if snapshot_id is None:
        return {}
    # Dagster's types for it are partly unknown.
    snapshot: Any = instance.get_execution_plan_snapshot(snapshot_id)
    deps: dict[str, set[str]] = snapshot.step_deps
    sorter = TopologicalSorter({key: sorted(before) for key, before in deps.items()})
    chosen = {names.node_of(key)[0] for key in run.step_keys_to_execute or deps}
    planned: dict[str, _Planned] = {}
    for key in sorter.static_order():
        node, _ = names.node_of(key)
        done = names.done_op(node)
        planned.setdefault(node, _Planned(node in chosen, done if done in deps else node))
    return planned


def _steps(
    instance: dg.DagsterInstance, run: dg.DagsterRun, planned: Mapping[str, _Planned]
) -> dict[str, _Step]:
    """Return what Dagster's events say of each node."""
    parts: dict[str, list[Any]] = {}
    for stats in instance.get_run_step_stats(run.run_id):
        parts.setdefault(names.node_of(stats.step_key)[0], []).append(stats)
    return {
        node: _together(stats, planned[node].last)
        for node, stats in parts.items()
        if node in planned
    }


def _together(stats: Sequence[Any], last: str) -> _Step:
    statuses = frozenset(s.status.value.lower() for s in stats if s.status)
    begun = [s.start_time for s in stats if s.start_time is not None]
    ended = [s.end_time for s in stats if s.end_time is not None]
    return _Step(
        statuses=statuses - {"in_progress"},
        seconds=round(max(ended) - min(begun), 3) if begun and ended else None,
        attempts=max((s.attempts or 0 for s in stats), default=0),
        ended=any(s.step_key == last and s.end_time is not None for s in stats),
    )


def _inputs(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dict[str, Json]:
    """Return what came into the nodes, as the metadata of their events show it."""
    found: dict[str, Json] = {}
    kinds = {_Type.STEP_OUTPUT, _Type.STEP_FAILURE}
    for entry in instance.all_logs(run.run_id, of_type=kinds):
        event = entry.dagster_event
        if event is None or entry.step_key is None:
            continue
        came_in = _metadata_of(event).get("input")
        if came_in is not None:
            found.setdefault(names.node_of(entry.step_key)[0], came_in.value)
    return found


def _metadata_of(event: dg.DagsterEvent) -> Mapping[str, dg.MetadataValue[Any]]:
    if event.event_type is _Type.STEP_OUTPUT:
        return event.step_output_data.metadata
    user_failure = event.step_failure_data.user_failure_data
    return user_failure.metadata if user_failure else {}
