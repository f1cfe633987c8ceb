"""What people call the things of AWS and what is done to them; `synonyms.txt` is the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

_FILE = Path(__file__).with_name("synonyms.txt")
_SERVICE = "@"


def synonyms() -> Mapping[str, Sequence[str]]:
    """Return words that people say, and the words of AWS that may be meant by them."""
    return {word: words for word, words in _lines() if not word.startswith(_SERVICE)}


@cache
def _services() -> Mapping[str, Sequence[str]]:
    return {word.removeprefix(_SERVICE): words for word, words in _lines() if word[0] == _SERVICE}


def also_called(service: str) -> Sequence[str]:
    """Return other words for what a service is about.

    Args:
        service: botocore's name of it.
    """
    return _services().get(service, ())


def _lines() -> Iterator[tuple[str, Sequence[str]]]:
    for line in _FILE.read_text("utf-8").splitlines():
        word, colon, words = line.partition(":")
        if colon and not line.startswith("#"):
            yield word.strip(), words.split()
