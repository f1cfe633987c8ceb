"""Undoes what a run that failed has done: `compensate` of its nodes, the newest success first.

What undoes a node is a step like any other: it has a record of its own, and its call an intent, so
that it is made once, also by a run that goes on after this one was killed in the middle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.call import CallLog
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.plan import Plan, Step
from cloudflow_dagster.runtime.attempt import Attempt, log_of
from cloudflow_dagster.runtime.frame import Frame
from cloudflow_dagster.runtime.incoming import Incoming, incoming
from cloudflow_dagster.runtime.iteration import execute_to_end
from cloudflow_dagster.runtime.outcome import MAYBE_DONE
from cloudflow_dagster.runtime.record import Record, RecordKey, Records
from cloudflow_dagster.runtime.run import Run

MOST_LISTED = 1_000
"""Nodes and items that are listed by name, of those that could not be undone."""


@dataclass(frozen=True, slots=True)
class Undone:
    """What came of undoing one node, or one item of a loop.

    Attributes:
        node: The node that was to be undone.
        items: The indices of the loops around it, the outermost first.
        type: The node type that undoes it.
        config: What that was given, without secrets; None if it could not be worked out.
        error: Why it could not be undone; None if it was.
    """

    node: str
    items: tuple[int, ...]
    type: str
    config: Json = None
    error: Mapping[str, Json] | None = None

    @property
    def place(self) -> str:
        """The node, and which item of it."""
        return f"{self.node}[{', '.join(map(str, self.items))}]" if self.items else self.node

    def as_json(self) -> dict[str, Json]:
        """Return what a list of what could not be undone holds of it."""
        error = self.error or {}
        return {
            "node": self.node,
            "items": list(self.items),
            "type": self.type,
            "config": self.config,
            "code": error.get("code"),
            "message": error.get("message"),
        }


def undo(run: Run, log: CallLog) -> Iterator[Undone]:
    """Undo what a run, and those that it goes on from, has done; yield what came of each.

    What an earlier process undid is left out. The run's failure is not touched by what goes wrong.

    Raises:
        Canceled: The run was told to stop; a run that goes on with this one continues.
        RecordsError: The records cannot be read or written, or another run goes on with this one.
    """
    records = run.records
    records.undoings.begin()
    undone: set[str] = set()
    owners = {step.id: run.owner(step) for step in _undoable(run)}
    for key in _maybe_done(run, owners):
        yield _tell_maybe_done(run, run.steps[key.node], key)
    for key, _ in records.newest("success", owners):
        step = run.steps[key.node]
        done = _undo_one(run, step, key, log)
        if done is not None:
            yield done
        if done is None or done.error is None:
            undone.add(owners[key.node])
    records.undoings.end(_with_all_after(run.plan, undone))


def _undoable(run: Run) -> Iterator[Step]:
    for step in run.plan.walk():
        if step.compensate is not None and not (run.pinned and step.pinned):
            yield step


def _maybe_done(run: Run, owners: Mapping[str, str]) -> list[RecordKey]:
    """Return the nodes and items of which nobody knows whether their call was carried out."""
    records = run.records
    roots = {records.token_run(owner) for owner in owners.values()}
    found: dict[RecordKey, None] = {}
    for intent in (intent for root in sorted(roots) for intent in records.intents.unsettled(root)):
        key = intent.key.record
        if key.node in owners:
            record = _recorded(records, key, owners[key.node])
            if record is None or record.status != "success":
                found[key] = None
    return list(found)


def _tell_maybe_done(run: Run, step: Step, key: RecordKey) -> Undone:
    undoing = step.compensate
    assert undoing is not None  # noqa: S101 - the caller chose those that have it
    error: dict[str, Json] = {
        "node": key.node,
        "code": MAYBE_DONE,
        "message": f"Nobody knows whether `{step.type}` was carried out: its answer was lost. See "
        "for yourself, and undo it by hand if it was.",
        "provider_request_id": None,
        "attempts": 0,
    }
    run.records.write(RecordKey(undoing.id, key.indices), Record("failure", error=error))
    return Undone(key.node, key.indices, undoing.type, None, error)


def _undo_one(run: Run, step: Step, key: RecordKey, log: CallLog) -> Undone | None:
    """Undo one success; return None if that was done before."""
    undoing = step.compensate
    if undoing is None:  # pragma: no cover - the caller chose those that have it
        return None
    before = _recorded(run.records, RecordKey(undoing.id, key.indices), run.owner(step))
    if before is not None and before.status == "success":
        return None
    frame = _frame_of(run, undoing, key)
    config = _shown_config(frame, undoing, log)
    record = execute_to_end(frame, undoing, lambda _step, _indices: log)
    if record.status == "success":
        return Undone(key.node, key.indices, undoing.type, config)
    told = Record(
        "failure",
        error={**(record.error or _NOTHING_CAME_IN), "node": key.node},
        attempts=record.attempts,
        state={"config": config},
    )
    frame.write(undoing, told)
    return Undone(key.node, key.indices, undoing.type, config, told.error)


_NOTHING_CAME_IN: Mapping[str, Json] = {
    "code": "NotUndone",
    "message": "What came into the node is not known any more.",
}


def _recorded(records: Records, key: RecordKey, owner: str) -> Record | None:
    """Return a record of this run, or of any that it goes on from."""
    return records.own(key) or records.earlier(key, owner) or records.read(key, owner)


def _frame_of(run: Run, undoing: Step, key: RecordKey) -> Frame:
    """Return the surroundings that the step had which is undone, with all that may be read."""
    owner = run.owner(undoing)
    frame = Frame(run, settled=True)
    for depth, loop in enumerate(undoing.loops):
        index = key.indices[depth]
        found = run.records.items(RecordKey(loop, key.indices[:depth]), owner, index, index)
        frame = frame.inside(loop, next((item for _, item in found), None), index)
    names = {key.node, *undoing.reads, *(edge.source for edge in undoing.inputs)}
    for around in frame.around():
        for name in names:
            step = run.steps[name]
            if len(step.loops) == len(around.items):
                record = _recorded(run.records, RecordKey(name, around.indices), run.owner(step))
                if record is not None:
                    around.own[name] = record
    return frame


def _shown_config(frame: Frame, undoing: Step, log: CallLog) -> Json:
    """Return the config of what undoes, as a person may see it who has to do it by hand."""
    came_in = incoming(frame, undoing) or Incoming()
    try:
        config = Attempt(frame, undoing, came_in, log_of(frame, undoing, log)).config()
    except NodeError:
        return None
    redactor = frame.run.redactor
    return redactor.value({k: v for k, v in config.items() if not callable(v)})


def _with_all_after(plan: Plan, undone: set[str]) -> set[str]:
    """Return nodes outside loops, and all that lies after them."""
    found = set(undone)
    for step in plan.steps:
        if any(edge.source in found for edge in step.inputs):
            found.add(step.id)
    return found


def compensation_of(plan: Plan, records: Records) -> dict[str, Json] | None:
    """Return `{undone, not_undone}` of a run: a number, and a list; None if nothing was undone."""
    if not records.undoings.begun():
        return None
    owners = {
        step.compensate.id: step.loops[0] if step.loops else step.id
        for step in plan.walk()
        if step.compensate is not None
    }
    return {
        "undone": sum(1 for _ in records.newest("success", owners)),
        "not_undone": [each.as_json() for each in _not_undone(plan, records, owners)],
    }


def _not_undone(plan: Plan, records: Records, owners: Mapping[str, str]) -> Sequence[Undone]:
    types = {s.compensate.id: s.compensate.type for s in plan.walk() if s.compensate}
    found: list[Undone] = []
    for key, record in records.newest("failure", owners):
        node = key.node.partition(":")[2]
        config = (record.state or {}).get("config")
        found.append(Undone(node, key.indices, types[key.node], config, record.error))
        if len(found) == MOST_LISTED:
            break
    return found
