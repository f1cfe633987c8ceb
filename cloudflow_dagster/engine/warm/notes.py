"""Who executes which run: a small file for each run that goes on, in the instance's folder.

Every process of a deployment on this machine reads them: to stop a run, to see whether its worker
lives, to report it if not. A note is changed under a lock on its file, which the kernel lets go
when its holder dies.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from cloudflow_dagster.engine.this_process import pid_of, process_is_gone, this_process

FOLDER = "run_workers"
_RUN_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
_LAST_LINES = 100
_TAIL = 16 * 1024
"""Bytes at the end of a log in which the last lines are looked for."""


@dataclass(frozen=True)
class Note:
    """Who is responsible for a run.

    Attributes:
        run_id: The run.
        process: The mark of the process (`this_process`); "" if the note could not be read.
        taken: Whether that process executes the run; else it is to give it to one that does.
        ended: How that process ended, in words, if its parent has seen it.
    """

    run_id: str
    process: str
    taken: bool
    ended: str = ""

    @property
    def pid(self) -> int | None:
        """The id of the process, if it is one of this machine."""
        return pid_of(self.process)

    @property
    def gone(self) -> bool:
        """Whether nobody is responsible any more."""
        return not self.process or bool(self.ended) or process_is_gone(self.process)


class Notes:
    """The notes of an instance.

    Args:
        home: The instance's folder.
    """

    def __init__(self, home: Path) -> None:
        self.folder = home / FOLDER
        self._instance = self.folder / "instance"

    def remember_instance(self, instance: str) -> None:
        """Keep how the instance is written down, for those who report what they find here."""
        if self.instance() != instance:
            self.folder.mkdir(exist_ok=True)
            fresh = self._instance.with_suffix(f".{os.getpid()}")
            fresh.write_text(instance, "utf-8")
            fresh.replace(self._instance)

    def instance(self) -> str | None:
        """Return how the instance is written down, if anything was launched yet."""
        try:
            return self._instance.read_text("utf-8")
        except FileNotFoundError:
            return None

    def accept(self, run_id: str) -> None:
        """Note that this process will give the run to a worker."""
        self.folder.mkdir(exist_ok=True)
        self._write(run_id, taken=False)

    def take(self, run_id: str) -> None:
        """Note that this process executes the run."""
        self._write(run_id, taken=True)

    def end(self, run_id: str, how: str) -> None:
        """Note how the process ended that executed the run, unless the run ended before it."""
        with self.locked(run_id) as note:
            if note:
                content = {"process": note.process, "taken": note.taken, "ended": how}
                self._file(run_id).write_text(json.dumps(content), "utf-8")

    def find(self, run_id: str) -> Note | None:
        """Return the note of a run, or None if nothing of it goes on."""
        with self.locked(run_id) as note:
            return note

    def all(self) -> list[Note]:
        """Return all notes."""
        try:
            files = [file for file in self.folder.iterdir() if file.suffix == ".json"]
        except FileNotFoundError:
            return []
        found = (self.find(file.stem) for file in files)
        return [note for note in found if note]

    @contextmanager
    def locked(self, run_id: str) -> Generator[Note | None]:
        """Keep others from changing a note; gives None if there is none."""
        try:
            file = self._file(run_id).open("r+", encoding="utf-8")
        except (FileNotFoundError, ValueError):
            yield None
            return
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            there = os.fstat(file.fileno()).st_nlink > 0
            yield _parse(run_id, file.read()) if there else None

    def drop(self, run_id: str) -> None:
        """Remove a note; to be called while it is locked."""
        self._file(run_id).unlink(missing_ok=True)

    def log_of(self, run_id: str) -> Path:
        """Return the file with what the worker of a run prints."""
        return self._file(run_id).with_suffix(".log")

    def forget_log(self, run_id: str) -> None:
        """Remove what the worker of a run has printed."""
        self.log_of(run_id).unlink(missing_ok=True)

    def _write(self, run_id: str, *, taken: bool) -> None:
        content = json.dumps({"process": this_process(), "taken": taken}).encode()
        while True:
            with self._file(run_id).open("ab") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                if os.fstat(file.fileno()).st_nlink:
                    file.truncate(0)
                    file.write(content)
                    return

    def _file(self, run_id: str) -> Path:
        if not _RUN_ID.fullmatch(run_id):
            raise ValueError(f"not a run's id: {run_id!r}")
        return self.folder / f"{run_id}.json"


def tail(log: Path) -> str:
    """Return the last lines of a log, or "" if there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.rstrip().splitlines()[-_LAST_LINES:])


def _parse(run_id: str, text: str) -> Note:
    """Read a note; after a crash of the machine it may be empty."""
    with suppress(ValueError):
        data: Any = json.loads(text)
        if isinstance(data, dict):
            written = cast("dict[str, Any]", data)
            process, ended = str(written.get("process", "")), str(written.get("ended", ""))
            return Note(run_id, process, bool(written.get("taken")), ended)
    return Note(run_id, "", taken=False)
