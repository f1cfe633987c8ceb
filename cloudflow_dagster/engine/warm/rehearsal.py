"""A run of nothing, in memory: what Dagster loads and builds at its first run is there afterwards.

Forked workers have it then, instead of doing it each for itself.
"""

from __future__ import annotations

from typing import Any, cast

import dagster as dg

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def rehearse() -> None:
    """Execute it, and leave nothing behind."""
    # Dagster's types for these are partly unknown.
    untyped = cast("Any", dg)

    @dg.op
    def nothing() -> None: ...

    graph: Any = dg.GraphDefinition(name="rehearsal", node_defs=[nothing])
    with untyped.DagsterInstance.ephemeral() as instance:
        graph.execute_in_process(instance=instance, run_config=_QUIET)
