"""What a project allows and prefers."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """What a project allows and prefers."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True
    )

    code_nodes: bool = True
    """Whether `generic.code` may run Python (in a process of its own, with limits)."""
    private_addresses: bool = True
    """Whether HTTP nodes may reach private and loopback addresses; link-local and metadata ones are
    always refused."""
