"""What a project allows and prefers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from cloudflow_dagster.credentials.spec import SecretValue

_CONFIG = ConfigDict(
    extra="forbid",
    frozen=True,
    use_attribute_docstrings=True,
    hide_input_in_errors=True,
    allow_inf_nan=False,
)

Days = Annotated[float, Field(gt=0, le=100_000)]
Megabytes = Annotated[float, Field(gt=0, le=1_000)]
Count = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, slots=True)
class Keep:
    """How much of a flow's history is kept.

    Attributes:
        days: Runs that ended longer ago are deleted; None keeps them however old they are.
        runs: So many of the newest are kept; None keeps them however many there are.
    """

    days: float | None
    runs: int | None


class FlowRetention(BaseModel):
    """What is different for one flow."""

    model_config = _CONFIG

    keep_days: Days | None = None
    """As above, for this flow; without it as for the others."""
    keep_runs: Count | None = None
    """As above, for this flow; without it as for the others."""


class Retention(BaseModel):
    """How long runs are kept, with their events, outputs and files."""

    model_config = _CONFIG

    keep_days: Days | None = 90
    """Runs that ended more than so many days ago are deleted; `null` for never."""
    keep_runs: Count | None = 1_000
    """How many finished runs of each flow are kept, the newest; `null` for all."""
    flows: dict[str, FlowRetention] = Field(default_factory=dict[str, FlowRetention])
    """By the id of a flow what is different for it."""

    def of(self, flow: str) -> Keep:
        """Return how much of a flow's history is kept."""
        own = self.flows.get(flow, FlowRetention())
        given = own.model_fields_set
        return Keep(
            days=own.keep_days if "keep_days" in given else self.keep_days,
            runs=own.keep_runs if "keep_runs" in given else self.keep_runs,
        )


class Settings(BaseModel):
    """What a project allows and prefers."""

    model_config = _CONFIG

    code_nodes: bool = True
    """Whether `generic.code` may run Python (in a process of its own, with limits)."""
    private_addresses: bool = True
    """Whether HTTP nodes may reach private and loopback addresses; link-local and metadata ones are
    always refused."""
    inline_output_mb: Megabytes = 16
    """Outputs of nodes up to so many megabytes of JSON lie in the database of the records, larger
    ones in a file beside it. Flows do not see the difference."""
    largest_output_mb: Megabytes = 256
    """A node whose output is larger than so many megabytes of JSON fails with `OutputTooLarge`."""
    database: SecretValue | None = None
    """Where the address of the PostgreSQL database lies that holds what runs remember, if they run
    on several machines; without it that is a file in `.cloudflow`. [More](deploy.md)."""
    retention: Retention = Field(default_factory=Retention)
    """How long runs are kept, with their events, outputs and files."""
