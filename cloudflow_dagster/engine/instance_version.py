"""Brings an instance that an older version made up to date, and refuses one of a newer version.

Dagster itself migrates on demand alone (`dagster instance migrate`), and says so with a traceback
when a query fails; one of a newer version fails somewhere. Here it is seen before the instance is
opened, by the revisions in its SQLite files; other storages are their owner's to migrate. Checked
on Dagster 1.13.27.
"""

from __future__ import annotations

import fcntl
import io
import sqlite3
from collections.abc import Iterator
from contextlib import closing, redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    import dagster as dg

_SEEN = ".dagster_version"
"""Holds the version of Dagster whose schema the files are known to have."""
_FILES = {
    "history/runs.db": "runs",
    "history/runs/index.db": "event_log",
    "history/event_log.db": "event_log",
    "schedules/schedules.db": "schedules",
}
"""SQLite files of an instance, and whose migrations they follow."""


class TooNew(Exception):  # noqa: N818 - it says what it means
    """The instance was made by a newer version; the message says what to do."""


class _Found(NamedTuple):
    """A file and its revision."""

    file: Path
    revision: str
    head: str
    known: frozenset[str]


def bring_up_to_date(home: Path, open_: Callable[[], dg.DagsterInstance]) -> None:
    """Migrate the files of an instance if an older version of Dagster made them.

    One process does it while others wait; copies of all files are kept in a folder beside them.

    Args:
        home: The instance's folder.
        open_: Opens the instance.

    Raises:
        TooNew: A newer version of Dagster made them.
    """
    now = version("dagster")
    if _seen(home) == now:
        return
    with (home / "setup.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _seen(home) == now:
            return
        found = list(_revisions(home))
        for each in found:
            if each.revision not in each.known:
                raise TooNew(
                    f"The history of runs in {home} was made by a newer version of CloudFlow "
                    f"({each.file.name} has the revision {each.revision}, which Dagster {now} does "
                    "not know). Use that version, or another folder."
                )
        if any(each.revision != each.head for each in found):
            _copy(home, home / f"before-{now}-{datetime.now(UTC):%Y%m%dT%H%M%S}")
            # Dagster tells of its progress on the terminal.
            with (
                redirect_stdout(io.StringIO()),
                redirect_stderr(io.StringIO()),
                open_() as instance,
            ):
                instance.upgrade()
        (home / _SEEN).write_text(now, "ascii")


def _seen(home: Path) -> str:
    try:
        return (home / _SEEN).read_text("ascii")
    except (OSError, UnicodeDecodeError):
        return ""


def _revisions(home: Path) -> Iterator[_Found]:
    """Yield the files whose revision is written in them."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - with Dagster's storage: 1 s
    from dagster._core.storage.event_log import sqlite as event_log  # noqa: PLC0415
    from dagster._core.storage.runs import sqlite as runs  # noqa: PLC0415
    from dagster._core.storage.schedules import sqlite as schedules  # noqa: PLC0415
    from dagster._core.storage.sql import get_alembic_config  # noqa: PLC0415

    places = {"runs": runs, "event_log": event_log, "schedules": schedules}
    for name, owner in _FILES.items():
        revision = _revision_of(home / name)
        if revision is None:
            continue
        script = ScriptDirectory.from_config(get_alembic_config(str(places[owner].__file__)))
        known = frozenset(each.revision for each in script.walk_revisions())
        yield _Found(home / name, revision, script.get_current_head() or "", known)


def _revision_of(file: Path) -> str | None:
    if not file.is_file():
        return None
    with closing(sqlite3.connect(file, timeout=30)) as db:
        try:
            row = db.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                # Dagster has not made its tables yet, or will mark them itself.
                return None
            raise
    return row[0] if row else None


def _copy(home: Path, to: Path) -> None:
    """Copy the SQLite files of an instance, each as it is at one moment."""
    for folder in ("history", "schedules"):
        for file in sorted((home / folder).rglob("*.db")):
            copy = to / file.relative_to(home)
            copy.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(file)) as old, closing(sqlite3.connect(copy)) as new:
                old.backup(new)
