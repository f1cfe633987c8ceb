"""An index of the whole catalogue, in one file of SQLite.

For each word it has the sets of the entries that have the word, as bits: a search ranks all of them
at once. SQLite's full-text search was tried: its ranking (`bm25`) looks at each of the thousands of
entries that have any word of a question, which takes twenty times as long, and what it says of
names is of so little use that its two hundred best had to be ranked again.

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
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache, reduce
from math import log
from pathlib import Path
from typing import Any, TypeVar

from cloudflow_dagster.nodes.bitmaps import Bits, pack, unpack
from cloudflow_dagster.nodes.cache_folder import cache_folder
from cloudflow_dagster.nodes.editions import edition_of
from cloudflow_dagster.nodes.search import (
    MAKES,
    Entry,
    Places,
    Question,
    Traits,
    Wanted,
    looked_for,
    named_so,
)
from cloudflow_dagster.nodes.spec import Access, Kind
from cloudflow_dagster.nodes.stems import stem, stems_of, words_of

Synonyms = Mapping[str, Sequence[str]]
"""Words that people say, and the words of names that may be meant."""

_RARITY = 0.1
"""How much more a word says that few entries have."""
_MOST_WORDS = 12
"""Words of a name that are counted."""
_UNUSED_SECONDS = 30 * 24 * 3600
_TOUCHED_SECONDS = 24 * 3600
_ABANDONED_SECONDS = 3600
_COMPLETE = 1
"""`user_version` of a file that was written to its end."""

_SCHEMA = """
CREATE TABLE entries (
  number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, label TEXT, description TEXT,
  prominent REAL, provider TEXT, category TEXT, kind TEXT, access TEXT, curated INTEGER,
  family TEXT, last TEXT, nth INTEGER
);
CREATE INDEX entries_last ON entries (last);
CREATE TABLE stems (
  stem TEXT PRIMARY KEY, name BLOB, verb BLOB, service BLOB, family BLOB, about BLOB, text BLOB
) WITHOUT ROWID;
CREATE TABLE traits (trait TEXT, value, entries BLOB);
CREATE TABLE synonyms (stem TEXT PRIMARY KEY, stems TEXT NOT NULL) WITHOUT ROWID;
"""
_COLUMNS = "id, label, description, prominent, provider, category, kind, access, curated"
_PLACES = ("name", "verb", "service", "family", "about", "text")
_FIND = f"SELECT {', '.join(_PLACES)} FROM stems WHERE stem"  # noqa: S608 - of constants
_SHOW = f"SELECT {_COLUMNS} FROM entries WHERE number = ?"  # noqa: S608 - of constants
_LIST = f"""
SELECT {_COLUMNS} FROM entries WHERE ?1 IS NULL OR family = ?1 ORDER BY nth LIMIT ?2
"""  # noqa: S608 - of constants


T = TypeVar("T")


class Index:
    """All entries of the catalogue, to be listed and searched.

    Args:
        editions: What the sources say they are now; with any other it is another index.
        entries: Gives all entries. Asked only if the index has to be made.
        synonyms: The same for synonyms.

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
        values = (family, -1 if limit is None else limit)
        return self._soundly(lambda: [_entry(row) for row in self._database.execute(_LIST, values)])

    def families(self) -> list[str]:
        """Return the first parts of all ids, sorted."""
        question = "SELECT DISTINCT family FROM entries ORDER BY family"
        return self._soundly(lambda: [family for (family,) in self._database.execute(question)])

    def _soundly(self, question: Callable[[], list[T]]) -> list[T]:
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
        words = looked_for(text, lambda word: bool(self._synonyms_of(stem(word))))
        said = frozenset(map(stem, words))
        question = Question(text, [self._wanted(word, said) for word in words], self._traits)
        among = self._traits.all if family is None else self._places(stem(family)).family
        exact = named_so(map(self._places, dict.fromkeys(stems_of(text))), self._traits)
        as_typed = exact and exact & self._ending_with(words_of(text))
        best = question.best(among, exact, as_typed, limit)
        return [_entry(self._database.execute(_SHOW, (each,)).fetchone()) for each in best]

    def _wanted(self, word: str, said: frozenset[str]) -> Wanted:
        """Return what is known of a word; what the question says itself is no synonym in it."""
        root = stem(word)
        synonyms = self._synonyms_of(root) - said
        places = {each: self._places(each) for each in (root, *sorted(synonyms))}
        counts = [each.anywhere.bit_count() for each in places.values()]
        there = places.pop(root)
        whole = any(counts)
        return Wanted(
            root,
            there if whole else self._beginning(root),
            places,
            makes=MAKES in {root, *synonyms},
            whole=whole,
            weight=1 + _RARITY * log(1 + self._traits.all.bit_count() / (1 + max(counts))),
        )

    def _synonyms_of(self, root: str) -> frozenset[str]:
        row = self._database.execute("SELECT stems FROM synonyms WHERE stem = ?", (root,))
        found: tuple[str] | None = row.fetchone()
        return frozenset(found[0].split()) if found else frozenset()

    def _places(self, root: str) -> Places:
        row = self._database.execute(f"{_FIND} = ?", (root,))
        found = row.fetchone()
        return _unpacked(found) if found else Places()

    def _beginning(self, root: str) -> Places:
        """Return where words are that begin so."""
        rows = self._database.execute(f"{_FIND} >= ? AND stem < ?", (root, f"{root}\U0010ffff"))
        return reduce(Places.__or__, map(_unpacked, rows), Places())

    def _ending_with(self, words: Sequence[str]) -> Bits:
        """Return the entries whose ids' last part is the end of what was typed."""
        found = 0
        for start in range(len(words)):
            last = "_".join(words[start:])
            rows = self._database.execute("SELECT number FROM entries WHERE last = ?", (last,))
            for (number,) in rows:
                found |= 1 << number
        return found

    @cached_property
    def _traits(self) -> Traits:
        rows = self._database.execute("SELECT trait, value, entries FROM traits ORDER BY value")
        known: dict[str, dict[Any, Bits]] = {}
        for trait, value, entries in rows:
            known.setdefault(trait, {})[value] = unpack(entries)
        of = {trait: values[None] for trait, values in known.items() if None in values}
        return Traits(
            all=of.get("all", 0),
            curated=of.get("curated", 0),
            resources=of.get(Kind.RESOURCE, 0),
            reads=of.get(Access.READ, 0),
            destroys=of.get(Access.DESTROY, 0),
            prominent=known.get("prominent", {}),
            longer=tuple(known.get("longer", {}).values()),
        )


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
    database.executescript(_SCHEMA)
    places: dict[str, dict[str, list[int]]] = {}
    traits: dict[tuple[str, object], list[int]] = {}
    database.execute("BEGIN")
    for number, (nth, entry) in enumerate(_unique(entries)):
        family, *_, last = entry.id.split(".")
        values = (
            *(number, entry.id, entry.label, entry.description, entry.prominent, entry.provider),
            *(entry.category, entry.kind, entry.access, entry.curated, family, last, nth),
        )
        marks = ", ".join("?" * len(values))
        database.execute(f"INSERT INTO entries VALUES ({marks})", values)  # noqa: S608 - marks
        words = _words_of(entry)
        for place, stems in words.items():
            for each in stems:
                places.setdefault(each, {}).setdefault(place, []).append(number)
        for trait in _traits_of(entry, len(words["name"])):
            traits.setdefault(trait, []).append(number)
    database.executemany(
        "INSERT INTO stems VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            (root, *(pack(of[place]) if place in of else None for place in _PLACES))
            for root, of in sorted(places.items())
        ),
    )
    database.executemany(
        "INSERT INTO traits VALUES (?, ?, ?)",
        ((*trait, pack(numbers)) for trait, numbers in traits.items()),
    )
    known: dict[str, set[str]] = {}
    for word, words in synonyms.items():
        known.setdefault(stem(word), set()).update(stem(each) for each in words)
    database.executemany(
        "INSERT INTO synonyms VALUES (?, ?)",
        ((root, " ".join(sorted(stems))) for root, stems in known.items()),
    )
    database.execute("COMMIT")
    database.execute(f"PRAGMA user_version = {_COMPLETE}")


