"""The ops that nodes become.

An op definition knows no node: it asks the run which step it is. So the nodes of one type with the
same ports share a definition, which makes building 1,000 flows of 10 nodes twice as fast and
Dagster's list of ops a list of node types in use. A node with a label or notes has a definition of
its own, because that is where Dagster keeps the description; so has what runs a loop's items, which
says what they are run through.
"""

# No postponed annotations here: Dagster reads that of `context` when an op is defined.

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

import dagster as dg
from dagster import OpDefinition, OpExecutionContext

from cloudflow_dagster.engine import names
from cloudflow_dagster.engine.described import about_items
from cloudflow_dagster.engine.steps import close_loop, open_loop, run_items, run_step
from cloudflow_dagster.plan import Step

_LONGEST_NAME = 120

Events = Iterator[dg.Output[None] | dg.DynamicOutput[None]]
Body = Callable[[dg.OpExecutionContext, tuple[str, ...]], Events]


class Part(StrEnum):
    """Which op of a node: its only one, or one of a loop's three."""

    WHOLE = "whole"
    OPEN = "open"
    ITEM = "item"
    DONE = "done"


_BODIES: dict[Part, Body] = {
    Part.WHOLE: run_step,
    Part.OPEN: open_loop,
    Part.ITEM: run_items,
    Part.DONE: close_loop,
}


@dataclass(frozen=True, slots=True)
class _Shape:
    """What op definitions differ in.

    Attributes:
        name: Of the definition; unique in a code location.
        type: The node type.
        provider: The node type's provider.
        part: Which op of a node.
        ports: Those that are outputs.
        starts: Whether no edge leads to it.
        description: For people.
    """

    name: str
    type: str
    provider: str | None
    part: Part
    ports: tuple[str, ...]
    starts: bool
    description: str


def op_for(flow: str, step: Step, part: Part, *, starts: bool) -> OpDefinition:
    """Return the definition of one op of a step.

    Args:
        flow: Id of the flow.
        step: The step.
        part: Which of its ops.
        starts: Whether no edge leads to it.
    """
    ports = _ports(step, part)
    body = about_items(step) if part is Part.ITEM else ""
    about = "\n\n".join(text for text in (step.label, body, step.notes) if text)
    shape = _Shape(
        name=f"{flow}__{step.id}__{part}"
        if about
        else _shared_name(step.type, part, ports, starts=starts),
        type=step.type,
        provider=step.provider,
        part=part,
        ports=ports,
        starts=starts,
        description=f"{about}\n\n{step.type}" if about else step.type,
    )
    return _definition(shape) if about else _shared(shape)


def _ports(step: Step, part: Part) -> tuple[str, ...]:
    """Return the ports of a step that are outputs of an op of it.

    A step from which no edge leaves has one all the same: its metadata show what the step gave.
    """
    match part:
        case Part.WHOLE:
            return step.ports or (step.first_port,)
        case Part.DONE:
            return tuple(port for port in step.ports if port != "item") or ("done",)
        case _:
            return ()


def _shared_name(type_: str, part: Part, ports: tuple[str, ...], *, starts: bool) -> str:
    marks = [names.dagster_name(port) for port in ports]
    if part is not Part.WHOLE:
        marks.insert(0, part)
    if starts:
        marks.append("start")
    words = "_".join(marks)
    name = f"{names.dagster_name(type_.replace('.', '_'))}__{words}"
    if len(name) > _LONGEST_NAME:
        short = hashlib.sha256(words.encode()).hexdigest()[:10]
        name = f"{names.dagster_name(type_.replace('.', '_'))}__{short}"
    return name


@lru_cache(maxsize=20_000)
def _shared(shape: _Shape) -> OpDefinition:
    return _definition(shape)


class FlowOp(OpDefinition):
    """The definition of an op of ours: what `light.py` knows how to execute.

    Dagster's own copies of it, with hooks for example, are plain definitions again.
    """


def _definition(shape: _Shape) -> OpDefinition:
    body = _BODIES[shape.part]

    def compute(context: OpExecutionContext, inputs: object) -> Events:
        del inputs
        return body(context, shape.ports)

    return FlowOp(
        name=shape.name,
        compute_fn=compute,
        ins=_ins(shape.part, starts=shape.starts),
        outs=_outs(shape.part, shape.ports),
        description=shape.description,
        required_resource_keys={"cloudflow"},
        tags=_kinds(shape.type, shape.provider),
    )


def _ins(part: Part, *, starts: bool) -> dict[str, dg.In]:
    ins = {} if starts else {names.BEFORE: dg.In(dg.Nothing)}
    if part is Part.DONE:
        ins[names.ITEMS] = dg.In(dg.Nothing)
    return ins


def _outs(part: Part, ports: tuple[str, ...]) -> dict[str, Any]:
    match part:
        case Part.OPEN:
            return {names.ITEM: dg.DynamicOut(dg.Nothing), names.OPENED: dg.Out(dg.Nothing)}
        case Part.ITEM:
            return {names.ITEM: dg.Out(dg.Nothing)}
        case _:
            return {
                names.dagster_name(port): dg.Out(dg.Nothing, is_required=False) for port in ports
            }


def _kinds(type_: str, provider: str | None) -> dict[str, str]:
    """Return the tags that show provider and service on the op in Dagster's pages.

    The drawing of a job shows the compute kind alone; the others are searched for.
    """
    words = type_.split(".")
    service = words[1] if provider and len(words) > 2 else words[0]  # noqa: PLR2004
    kinds = dict.fromkeys(kind for kind in (provider, service) if kind)
    return {"dagster/compute_kind": service, **{f"dagster/kind/{kind}": "" for kind in kinds}}
