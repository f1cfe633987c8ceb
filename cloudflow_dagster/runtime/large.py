"""Outputs too large for the database lie in files of their run; the record holds where.

Whoever reads a node's output does not see the difference, and it is read only when somebody asks
for it, so that a run does not hold in memory what its nodes gave.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.runtime.database import RecordsError
from cloudflow_dagster.runtime.record import RecordKey

_FOLDER = "outputs"


@dataclass(frozen=True, slots=True, eq=False)
class StoredFile:
    """An output that lies in a file.

    Attributes:
        files: The folder with a folder for the files of each run.
        name: The file's path in it.
        size: Its length in bytes.
    """

    files: Path
    name: str
    size: int

    def load(self) -> Json:
        """Return the output."""
        try:
            return json.loads((self.files / self.name).read_bytes())
        except FileNotFoundError:
            raise RecordsError(
                f"The stored output in {self.files / self.name} is gone: its run was deleted."
            ) from None
        except ValueError:
            raise RecordsError(
                f"The stored output in {self.files / self.name} is damaged: run the node again."
            ) from None

    def part(self, fields: frozenset[str]) -> Json:
        """Return the output."""
        return self.load()


def store(folder: Path, key: RecordKey, text: str) -> StoredFile:
    """Write an output to a file, and return where it lies.

    The file is whole and on the disk before the record that names it is written.

    Args:
        folder: That of the run's files; it is made.
        key: Whose output it is.
        text: The output as JSON.
    """
    indices = "".join(f".{index}" for index in key.indices)
    path = folder / _FOLDER / f"{key.node}{indices}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = text.encode("ascii")
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    return StoredFile(folder.parent, path.relative_to(folder.parent).as_posix(), len(content))