def _unique(entries: Iterable[Entry]) -> list[tuple[int, Entry]]:
    """Return each entry with its place among all, the shorter ids first: so equals are found.

    Of two with the same id the first source's wins.
    """
    known: dict[str, Entry] = {}
    for entry in entries:
        known.setdefault(entry.id, entry)
    return sorted(enumerate(known.values()), key=lambda each: (len(each[1].id), each[1].id))


def _words_of(entry: Entry) -> Mapping[str, Collection[str]]:
    """Return the stems of an entry by where it has them."""
    family, *service, last = entry.id.split(".")
    if entry.provider != family:  # that all of a cloud are of it says nothing
        service = [family, *service]
    return {
        "name": set(stems_of(f"{last} {entry.label}")),
        "verb": set(stems_of(entry.label)[:1]),
        "service": set(stems_of(" ".join(service))),
        "family": {stem(family)},
        "about": _stems_of_all(entry.about),
        "text": set(stems_of(f"{entry.description} {entry.text}")),
    }


@lru_cache(maxsize=64)  # the entries of a service have it in common
def _stems_of_all(text: str) -> frozenset[str]:
    return frozenset(stems_of(text))


def _traits_of(entry: Entry, length: int) -> Iterator[tuple[str, object]]:
    """Yield what is known of an entry beside its words; its name has so many."""
    yield "all", None
    yield entry.kind, None
    yield entry.access, None
    if entry.curated:
        yield "curated", None
    if entry.prominent:
        yield "prominent", entry.prominent
    for count in range(min(length, _MOST_WORDS)):
        yield "longer", count


def _unpacked(row: Sequence[bytes | None]) -> Places:
    return Places(*(unpack(content) if content else 0 for content in row))


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
