"""Which earlier runs a re-execution goes on from, as the records want to know it."""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from cloudflow_dagster.engine import names, tags
from cloudflow_dagster.runtime.record import Ancestor

_RESUME = "dagster/is_resume_retry"
_LONGEST_LINE = 1_000
"""A line of re-executions cannot be a circle, but storage could be damaged."""


def lineage_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> tuple[Ancestor, ...]:
    """Return the runs that this one and its ancestors did again, the nearest first."""
    line: list[Ancestor] = []
    current: dg.DagsterRun | None = run
    while current is not None and len(line) < _LONGEST_LINE:
        ancestor = _ancestor(current)
        if ancestor is None:
            break
        line.append(ancestor)
        current = instance.get_run_by_id(ancestor.run_id)
    return tuple(line)


def only_undoes(run: dg.DagsterRun) -> bool:
    """Return whether a run is known to undo what the one before did, and nothing else."""
    # Dagster hands tags on to the runs that do a run again.
    undoes = run.tags.get(tags.UNDOES)
    return undoes is not None and undoes == run.parent_run_id


def was_undone(run: dg.DagsterRun) -> bool:
    """Return whether what a run did was undone, or that has begun."""
    return run.tags.get(tags.UNDONE, tags.NOT_UNDONE) != tags.NOT_UNDONE


def _ancestor(run: dg.DagsterRun) -> Ancestor | None:
    keys = run.step_keys_to_execute
    parent = run.parent_run_id or run.tags.get(tags.FROM_RUN)
    if parent is None:
        return None
    resume = run.tags.get(_RESUME) == "true"
    if only_undoes(run):
        return Ancestor(parent, frozenset(), resume=True)
    if keys is None:
        # Also of a run that was killed before any step of it was in the history.
        return Ancestor(parent, None, resume)
    reran = frozenset(names.node_of(key)[0] for key in keys)
    return Ancestor(parent, reran, resume or _inside_loops(keys))


def _inside_loops(keys: Sequence[str]) -> bool:
    """Return whether a loop is gone on with whose first step, which makes the items, is not."""
    chosen = set(keys)
    return any(part and node not in chosen for node, part in (names.node_of(key) for key in chosen))
