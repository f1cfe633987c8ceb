"""Gives the space of deleted rows back to the disk.

SQLite keeps it for later rows. A file that was told so when it was empty gives it back in small
pieces, between which others can write; another one has to be written anew as a whole once, which
is done while it is small, or when so much of it is empty that it is worth the wait.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

_INCREMENTAL = 2
_PAGES_A_PIECE = 1_000
_SMALL = 8_000_000
"""Bytes up to which writing a file anew takes no time worth naming."""
_WORTH_IT = 0.25
"""The share of a larger file that must be empty before it is written anew."""
_PATIENCE = 2.0
"""Seconds to wait for others who write; after that it is left for the next time."""


def give_back_space(files: Iterator[Path] | list[Path]) -> None:
    """Give the empty pages of SQLite files back; files that are busy are left as they are."""
    for file in files:
        if file.is_file():
            try:
                with closing(sqlite3.connect(file, timeout=_PATIENCE, isolation_level=None)) as db:
                    _shrink(db)
            except sqlite3.OperationalError:
                # Somebody writes into it. Nothing is lost: its empty pages are used or given back
                # another time.
                continue


def _shrink(db: sqlite3.Connection) -> None:
    empty, pages, size = (
        db.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("freelist_count", "page_count", "page_size")
    )
    if db.execute("PRAGMA auto_vacuum").fetchone()[0] == _INCREMENTAL:
        while empty > 0:
            db.execute(f"PRAGMA incremental_vacuum({_PAGES_A_PIECE})").fetchall()
            before, empty = empty, db.execute("PRAGMA freelist_count").fetchone()[0]
            if empty >= before:
                break
    elif pages * size <= _SMALL or empty > pages * _WORTH_IT:
        db.execute(f"PRAGMA auto_vacuum={_INCREMENTAL}")
        db.execute("VACUUM")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def databases_of(state: Path) -> list[Path]:
    """Return the SQLite files in a project's state folder, but not those of single runs."""
    history = state / "dagster" / "history"
    return [
        state / "records.sqlite",
        *sorted((state / "dagster").glob("*.db")),
        *sorted(history.glob("*.db")),
        history / "runs" / "index.db",
        *sorted((state / "dagster" / "schedules").glob("*.db")),
    ]


def used_by(folder: Path) -> int:
    """Return how many bytes of the disk a folder takes."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_blocks * 512
        except OSError:
            # It went while we looked.
            continue
    return total
