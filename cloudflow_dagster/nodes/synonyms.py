"""What people call things and what is done to them, as files of words.

# Words that people say: the words of names that may be meant.
server: instance
# What a thing is about, by its name.
@s3: bucket object file storage
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

FILE = "synonyms.txt"
_THING = "@"


@dataclass(frozen=True, slots=True)
class Spoken:
    """What people say.

    Attributes:
        synonyms: Words that people say, and the words of names that may be meant.
        about: Names of things, and other words for what they are about.
    """

    synonyms: Mapping[str, Sequence[str]]
    about: Mapping[str, Sequence[str]]


def read_synonyms(file: Path) -> Spoken:
    """Read a file of words.

    Args:
        file: One that is not there says nothing.
    """
    synonyms: dict[str, Sequence[str]] = {}
    about: dict[str, Sequence[str]] = {}
    lines = file.read_text("utf-8").splitlines() if file.is_file() else []
    for line in lines:
        said, colon, words = line.partition(":")
        said = said.strip()
        if colon and not said.startswith("#"):
            known = about if said.startswith(_THING) else synonyms
            said = said.removeprefix(_THING)
            known[said] = (*known.get(said, ()), *words.split())
    return Spoken(synonyms, about)
