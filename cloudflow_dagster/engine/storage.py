"""Says in plain words why what a project leaves behind cannot be read or written.

Runs, records and logs lie in the folder `.cloudflow`, in SQLite files, most of them Dagster's. What
goes wrong with a disk comes out of Dagster as a chain of SQLAlchemy's exceptions; here it is told
in one sentence, with a way out.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from cloudflow_dagster.project import Project
from cloudflow_dagster.runtime.records import RecordsError

_FULL = 256 * 1024
"""Bytes below which a disk is called full: SQLite needs more for one transaction."""
_DATABASES = (
    "history/runs.db",
    "history/event_log.db",
    "history/runs/index.db",
    "schedules/schedules.db",
)
_PATIENCE = 10.0
"""Seconds that others may hold a lock."""
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
_NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_NO_FOLDER = frozenset({errno.ENOTDIR, errno.EEXIST, errno.EISDIR})


class StorageError(Exception):
    """What the project leaves behind cannot be read or written; the message says what to do."""


@contextmanager
def storage_explained(project: Project) -> Generator[None]:
    """Turn what is wrong with the disk or the files on it into a `StorageError`."""
    try:
        yield
    except Exception as error:
        why = explain(error, project.state)
        if why is None:
            raise
        raise StorageError(why) from error


def try_out(project: Project) -> None:
    """See whether the folders can be written and the files in them be used.

    Raises:
        StorageError: They cannot; a file is damaged, or somebody holds a lock on it.
    """
    with storage_explained(project):
        _try_out(project.state)


def _try_out(state: Path) -> None:
    for folder in (state, state / "logs", state / "dagster"):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(b"\0" * _FULL)
        except OSError as error:
            # Not with the name of the file, which nobody knows.
            raise OSError(error.errno, error.strerror, str(folder)) from error
    for path in (state / "records.sqlite", *(state / "dagster" / name for name in _DATABASES)):
        if path.exists():
            _may_be_written(path)
            try:
                _lock(path)
            except sqlite3.Error as error:
                raise StorageError(_of_database(error, state, path)) from error


def _may_be_written(path: Path) -> None:
    """See whether a file can be opened, without opening it.

    SQLite's locks belong to the process: closing a file that was opened beside SQLite would drop
    those of its connections, and another process could delete the log that they write to
    (https://sqlite.org/howtocorrupt.html, 2.2).
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not os.access(path, os.R_OK | os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def _lock(path: Path) -> None:
    """Begin to write into a database."""
    with closing(sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)) as tried:
        tried.execute("BEGIN IMMEDIATE")
        tried.execute("ROLLBACK")


def explain(error: BaseException, state: Path) -> str | None:
    """Return what is wrong with the project's state and what to do, or None if it is not that.

    Args:
        error: What was raised.
        state: The project's state folder.
    """
    for each in _chain(error):
        match each:
            case RecordsError() | StorageError():
                return str(each)
            case sqlite3.Error():
                return _of_database(each, state)
            case OSError():
                why = _of_file(each, state)
                if why is not None:
                    return why
            case _ if type(each).__module__.startswith("yaml."):
                return f"{state / 'dagster' / 'dagster.yaml'} is not YAML. Correct it."
            case _:
                pass
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and those that led to it, the innermost last."""
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__ or each.__context__


def _of_database(error: sqlite3.Error, state: Path, file: Path | None = None) -> str:
    """Say what is wrong with a database: a known one, or one of those with the history of runs."""
    text = str(error)
    history = state / "dagster"
    name = f"{file}" if file else f"The history of runs in {history}"
    if "full" in text or _is_full(state):
        return _no_space(state)
    if "locked" in text or "busy" in text:
        return (
            f"Another process holds a lock on {file or f'the history of runs in {history}'}. See "
            "whether one hangs (`fuser` shows who uses the files), then try again."
        )
    if "malformed" in text or "not a database" in text:
        return _damaged(text, history, file)
    if "readonly" in text or "unable to open" in text:
        return _not_allowed(file or history, text)
    if "I/O" in text:
        return (
            f"The disk refuses to read or write {file or f'the history of runs in {history}'} "
            f"({text}). See whether it is full or failing, or files may not get large "
            "(`ulimit -f`)."
        )
    return f"{name} cannot be used: {text}."


def _damaged(text: str, history: Path, file: Path | None) -> str:
    if file is not None and not file.is_relative_to(history):
        return (
            f"{file} is damaged ({text}). Move the file away; it is made anew, and earlier runs "
            "can then not be resumed."
        )
    return (
        f"{file or f'A file of the history of runs in {history}'} is damaged ({text}). Move the "
        f"folder {history} away; it is made anew, without the earlier runs."
    )


def _of_file(error: OSError, state: Path) -> str | None:
    place = Path(os.fsdecode(error.filename)) if error.filename else state
    if error.errno in _NO_SPACE:
        return _no_space(state)
    if error.errno == errno.EFBIG:
        return f"{place} may not get larger: see `ulimit -f`."
    if not place.is_relative_to(state) and not state.is_relative_to(place):
        return None
    if error.errno in _NOT_ALLOWED:
        return _not_allowed(place, error.strerror or "")
    if error.errno in _NO_FOLDER:
        taken = next((p for p in (state, *place.parents, place) if p.is_file()), place)
        return (
            f"{taken} is a file where CloudFlow needs a folder for runs, records and logs. Move it "
            "away."
        )
    return None


def _is_full(state: Path) -> bool:
    try:
        return shutil.disk_usage(state).free < _FULL
    except OSError:
        return False


def _no_space(state: Path) -> str:
    return f"The disk with {state} is full. Free some space, then run again."


def _not_allowed(place: Path, why: str) -> str:
    return (
        f"{place} cannot be written ({why.lower()}). CloudFlow keeps runs, records and logs in the "
        "project's folder `.cloudflow`: let this user write there (`chmod`, `chown`)."
    )
