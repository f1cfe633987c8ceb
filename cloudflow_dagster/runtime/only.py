"""Running one node alone (`--only`): its inputs are pins, or what an earlier run gave."""

from __future__ import annotations

from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.spec import Kind
from cloudflow_dagster.plan import Plan, Step
from cloudflow_dagster.runtime.record import RecordKey, Records


def check_only(plan: Plan, only: str, records: Records | None) -> None:
    """Check that one node of a plan can be run alone.

    Args:
        plan: The plan.
        only: Id of the node.
        records: Those of the new run, with the earlier run as its ancestor; None if there is none.

    Raises:
        NodeError: It cannot; says what is missing.
    """
    try:
        step = plan.step(only)
    except KeyError:
        raise NodeError("NoSuchNode", f"The flow has no node `{only}`.") from None
    if step.loops:
        raise NodeError(
            "InsideLoop",
            f"`{only}` is inside the loop `{step.loops[0]}` and needs an item: run "
            f"`{step.loops[0]}` alone instead.",
        )
    missing = missing_inputs(plan, step, records)
    if missing:
        names = ", ".join(f"`{name}`" for name in missing)
        raise NodeError(
            "MissingInputs",
            f"`{only}` cannot run alone: {names} "
            f"{'have' if len(missing) > 1 else 'has'} neither a pin nor an output from an earlier "
            "run. Give each a `pin`, or name a run that has them with `--from RUN`.",
        )


def missing_inputs(plan: Plan, step: Step, records: Records | None) -> list[str]:
    """Return the nodes that a step needs something of, and that have nothing to give."""
    needed = dict.fromkeys((*(edge.source for edge in step.inputs), *_reads(step)))
    return [id for id in needed if not _at_hand(plan.step(id), step, records)]


def _reads(step: Step) -> list[str]:
    """Return the nodes outside it that a step reads, for a loop those of its body too."""
    inside = {step.id}
    found = list(step.reads)
    waiting = list(step.body)
    while waiting:
        part = waiting.pop()
        inside.add(part.id)
        found += part.reads
        waiting += part.body
    return [id for id in found if id not in inside]


def _at_hand(source: Step, step: Step, records: Records | None) -> bool:
    if source.pinned or source.kind is Kind.TRIGGER:
        return True
    record = records.read(RecordKey(source.id)) if records is not None else None
    if record is None:
        return False
    if record.has_output or record.status == "skipped":
        return True
    # A node that failed gives its error, if that is what is asked for.
    return any(e.source == source.id and e.source_port in record.ports for e in step.inputs)
