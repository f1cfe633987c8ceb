"""The flow document. These models are the flow format; its JSON Schema is made from them.

Source: `docs/flow-format.md`. The order of the fields is the canonical order of the keys.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Json: TypeAlias = Any
"""One JSON value. Its shape is checked against a schema where it enters, not by Python's types."""

ID_PATTERN = r"^[a-z](?:_?[a-z0-9])*_?$"
"""`[a-z][a-z0-9_]{0,62}` without a double underscore (the length is checked beside it)."""

Identifier = Annotated[str, Field(pattern=ID_PATTERN, max_length=63)]


class Part(BaseModel):
    """A part of a flow: immutable, and nothing in it that the format does not know.

    Strict, because `"3"` is not a number and `"no"` is not a truth value, in JSON and here. Only
    lists are taken for tuples.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )


class Retry(Part):
    """When and how often a failed attempt is repeated."""

    max_attempts: Annotated[int, Field(ge=1, le=100)] = 3
    """Attempts in all, the first one included."""
    delay: Annotated[float, Field(ge=0, le=86_400)] = 1
    """Seconds before the second attempt."""
    backoff: Literal["constant", "linear", "exponential"] = "exponential"
    """How the delay grows from attempt to attempt."""
    jitter: Literal["none", "full", "plus_minus"] = "full"
    """How chance spreads the delay: not at all, from 0 to the delay, or around it."""
    on: Annotated[tuple[str, ...], Field(strict=False)] | None = None
    """Error codes to repeat; without it those that the provider calls transient."""


class Until(Part):
    """Do it again until a condition holds."""

    condition: str
    """An expression over `output` and everything else that the node's config sees."""
    interval: Annotated[float, Field(gt=0, le=86_400)] = 5
    """Seconds between two rounds."""
    timeout: Annotated[float, Field(gt=0)] = 600
    """Seconds for all rounds together."""


class Compensate(Part):
    """The node that undoes this one."""

    type: str | None = None
    """Its node type; without it the one that certainly undoes the node's own."""
    config: dict[str, Json] = Field(default_factory=dict)
    """Its configuration; expressions in it also see `output` and `item`. Of the node type that
    certainly undoes the node's own it is known, and can be left out."""


class Position(Part):
    """Where the canvas draws a node, in pixels."""

    x: float
    """From left to right."""
    y: float
    """From top to bottom."""


class Node(Part):
    """One step, trigger or cloud resource of a flow."""

    id: Identifier
    """Unique in the flow; outside loops it is the Dagster step key."""
    type: str
    """A node type of the catalogue, such as `aws.ec2.create_snapshot`."""
    label: str | None = None
    """What people read instead of the id."""
    notes: str | None = None
    """Remarks for people."""
    position: Position | None = None
    """Where the canvas draws it."""
    parent: Identifier | None = None
    """The container node that this one is drawn in (a VPC, a subnet, a group)."""
    config: dict[str, Json] = Field(default_factory=dict)
    """The node type's configuration; any string in it may hold expressions."""
    credential: str | None = None
    """Name of a credential of the project; without it the provider's default one."""
    region: str | None = None
    """Overrides the credential's region."""
    retry: Retry | None = None
    """When and how often a failed attempt is repeated."""
    timeout: Annotated[float, Field(gt=0)] | None = None
    """Seconds for one attempt."""
    until: Until | None = None
    """Do it again until a condition holds."""
    on_error: Literal["fail", "continue"] = "fail"
    """What a failure without an edge on `error` does to the run."""
    compensate: Compensate | None = None
    """The node that undoes this one."""
    pin: Json = None
    """JSON that stands for the node's output in `cloudflow run --pinned`."""
    disabled: bool = False
    """The node is passed through as if it were not there."""

    @property
    def pinned(self) -> bool:
        """Whether the node has a pin; a pin may be null."""
        return "pin" in self.model_fields_set


class Edge(Part):
    """From an output port to an input port or a field of the target's config."""

    source: Identifier
    """Id of the node that it leaves from."""
    source_port: str | None = None
    """An output port of the source; without it the source's first one."""
    target: Identifier
    """Id of the node that it leads to."""
    target_port: str | None = None
    """An input port or a field of the target's config; without it the target's first input."""
    disabled: bool = False
    """As if it were not there, but kept."""


class Concurrency(Part):
    """How many runs of the flow may go on at the same time."""

    limit: Annotated[int, Field(ge=1)] = 1
    """Runs at the same time, for each value of `key`."""
    key: str | None = None
    """An expression over `params`; runs are counted by its value."""
    when_full: Literal["queue", "skip", "cancel_oldest"] = "queue"
    """What happens to a run that is one too many: it waits, it does not start, or the oldest of
    those that run is canceled for it."""


def _no_truth_value(value: object) -> object:
    """Refuse `true`, which Python takes for 1 and JSON does not."""
    if isinstance(value, bool):
        raise ValueError("a truth value is not a version")  # noqa: TRY004 - pydantic's way
    return value


class Flow(Part):
    """A cloud automation or an architecture, as written in one file of `flows/`."""

    schema_: Annotated[str | None, Field(alias="$schema")] = None
    """Where editors find the JSON Schema of this format."""
    version: Annotated[Literal[1], BeforeValidator(_no_truth_value)]
    """The version of the format."""
    id: Identifier | None = None
    """Unique in a project; the file's stem without it."""
    name: str | None = None
    """What people call it."""
    description: str | None = None
    """What it is for, in Markdown."""
    tags: dict[str, str] | Annotated[tuple[str, ...], Field(strict=False)] = ()
    """A list or an object of texts; they become the Dagster job's tags."""
    mode: Literal["workflow", "architecture"] = "workflow"
    """A workflow is run; an architecture is built and kept as described."""
    params: dict[str, Json] | None = None
    """A JSON Schema of type object: the flow's typed inputs, with defaults."""
    nodes: Annotated[tuple[Node, ...], Field(strict=False)]
    """Steps, triggers and cloud resources."""
    edges: Annotated[tuple[Edge, ...], Field(strict=False)] = ()
    """What runs after what, and which value goes where. Edges alone make order."""
    concurrency: Concurrency | None = None
    """How many runs may go on at the same time."""
    timeout: Annotated[float, Field(gt=0)] | None = None
    """Seconds the whole run may take, waiting not counted."""
    resumes: Annotated[int, Field(ge=0, le=100)] = 1
    """How often a run is gone on with by itself after its process died; 0 for never."""
    on_failure: Identifier | None = None
    """Id of the flow that is started with `{flow, run_id, node, error}` when a run fails."""
    on_failure_compensate: bool = False
    """Undo what was done, in reverse order, before `on_failure` starts."""
