"""An index of the whole catalogue, in one file of SQLite with full-text search.

It is made from the sources when somebody first searches, and kept under the user's cache folder by
what the sources say of their edition: with another version of a package it is another file. A file
is never changed once it is there; a process that is killed while it makes one leaves a part behind,
which nobody opens. Where none can be kept, it is made in memory each time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import tempfile
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from math import log
from pathlib import Path

from cloudflow_dagster.nodes.cache_folder import cache_folder
from cloudflow_dagster.nodes.editions import edition_of
from cloudflow_dagster.nodes.search import Candidate, Entry, Question, Wanted, looked_for
from cloudflow_dagster.nodes.spec import Access, Kind
from cloudflow_dagster.nodes.stems import stem, stems_of

Synonyms = Mapping[str, Sequence[str]]
"""Words that people say, and the words of names that may be meant."""

_CANDIDATES = 200
"""Entries that full-text search gives to be ranked."""
_RARITY = 0.1
"""How much more a word says that few entries have."""
_COMMON = 5
"""A word that more than one entry in so many has is common."""
_FEW = 100
"""But not one that only so many have."""
_UNUSED_SECONDS = 30 * 24 * 3600
_TOUCHED_SECONDS = 24 * 3600
_ABANDONED_SECONDS = 3600
_COMPLETE = 1
"""`user_version` of a file that was written to its end."""

_SCHEMA = """
CREATE TABLE entries (
  id TEXT NOT NULL UNIQUE, label TEXT, description TEXT, prominent REAL, provider TEXT,
  category TEXT, kind TEXT, access TEXT, curated INTEGER, family TEXT
);
CREATE VIRTUAL TABLE words USING fts5 (name, service, about, text, detail=column);
CREATE VIRTUAL TABLE terms USING fts5vocab (words, row);
CREATE TABLE synonyms (stem TEXT PRIMARY KEY, stems TEXT NOT NULL) WITHOUT ROWID;
"""
_COLUMNS = "id, label, description, prominent, provider, category, kind, access, curated"
_FIND = f"""
SELECT {_COLUMNS}, words.name, service, about, text, family
FROM (
  SELECT rowid AS at FROM words
  WHERE words MATCH ?1 AND rank MATCH 'bm25(10, 8, 5, 1)'
  AND (?2 IS NULL OR rowid IN (SELECT rowid FROM entries WHERE family = ?2))
  ORDER BY rank LIMIT {_CANDIDATES}
) JOIN words ON words.rowid = at JOIN entries ON entries.rowid = at
"""  # noqa: S608 - of constants
_LIST = f"""
SELECT {_COLUMNS} FROM entries WHERE ? IS NULL OR family = ? ORDER BY rowid LIMIT ?
"""  # noqa: S608 - of constants


class NoFullTextSearchError(Exception):
    """This Python's SQLite was built without FTS5."""


