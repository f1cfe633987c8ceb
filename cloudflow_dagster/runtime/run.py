"""One run of a plan: what all its steps share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.call import CallLog
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.spec import Carries, NodeType
from cloudflow_dagster.plan import Plan, Step
from cloudflow_dagster.runtime.clock import RunClock
from cloudflow_dagster.runtime.parking import Parking
from cloudflow_dagster.runtime.record import Records
from cloudflow_dagster.runtime.redaction import Redactor

if TYPE_CHECKING:
    from cloudflow_dagster.runtime.bind import Binding
    from cloudflow_dagster.runtime.waits import Waits

LogFor = Callable[[Step, tuple[int, ...]], CallLog]
"""Gives the log for the lines of a body step; the lines themselves name step and item."""


class NodeTypes(Protocol):
    """Where the node types of a run come from: the registry."""

    def get(self, id: str) -> NodeType | None:
        """Return the node type with this id."""
        ...


class LoginSource(Protocol):
    """What logs a step in to an account: the project's credentials."""

    def login(self, name: str | None, provider: str, region: str | None) -> Any:
        """Return a login, made once; raises `NodeError`."""
        ...


class SecretSource(Protocol):
    """Where secrets are fetched: the project's secrets."""

    def get(self, name: str) -> str:
        """Return a secret's value; raises `NodeError`."""
        ...


class ProjectFacts(Protocol):
    """What the runtime needs of a project."""

    @property
    def credentials(self) -> LoginSource:
        """How to log in."""
        ...

    @property
    def settings(self) -> Any:
        """What the project allows its nodes."""
        ...


class ChildWaits(Exception):  # noqa: N818 - it says what it means
    """A child run is suspended, or another process executes it; `run` is its id."""

    def __init__(self, run: str) -> None:
        super().__init__(f"The run {run} waits.")
        self.run = run


class ChildCall(NamedTuple):
    """One call of another flow.

    Attributes:
        flow: Its id.
        params: Its params.
        max_depth: How many runs of a flow that reaches itself may be inside each other.
        token: The call's own: the same in all runs that go on with the one that first made it.
    """

    flow: str
    params: Json
    max_depth: int | None
    token: str


class ChildRuns(Protocol):
    """Runs other flows for `flow.call`."""

    def run_flow(self, call: ChildCall, parent: Run, *, log: CallLog) -> Json:
        """Run a flow to its end and return its result; raises `NodeError` or `ChildWaits`."""
        ...

    def begun(self, token: str) -> str | None:
        """Return the run that goes on from what this call began, in whatever run of the line."""
        ...

    def go_on(self, call: ChildCall, run: str, parent: Run, *, log: CallLog) -> Json:
        """Return the result of a child run that was begun before, gone on with if it died.

        Raises `NodeError`; `ChildWaits` if it goes on elsewhere.
        """
        ...

    def has_ended(self, run: str) -> bool:
        """Return whether a child run that goes on elsewhere, or was suspended, has ended."""
        ...

    def cancel(self, run: str) -> None:
        """Cancel a child run that is suspended."""
        ...


@dataclass(kw_only=True, eq=False)
class Run:
    """A run, as its steps see it. Used by many threads at once.

    Attributes:
        plan: What is run.
        id: Dagster's run id.
        started_at: When the run started, ISO 8601. A re-execution keeps that of the first run.
        attempt: 1, and one more for each re-execution.
        params: The flow's params, defaults filled in.
        trigger_node: Id of the trigger that the run starts at, or None if the flow has none.
        event: The trigger's event `{type, time, payload}`, or null.
        variables: The project's variables.
        project: How to log in, and what nodes may do.
        registry: The node types.
        records: What the steps gave.
        secrets: Where secrets are fetched.
        redactor: Takes secrets out of what is stored or shown.
        files: A folder for results too large to be values. Made when it is first needed.
        children: Runs other flows.
        pinned: Whether pins stand for the nodes' work.
        only: Id of the one node to run, if the others are not.
        stop: Set when the run is to end.
        clock: How long it has worked.
        waits: Where long waits are kept; None where they cannot be.
        parking: Where its threads stand that wait for long.
    """

    plan: Plan
    id: str
    started_at: str
    attempt: int = 1
    params: Json = None
    trigger_node: str | None = None
    event: Json = None
    variables: Mapping[str, Json] = field(default_factory=dict[str, Json])
    project: ProjectFacts
    registry: NodeTypes
    records: Records
    secrets: SecretSource
    redactor: Redactor = field(default_factory=Redactor)
    files: Path
    children: ChildRuns | None = None
    pinned: bool = False
    only: str | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    clock: RunClock = field(default_factory=RunClock)
    waits: Waits | None = None
    parking: Parking = field(default_factory=Parking)
    bindings: dict[str, Binding] = field(default_factory=dict[str, "Binding"], repr=False)

    @cached_property
    def steps(self) -> Mapping[str, Step]:
        """All steps by id, those inside loops too."""
        return {step.id: step for step in self.plan.walk()}

    @cached_property
    def carries(self) -> Mapping[tuple[str, str], Carries]:
        """What each output port carries that an edge leaves from."""
        return {
            (edge.source, edge.source_port): edge.carries
            for step in self.plan.walk()
            for edge in step.inputs
        }

    @cached_property
    def facts(self) -> dict[str, Json]:
        """What expressions see as `run`."""
        return {
            "id": self.id,
            "started_at": self.started_at,
            "attempt": self.attempt,
            "flow": self.plan.flow,
        }

    @cached_property
    def seen_event(self) -> Json:
        """The event that the run sees: the trigger's pin in a pinned run."""
        trigger = self.steps.get(self.trigger_node or "")
        if self.pinned and trigger is not None and trigger.pinned:
            return trigger.pin
        return self.event

    def node_type(self, step: Step) -> NodeType:
        """Return a step's node type.

        Raises:
            NodeError: There is none any more; the package it came from may be gone.
        """
        found = self.registry.get(step.type)
        if found is None:
            raise NodeError(
                "UnknownNodeType",
                f"There is no node type `{step.type}` here: is the package it comes from "
                "installed where the run is executed?",
                transient=False,
            )
        return found

    def owner(self, step: Step) -> str:
        """Return the node outside loops that a step belongs to: itself, or its outermost loop.

        What undoes a step belongs to the same as that.
        """
        return step.loops[0] if step.loops else step.undoes or step.id

    def hide_known_secrets(self) -> None:
        """Let the redactor know the secrets of all steps, those too that are not run again.

        What an earlier run sent somewhere may come back in an answer to this one.
        """
        names = {name for step in self.plan.work() for name in step.secrets}
        for name in sorted(names):
            try:
                self.redactor.add(self.secrets.get(name))
            except NodeError:
                continue  # the step that needs it will say why it cannot be read
