"""Finds entries of the catalogue by words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from heapq import nsmallest

_WORDS = re.compile(r"[^\W_]+")
_EXACT, _BEGINS, _HOLDS, _DESCRIBED = 8, 5, 3, 1
_MISSING = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """What a search looks at.

    Attributes:
        id: Of the node type.
        label: A few words.
        description: A sentence or more.
        prominent: It comes before others that fit as well.
    """

    id: str
    label: str
    description: str
    prominent: bool = False


def best(words: str, entries: Iterable[Entry], limit: int) -> list[Entry]:
    """Return the entries that fit best, the best first.

    Every word must be found: in the id or the label (a whole word counts most, the beginning of
    one more than its middle), or in the description. Among equals the prominent come first, then
    those with shorter ids.
    """
    wanted = words_of(words)
    if not wanted:
        return []
    ranked = ((_rank(wanted, entry), entry) for entry in entries)
    found = ((rank, entry) for rank, entry in ranked if rank)
    return [entry for _, entry in nsmallest(limit, found, key=_order)]


def words_of(text: str) -> list[str]:
    """Return what is looked for by a text, in small letters."""
    return [word.lower() for word in _WORDS.findall(text)]


def _order(found: tuple[float, Entry]) -> tuple[float, bool, int, str]:
    rank, entry = found
    return (-rank, not entry.prominent, len(entry.id), entry.id)


def _rank(wanted: list[str], entry: Entry) -> float:
    """Return how well an entry fits; 0 if a word is missing."""
    name = f"{entry.id} {entry.label}".lower()
    description = entry.description.lower()
    if not all(word in name or word in description for word in wanted):
        return _MISSING
    words = set(_WORDS.findall(name))
    total = sum(_weight(word, words, name) for word in wanted)
    # Of two that hold the words, the one that holds less beside them is meant.
    return total + len(wanted) / (len(words) + 1)


def _weight(word: str, words: set[str], name: str) -> int:
    if word in words or f"{word}s" in words or word.removesuffix("s") in words:
        return _EXACT
    if any(each.startswith(word) for each in words):
        return _BEGINS
    return _HOLDS if word in name else _DESCRIBED