class Index:
    """All entries of the catalogue, to be listed and searched.

    Args:
        editions: What the sources say they are now; with any other it is another index.
        entries: Gives all entries. Asked only if the index has to be made.
        synonyms: The same for synonyms.

    Raises:
        NoFullTextSearchError: SQLite cannot search.

    Attributes:
        problem: Why it could not be kept, as a sentence, if it could not.
    """

    def __init__(
        self,
        editions: Iterable[str],
        entries: Callable[[], Iterable[Entry]],
        synonyms: Callable[[], Synonyms],
    ) -> None:
        self.problem: str | None = None
        self._entries, self._synonyms = entries, synonyms
        self._file: Path | None = None
        try:
            self._file = _file(editions)
        except RuntimeError as error:
            self.problem = _not_kept(str(error))
        self._use((self._file and _open(self._file)) or self._made())

    def search(self, text: str, limit: int, family: str | None = None) -> list[Entry]:
        """Return the entries that fit a question best, the best first.

        Args:
            text: Words; not all have to be found.
            limit: At most so many.
            family: First part of the ids to look at (`aws`, `logic`); None for all.
        """
        return self._soundly(lambda: self._search(text, limit, family))

    def entries(self, family: str | None = None, limit: int | None = None) -> list[Entry]:
        """Return all entries, or so many, in the order of their sources."""
        values = (family, family, -1 if limit is None else limit)
        return self._soundly(lambda: [_entry(row) for row in self._database.execute(_LIST, values)])

    def _soundly(self, question: Callable[[], list[Entry]]) -> list[Entry]:
        """Answer a question; if the file turns out to be damaged, from one that is made anew."""
        try:
            return question()
        except (sqlite3.Error, ValueError):
            self._close()
            self._use(self._made())
            return question()

    def _use(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._close = weakref.finalize(self, database.close)

    def _made(self) -> sqlite3.Connection:
        """Make the index and keep it, if that can be done."""
        entries, synonyms = list(self._entries()), self._synonyms()
        if self._file is not None:
            try:
                _keep(self._file, entries, synonyms)
            except (OSError, sqlite3.Error) as error:
                reason = getattr(error, "strerror", None) or str(error)
                self.problem = _not_kept(f"{self._file.parent}: {reason}")
            else:
                if kept := _open(self._file):
                    return kept
                self.problem = _not_kept(f"{self._file} cannot be read back")
        database = sqlite3.connect(":memory:", check_same_thread=False)
        _write(database, entries, synonyms)
        return database

    def _search(self, text: str, limit: int, family: str | None) -> list[Entry]:
        words = looked_for(text, self._means)
        said = frozenset(map(stem, words))
        wanted = [self._wanted(word, said) for word in words]
        if not wanted:
            return []
        rows = self._database.execute(_FIND, (self._expression(wanted), family))
        return Question(text, wanted).best((_candidate(row) for row in rows), limit)

    def _means(self, word: str) -> bool:
        return bool(self._synonyms_of(stem(word)))

    def _synonyms_of(self, root: str) -> frozenset[str]:
        row = self._database.execute("SELECT stems FROM synonyms WHERE stem = ?", (root,))
        found: tuple[str] | None = row.fetchone()
        return frozenset(found[0].split()) if found else frozenset()

    def _wanted(self, word: str, said: frozenset[str]) -> Wanted:
        """Return what is known of a word; what the question says itself is no synonym in it."""
        root = stem(word)
        synonyms = self._synonyms_of(root) - said
        counts = [self._count(each) for each in (root, *synonyms)]
        return Wanted(
            root,
            synonyms,
            weight=1 + _RARITY * log(1 + self._size / (1 + max(counts))),
            prefix=not any(counts),
        )

    def _expression(self, wanted: Sequence[Wanted]) -> str:
        """Return what full-text search is asked for: any of the words; synonyms only in names.

        What nearly every entry has (`get`, `create`) chooses none: it is left to the ranking.
        """
        most = max(self._size // _COMMON, _FEW)
        words = [each for each in wanted if self._count(each.stem) <= most] or wanted
        others = {root for each in wanted for root in each.synonyms if self._count(root) <= most}
        said = [f"{_quoted(each.stem)}{'*' if each.prefix else ''}" for each in words]
        if others:
            said.append(f"{{name service about}} : ({' OR '.join(map(_quoted, sorted(others)))})")
        return " OR ".join(said)

    @cached_property
    def _size(self) -> int:
        return self._database.execute("SELECT max(rowid) FROM entries").fetchone()[0] or 0

    def _count(self, root: str) -> int:
        found = self._database.execute("SELECT doc FROM terms WHERE term = ?", (root,)).fetchone()
        return found[0] if found else 0


def _file(editions: Iterable[str]) -> Path:
    digest = hashlib.sha256(edition_of(Path(__file__).parent).encode())
    for edition in editions:
        digest.update(f"\0{edition}".encode())
    return cache_folder() / "catalogue" / f"{digest.hexdigest()[:20]}.sqlite"


def _open(file: Path) -> sqlite3.Connection | None:
    """Return a kept index; None if there is none or it is damaged."""
    try:
        if not file.is_file():
            return None
        # Nobody changes the file any more, so there is nothing to lock: `immutable`.
        database = sqlite3.connect(
            f"{file.as_uri()}?immutable=1", uri=True, check_same_thread=False
        )
    except (OSError, sqlite3.Error):
        return None
    try:
        sound = database.execute("PRAGMA user_version").fetchone()[0] == _COMPLETE
    except sqlite3.Error:
        sound = False
    if not sound:
        database.close()
        return None
    with contextlib.suppress(OSError):
        if time.time() - file.stat().st_mtime > _TOUCHED_SECONDS:
            os.utime(file)
    return database


def _keep(file: Path, entries: Iterable[Entry], synonyms: Synonyms) -> None:
    """Write an index beside its place and move it there."""
    file.parent.mkdir(parents=True, exist_ok=True)
    _tidy(file.parent)
    handle, name = tempfile.mkstemp(prefix=f"{file.stem}-", suffix=".part", dir=file.parent)
    os.close(handle)
    part = Path(name)
    try:
        database = sqlite3.connect(part)
        try:
            _write(database, entries, synonyms)
        finally:
            database.close()
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def _tidy(folder: Path) -> None:
    """Remove what nobody has opened for a month, and what killed processes have left."""
    now = time.time()
    for pattern, seconds in (("*.sqlite", _UNUSED_SECONDS), ("*.part*", _ABANDONED_SECONDS)):
        for old in folder.glob(pattern):
            with contextlib.suppress(OSError):
                if now - old.stat().st_mtime > seconds:
                    old.unlink()


def _not_kept(reason: str) -> str:
    return f"The index of node types cannot be kept, so each search makes it anew: {reason}."


def _write(database: sqlite3.Connection, entries: Iterable[Entry], synonyms: Synonyms) -> None:
    # The file is thrown away if this does not come to its end.
    database.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")
    try:
        database.executescript(_SCHEMA)
    except sqlite3.OperationalError as error:
        if "fts5" in str(error):
            raise NoFullTextSearchError from error
        raise
    seen: set[str] = set()
    database.execute("BEGIN")
    for entry in entries:
        if entry.id in seen:  # the first source that knows an id wins
            continue
        seen.add(entry.id)
        family, *service, name = entry.id.split(".")
        if entry.provider != family:  # that all of a cloud are of it says nothing
            service = [family, *service]
        values = (
            *(entry.id, entry.label, entry.description, entry.prominent, entry.provider),
            *(entry.category, entry.kind, entry.access, entry.curated, family),
        )
        row = database.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
        texts = (
            f"{name} {entry.label}",
            " ".join(service),
            entry.about,
            f"{entry.description} {entry.text}",
        )
        database.execute(
            "INSERT INTO words (rowid, name, service, about, text) VALUES (?, ?, ?, ?, ?)",
            (row.lastrowid, *(" ".join(dict.fromkeys(stems_of(text))) for text in texts)),
        )
    known: dict[str, set[str]] = {}
    for word, words in synonyms.items():
        known.setdefault(stem(word), set()).update(stem(each) for each in words)
    database.executemany(
        "INSERT INTO synonyms VALUES (?, ?)",
        ((root, " ".join(sorted(stems))) for root, stems in known.items()),
    )
    database.execute("INSERT INTO words (words) VALUES ('optimize')")
    database.execute("COMMIT")
    database.execute(f"PRAGMA user_version = {_COMPLETE}")


def _quoted(root: str) -> str:
    return f'"{root}"'


def _entry(row: Sequence[str]) -> Entry:
    id, label, description, prominent, provider, category, kind, access, curated, *_ = row
    return Entry(
        id,
        label,
        description,
        prominent=float(prominent),
        provider=provider,
        category=category,
        kind=Kind(kind),
        access=Access(access),
        curated=bool(curated),
    )


def _candidate(row: Sequence[str]) -> Candidate:
    name, service, about, text, family = (frozenset(part.split()) for part in row[-5:])
    return Candidate(_entry(row), service, name, about, text, family)
