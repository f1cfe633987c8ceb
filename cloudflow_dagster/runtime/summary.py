"""What came of a run: the object that `cloudflow run --format json` prints."""

from __future__ import annotations

from typing import Literal

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.spec import Behaviour, Kind
from cloudflow_dagster.plan import Plan, Step
from cloudflow_dagster.runtime.outcome import unhandled
from cloudflow_dagster.runtime.record import Record, RecordKey, Records, Status, Tally
from cloudflow_dagster.runtime.undoing import compensation_of

RunStatus = Literal["success", "failure", "waiting", "canceled"]
NodeStatus = Status | Literal["waiting"]

_WORST_FIRST: tuple[Status, ...] = ("failure", "canceled", "not_run", "success", "skipped")
"""Of a body node's items. One that was skipped is no worse than one that ran."""


def summarise(
    plan: Plan,
    records: Records,
    status: RunStatus | None = None,
    *,
    only: str | None = None,
    waiting: frozenset[str] = frozenset(),
) -> dict[str, Json]:
    """Return `{run_id, status, result, nodes: {<id>: {status, output, error, attempts}}}`.

    Of a run that was undone, `compensation` says what came of that.

    Args:
        plan: The plan that was run.
        records: Those of the run, which has ended or is suspended.
        status: How the engine says that it ended; None: as its nodes say.
        only: Id of the one node that was run, if the others were not.
        waiting: Ids of the nodes that a suspended run waits at.
    """
    statuses = _Statuses(plan, records, only, waiting)
    nodes = {step.id: statuses.node(step) for step in plan.walk()}
    compensation = compensation_of(plan, records)
    return {
        "run_id": records.run_id,
        "status": status or statuses.of_run(),
        "result": result_of(plan, records, only=only),
        "nodes": nodes,
        **({} if compensation is None else {"compensation": compensation}),
    }


def result_of(plan: Plan, records: Records, *, only: str | None = None) -> Json:
    """Return the flow's result: of the `flow.result` nodes that ran the last one's, or null."""
    for step in reversed(plan.steps):
        if step.behaviour is Behaviour.RESULT and not step.disabled:
            record = _own(records, step, only)
            if record is not None and record.status == "success":
                return record.output
    return None


def failure_of(
    plan: Plan, records: Records, *, only: str | None = None
) -> tuple[str, dict[str, Json]] | None:
    """Return the node whose failure made the run fail, and its error; None if there is none."""
    for step in plan.steps:
        record = _own(records, step, only)
        if record is not None and record.status == "failure" and unhandled(step, record):
            return step.id, record.error or {}
    return None


def _own(records: Records, step: Step, only: str | None) -> Record | None:
    """Return the record of a step outside loops, if it took part in the run."""
    if only is not None and only != step.id:
        return None
    return records.read(RecordKey(step.id))


class _Statuses:
    """How each step ended, also those that left no record."""

    def __init__(
        self, plan: Plan, records: Records, only: str | None, waiting: frozenset[str]
    ) -> None:
        self._plan = plan
        self._all = records
        self._only = only
        facts = records.load_run()
        self._trigger = facts.trigger_node if facts else None
        self._steps = {step.id: step for step in plan.steps}
        self._records = {step.id: _own(records, step, only) for step in plan.steps}
        loops = {loop for step in plan.walk() if step.id in waiting for loop in step.loops}
        self._waiting = waiting | loops
        self._known: dict[str, NodeStatus] = {}
        for step in plan.steps:
            self._known[step.id] = self._outside_loops(step)

    def of_run(self) -> RunStatus:
        """Return how the run ended."""
        if failure_of(self._plan, self._all, only=self._only) is not None:
            return "failure"
        return "canceled" if "canceled" in self._known.values() else "success"

    def node(self, step: Step) -> dict[str, Json]:
        """Return what is said of one node."""
        if step.loops:
            return self._in_loop(step)
        record = self._records[step.id]
        return {
            "status": self._known[step.id],
            "output": record.output if record is not None and record.has_output else None,
            "error": record.error if record is not None else None,
            "attempts": record.attempts if record is not None else 0,
        }

    def _outside_loops(self, step: Step) -> NodeStatus:
        """Return how a step ended; those before it in the plan are known."""
        record = self._records[step.id]
        if step.id in self._waiting and record is None:
            return "waiting"
        if record is not None:
            return record.status
        if self._only is not None:
            return "not_run"
        if step.kind is Kind.TRIGGER:
            chosen = step.id == self._trigger and not step.disabled
            return "not_run" if chosen else "skipped"
        if any(self._is_blocked(edge.source) for edge in step.inputs):
            return "not_run"
        # It should have run if something came in: the run was ended before.
        arrived = any(self._delivers(edge.source, edge.source_port) for edge in step.inputs)
        return "not_run" if arrived or not step.inputs else "skipped"

    def _is_blocked(self, source: str) -> bool:
        if self._known[source] in {"not_run", "waiting"}:
            return True
        record = self._records[source]
        return record is not None and unhandled(self._steps[source], record)

    def _delivers(self, source: str, port: str) -> bool:
        record = self._records[source]
        return record is not None and port in record.ports

    def _in_loop(self, step: Step) -> dict[str, Json]:
        outermost = step.loops[0]
        loop = self._known[outermost]
        tally = Tally({}, 0, None)
        if self._only in {None, outermost} and loop != "skipped":
            tally = self._all.tally(step.id, outermost, len(step.loops))
        found: NodeStatus | None = next(
            (status for status in _WORST_FIRST if tally.statuses.get(status)), None
        )
        if step.id in self._waiting and found != "failure":
            found = "waiting"
        # Without a record no iteration came to it.
        left_out: Status = "skipped" if loop in {"success", "skipped"} else "not_run"
        return {
            "status": found or left_out,
            "output": None,
            "error": tally.error,
            "attempts": tally.attempts,
        }
