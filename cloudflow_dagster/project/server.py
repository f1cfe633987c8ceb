"""Where the records lie of a project whose flows run on several machines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RecordsServer:
    """A PostgreSQL database, known by where its address lies (`settings.database`).

    Attributes:
        told: How people know it, such as "environment variable CLOUDFLOW_DATABASE".
        files: The folder of what is too large for it; several machines share it.
        read: Returns the address, `postgresql://user:password@host/database`.
    """

    told: str
    files: Path
    read: Callable[[], str] = field(compare=False, repr=False)

    def exists(self) -> bool:
        """Return whether there is something to read, as `Path.exists` does of a file."""
        return True

    def __str__(self) -> str:
        return f"the database of {self.told}"
