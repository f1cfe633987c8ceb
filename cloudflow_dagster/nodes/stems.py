"""What words have in common: `encrypts`, `encrypted` and `encryption` are one to a search.

Endings of English are taken off until little is left; what remains need not be a word, only the
same for both sides.
"""

from __future__ import annotations

import re
from functools import lru_cache

_WORDS = re.compile(r"[^\W_]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_DOUBLED = re.compile(r"([bdgmnprt])\1$")
_VOWEL = re.compile(r"[aeiouy]")
_SHORTEST = 3
"""Letters that are left at the least when an ending is taken off."""

STOP_WORDS = frozenset(
    """
    a about all am an and any anything are as at be been by can did do does for from had has
    have how i if in into is it its many me much my new now of off old on or our out please
    should so some something than that the their them there these this those to too up us was we
    were what when where which who whose will with would you your
    """.split()  # noqa: SIM905 - sixty words are read more easily so
)
"""Words that say nothing of what is looked for."""

PARTICLES = frozenset({"down", "in", "off", "on", "out", "up"})
"""Words that make another verb of the one before: to back up is to make a backup."""

QUESTIONS = frozenset({"are", "do", "does", "how", "is", "what", "when", "where", "which", "who"})
"""Words with which a question begins: it wants to know something, and to change nothing."""


def words_of(text: str) -> list[str]:
    """Return the words of a text in small letters; `CreateSnapshot` is two."""
    return [word.lower() for word in _WORDS.findall(_CAMEL.sub(" ", text))]


def stems_of(text: str) -> list[str]:
    """Return the stems of the words of a text, in their order."""
    return [stem(word) for word in words_of(text)]


@lru_cache(maxsize=32_768)
def stem(word: str) -> str:
    """Return what a word has in common with its other forms."""
    if len(word) <= _SHORTEST or not word.isalpha():
        return word
    word = _singular(word)
    for ending in ("ing", "ed"):
        rest = word.removesuffix(ending)
        if rest != word and len(rest) >= _SHORTEST and _VOWEL.search(rest):
            word = _DOUBLED.sub(r"\1", rest)
            break
    for ending in ("ment", "ly"):
        if len(word) - len(ending) > _SHORTEST:
            word = word.removesuffix(ending)
    if word.endswith(("tion", "sion")) and len(word) > len("tion") + 1:
        word = word.removesuffix("ion")
    if len(word) > _SHORTEST:
        word = word.removesuffix("e")
    if len(word) > _SHORTEST + 1:
        word = word.removesuffix("y")
    return word


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > len("ies") + 1:
        return word.removesuffix("ies") + "y"
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word.removesuffix("es")
    if word.endswith("is") and len(word) > _SHORTEST + 1:  # an analysis; but two AMIs or APIs
        return word
    if word.endswith("s") and not word.endswith(("ss", "us")):
        return word.removesuffix("s")
    return word
