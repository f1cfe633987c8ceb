"""What a flow will do: the compiler's result, the runtime's and the engine's input.

A plan is data: it serialises to JSON and back (`Plan.model_dump_json`, `model_validate_json`), so
that it can be golden-tested, kept with a run, and read by any process.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from cloudflow_dagster.flow.model import Concurrency, Json, Retry, Until
from cloudflow_dagster.nodes.spec import Behaviour, Carries, Kind

UNDO_PREFIX = "undo:"
"""What the id of a step begins with that undoes another one; no id of a node has a colon."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Input(_Part):
    """An edge into a step. Disabled edges are not in a plan."""

    source: str
    """Id of the step it comes from."""
    source_port: str
    carries: Carries
    """What the source port carries, so that nobody has to look at the source's node type."""
    field: str | None = None
    """The field of this step's config that it feeds, if any."""


class Step(_Part):
    """One node, ready to be executed."""

    id: str
    type: str
    kind: Kind
    behaviour: Behaviour = Behaviour.PLAIN
    provider: str | None = None
    label: str | None = None
    notes: str | None = None
    config: dict[str, Json] = Field(default_factory=dict)
    """As written, with its expressions."""
    credential: str | None = None
    region: str | None = None
    retry: Retry | None = None
    timeout: float | None = None
    until: Until | None = None
    on_error: Literal["fail", "continue"] = "fail"
    disabled: bool = False
    pinned: bool = False
    pin: Json = None
    inputs: tuple[Input, ...] = ()
    """Edges into the step, in the file's canonical order. None: it starts with the run."""
    ports: tuple[str, ...] = ()
    """Output ports that an edge leaves from, in the node type's order."""
    first_port: str = "out"
    """The port at which a disabled step goes on."""
    reads: tuple[str, ...] = ()
    """Ids of the nodes that its expressions read, sorted."""
    secrets: tuple[str, ...] = ()
    """Names of the secrets that its expressions read, sorted."""
    permissions: tuple[str, ...] = ()
    loops: tuple[str, ...] = ()
    """Ids of the loops around it, the outermost first."""
    body: tuple[Step, ...] = ()
    """For a loop: the steps of its body in topological order. A nested loop's steps are in it."""
    ends: tuple[str, ...] = ()
    """For a loop: the steps of its body from which nothing in the body goes on."""
    compensate: Step | None = None
    """What undoes it, if anything does: a step of its own, whose id is `UNDO_PREFIX` and this
    one's, with the same edges into it. It is in no list of steps."""

    @property
    def catches(self) -> bool:
        """Whether an edge leaves from `error`, so that a failure does not fail the run."""
        return "error" in self.ports

    @property
    def undoes(self) -> str | None:
        """Id of the step that this one undoes; None for a step of the flow itself."""
        return self.id.removeprefix(UNDO_PREFIX) if self.id.startswith(UNDO_PREFIX) else None


class Plan(_Part):
    """A whole flow, ready to be executed."""

    flow: str
    """The flow's id."""
    file: str
    """Path of the flow's file, as given."""
    name: str | None = None
    description: str | None = None
    tags: dict[str, str] = Field(default_factory=dict)
    params: dict[str, Json] = Field(default_factory=lambda: {"type": "object", "properties": {}})
    """JSON Schema of type object."""
    concurrency: Concurrency | None = None
    timeout: float | None = None
    resumes: int = 1
    """How often a run is gone on with by itself after its process died."""
    on_failure: str | None = None
    on_failure_compensate: bool = False
    """Whether a run that fails is undone."""
    steps: tuple[Step, ...]
    """The steps outside loops, triggers among them, in canonical (topological) order."""
    calls: tuple[str, ...] = ()
    """Ids of the flows that it calls by a literal id, sorted."""

    @property
    def triggers(self) -> tuple[Step, ...]:
        """The triggers, in canonical order."""
        return tuple(s for s in self.steps if s.kind is Kind.TRIGGER)

    @property
    def manual_trigger(self) -> Step | None:
        """The trigger that a run started by hand starts at, if the flow has any."""
        triggers = [t for t in self.triggers if not t.disabled]
        return next((t for t in triggers if t.type == "trigger.manual"), (triggers or [None])[0])

    def walk(self) -> Iterator[Step]:
        """Yield every step, each loop before the steps of its body."""
        waiting = list(reversed(self.steps))
        while waiting:
            step = waiting.pop()
            yield step
            waiting.extend(reversed(step.body))

    def work(self) -> Iterator[Step]:
        """Yield every step, and after it what undoes it."""
        for step in self.walk():
            yield step
            if step.compensate is not None:
                yield step.compensate

    def step(self, id: str) -> Step:
        """Return the step with this id, inside loops too.

        Raises:
            KeyError: There is none.
        """
        for step in self.walk():
            if step.id == id:
                return step
        raise KeyError(id)
