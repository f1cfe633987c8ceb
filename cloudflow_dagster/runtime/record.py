"""What a run remembers of each step: the truth about its data.

Dagster gives order, skipping, history and retries; whether an edge delivered and what it carried is
read from here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.plan import Plan

if TYPE_CHECKING:
    from cloudflow_dagster.runtime.intents import CallKey, Intents, Settled
    from cloudflow_dagster.runtime.undoings import Undoings

Status = Literal["success", "failure", "skipped", "not_run", "canceled"]
"""How a step ended. Outside loops `not_run` is not recorded: it follows from the plan."""


class RecordKey(NamedTuple):
    """Whose record: a node and, inside loops, which items (the outermost loop's index first).

    The record of one iteration of a loop is that of the loop's node with one index more.
    """

    node: str
    indices: tuple[int, ...] = ()


class Source(Protocol):
    """Where a stored output lies, so that it is read only when somebody needs it."""

    def load(self) -> Json:
        """Return the whole output."""
        ...

    def part(self, fields: frozenset[str]) -> Json:
        """Return the output with at least these fields, if leaving out the others saves work."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """An output that is at hand as JSON text."""

    text: str

    def load(self) -> Json:
        """Return a fresh copy of the output."""
        return json.loads(self.text)

    def part(self, fields: frozenset[str]) -> Json:
        """Return the whole output."""
        return self.load()


class LoopOutput(Source, Protocol):
    """`{results, errors, count}` of a loop, made from its iterations when it is read."""

    def errors(self) -> Iterator[dict[str, Json]]:
        """Yield the errors of the iterations that failed, in the order of the items."""
        ...

    def errors_before(self) -> Iterator[dict[str, Json]]:
        """Yield the errors of the iterations that failed in an earlier run and were not redone."""
        ...

    def missing(self) -> int:
        """Return how many items have no iteration that ended in success or failure."""
        ...


_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


def to_text(value: Json) -> str:
    """Return JSON text in the form in which it is stored.

    Raises:
        ValueError, TypeError, RecursionError: It is not JSON.
    """
    return _ENCODER.encode(value)


_UNREAD: Any = object()


class Record:
    """How a step ended and what it gave.

    Attributes:
        status: See `Status`.
        has_output: Whether `nodes.<id>` is present. After `on_error: continue` it is, as null.
        ports: The output ports that deliver, of those that an edge leaves from.
        error: `{node, code, message, provider_request_id, attempts}` after a failure.
        attempts: How often the work was tried.
        state: What the next attempt must know of this one (`until`), or None.
        source: Where the output comes from; another record that passes the same on shares it.
    """

    __slots__ = (
        "_output",
        "attempts",
        "error",
        "has_output",
        "ports",
        "source",
        "state",
        "status",
    )

    def __init__(
        self,
        status: Status,
        output: Json = None,
        *,
        has_output: bool = False,
        ports: tuple[str, ...] = (),
        error: dict[str, Json] | None = None,
        attempts: int = 0,
        state: dict[str, Json] | None = None,
        source: Source | None = None,
    ) -> None:
        self.status: Status = status
        self.has_output = has_output or source is not None
        self.ports = ports
        self.error = error
        self.attempts = attempts
        self.state = state
        self.source = source
        self._output: Json = output if source is None else _UNREAD

    @property
    def output(self) -> Json:
        """What the step gave; null without an output. Not to be changed by its readers."""
        if self._output is _UNREAD and self.source is not None:
            self._output = self.source.load()
        return self._output

    def part(self, fields: frozenset[str] | None) -> Json:
        """Return what the step gave, with at least the given fields (None: all) of an object."""
        if fields is None or self.source is None or self._output is not _UNREAD:
            return self.output
        return self.source.part(fields)

    def __repr__(self) -> str:
        return f"Record({self.status!r}, ports={self.ports!r}, error={self.error!r})"


class Ancestor(NamedTuple):
    """One step back in a line of re-executions: this run, or the entry before, did `run_id` again.

    Attributes:
        run_id: The run that was done again.
        reran: Ids of the nodes outside loops that were executed again; None for all. A loop's id
            stands for its body too.
        resume: Whether it was a resumption from the point of failure: what had succeeded inside
            the loops that are executed again is kept.
    """

    run_id: str
    reran: frozenset[str] | None = None
    resume: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What is fixed when a run starts, so that a re-execution sees the same.

    Attributes:
        flow: Id of the flow.
        started_at: When the first run of the line of re-executions started, ISO 8601.
        attempt: 1, and one more for each re-execution.
        params: The flow's params.
        trigger_node: Id of the trigger the run started at, if the flow has any.
        event: The trigger's event `{type, time, payload}`, or null.
        plan: What is run, by the name under which the plan is stored (`plans.py`).
    """

    flow: str
    started_at: str
    attempt: int = 1
    params: Json = None
    trigger_node: str | None = None
    event: Json = None
    plan: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopFacts:
    """An opened loop: its items are stored."""

    count: int
    concurrency: int = 10
    on_item_error: Literal["fail", "collect"] = "fail"


class Tally(NamedTuple):
    """The records of one body node, over all items."""

    statuses: dict[Status, int]
    attempts: int
    """The most attempts that one of them took."""
    error: dict[str, Json] | None
    """The error of the first item that failed."""


class Records(Protocol):
    """What the steps of one run remember and read.

    `owner` is the node outside loops that a key belongs to: for a body node its outermost loop. It
    decides which run of a line of re-executions is asked.
    """

    run_id: str
    intents: Intents
    undoings: Undoings

    @property
    def lineage(self) -> Sequence[Ancestor]:
        """The runs that this one and its ancestors did again, the nearest first."""
        ...

    def save_run(self, facts: RunFacts, plan: Plan | None = None) -> None:
        """Store what is fixed for this run, and with it what it is a run of."""
        ...

    def load_run(self, run_id: str | None = None) -> RunFacts | None:
        """Return what is fixed for this run, or another one; None if nothing was stored."""
        ...

    def read(self, key: RecordKey, owner: str | None = None) -> Record | None:
        """Return a record of this run, or of the nearest ancestor whose word counts."""
        ...

    def earlier(self, key: RecordKey, owner: str) -> Record | None:
        """Return what an ancestor recorded, or this run before it was suspended, if it is kept."""
        ...

    def newest(
        self, status: Status, owners: Mapping[str, str]
    ) -> Iterator[tuple[RecordKey, Record]]:
        """Yield what nodes (each with its owner) gave that ended so, the newest first."""
        ...

    def own(self, key: RecordKey) -> Record | None:
        """Return a record that this run itself wrote."""
        ...

    def of_run(self, run_id: str, key: RecordKey) -> Record | None:
        """Return a record that a run wrote, whether this one goes on with it or not."""
        ...

    def write(
        self, key: RecordKey, record: Record, *, soon: bool = False, settled: Settled | None = None
    ) -> Record:
        """Store a record, and return it as stored; `soon` lets it wait a moment for others."""
        ...

    def flush(self) -> None:
        """Store what waits to be written."""
        ...

    def call_key(self, key: RecordKey, owner: str, round_: int = 0) -> CallKey:
        """Return which call of the line of runs a step makes here."""
        ...

    def token_run(self, owner: str) -> str:
        """Return the run whose attempts at this node go on in this one."""
        ...

    def open_loop(self, key: RecordKey, facts: LoopFacts, items: Iterable[Json]) -> None:
        """Store a loop's items and mark it as opened; `facts.count` is their number."""
        ...

    def loop(self, key: RecordKey, owner: str) -> LoopFacts | None:
        """Return an opened loop."""
        ...

    def kept_loop(self, key: RecordKey, owner: str) -> LoopFacts | None:
        """Return a loop that an ancestor opened, if this run resumes it."""
        ...

    def finished(self, key: RecordKey, owner: str, first: int, last: int) -> set[int]:
        """Return which iterations from `first` to `last` succeeded and are not done again."""
        ...

    def items(
        self, key: RecordKey, owner: str, first: int, last: int
    ) -> Iterator[tuple[int, Json]]:
        """Yield a loop's items from `first` to `last`, both included, a few at a time."""
        ...

    def loop_output(self, key: RecordKey, owner: str) -> LoopOutput:
        """Return what the iterations of an opened loop gave so far."""
        ...

    def close_loop(self, key: RecordKey, owner: str, record: Record) -> Record:
        """Store the record of a loop whose output is made from its iterations, when it is read."""
        ...

    def stop_loop(self, key: RecordKey) -> None:
        """Let no new iteration of a loop start, in whatever process."""
        ...

    def loop_stopped(self, key: RecordKey) -> bool:
        """Return whether `stop_loop` was called in this run."""
        ...

    def tally(self, node: str, owner: str, depth: int) -> Tally:
        """Sum up the records of a node inside `depth` loops."""
        ...
