"""How far the executor may go, and its config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.tags import get_tag_concurrency_limits_config

from cloudflow_dagster.engine import tags

CONFIG: dict[str, Any] = {
    "max_concurrent": dg.Field(
        int, default_value=100, description="Steps that run at the same time."
    ),
    "tag_concurrency_limits": get_tag_concurrency_limits_config(),
    "timeout": dg.Field(
        dg.Noneable(float), default_value=None, description="Seconds that the run may take."
    ),
    "grace": dg.Field(
        float,
        default_value=10.0,
        description="Seconds that running steps have to end when the run is told to stop.",
    ),
    "retries": dg.Field(bool, default_value=True, description="Whether steps are retried."),
}
"""What `execution.config` of a job may say."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How far an executor may go.

    Attributes:
        max_concurrent: Steps at the same time.
        timeout: Seconds that the run may take, or None.
        grace: Seconds that running steps have to end after the run was told to stop.
        of_tags: Steps with certain tags at the same time, as Dagster's `tag_concurrency_limits`.
    """

    max_concurrent: int
    timeout: float | None
    grace: float
    of_tags: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Limits:
        """Read what `CONFIG` has checked."""
        return cls(
            max_concurrent=config["max_concurrent"],
            timeout=config["timeout"],
            grace=config["grace"],
            of_tags=config.get("tag_concurrency_limits") or [],
        )

    def tag_limits(self, plan: ExecutionPlan) -> list[dict[str, Any]]:
        """Return the limits by tags that hold in a run: those given, and those of groups of steps.

        Args:
            plan: Of the run; the steps of a group carry its limit in their tags.
        """
        groups: dict[str, int] = {}
        for step in plan.steps:
            marks = step.tags or {}
            if tags.GROUP in marks and tags.GROUP_LIMIT in marks:
                groups[marks[tags.GROUP]] = int(marks[tags.GROUP_LIMIT])
        own = [{"key": tags.GROUP, "value": group, "limit": n} for group, n in groups.items()]
        return [*self.of_tags, *own]
