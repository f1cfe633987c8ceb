"""What a node may wait for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Way = Literal["time", "approval", "resume", "run"]
"""Until a time; until somebody says yes or no; until a call comes; until another run has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A wait that may take longer than its process lives.

    Attributes:
        way: What is waited for.
        due: Seconds since 1970 at which a wait for a time ends.
        seconds: How long such a wait is; None if it ends at that moment, as clocks say.
        message: What people are asked, or told.
        approvers: Who may answer; nobody named: anybody.
        run: Id of the run that is waited for.
    """

    way: Way
    due: float | None = None
    seconds: float | None = None
    message: str | None = None
    approvers: tuple[str, ...] = ()
    run: str | None = None
