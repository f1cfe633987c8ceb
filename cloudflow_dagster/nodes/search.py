"""Finds entries of the catalogue by words: what a search looks at, and which fits best."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from cloudflow_dagster.nodes.spec import Access, Kind, NodeType
from cloudflow_dagster.nodes.stems import PARTICLES, QUESTIONS, STOP_WORDS, stem, stems_of, words_of

# What a word counts where it is found; measured on half of `tests/fixtures/search_questions.json`.
_NAME, _SERVICE, _ABOUT, _TEXT = 1.0, 1.0, 0.65, 0.3
_SYNONYM, _SYNONYM_OF_SERVICE = 0.9, 0.8
_PREFIX = 0.7

# What else speaks for or against an entry, beside words, which give 1 if all are in its name.
_CURATED, _PROMINENT = 0.1, 0.22
_READS, _QUESTION = 0.01, 0.15
_NO_ANSWER = -0.1
"""For what changes something, where something was asked."""
_ITS_MATTER = 0.08
"""What is done to a thing is done best by the service that is about that thing."""
_OTHER_VERB, _DESTROYS = -0.02, -0.18
_MAKES = stem("create")
_SURPLUS = -0.07
"""For each word of the name that is not looked for: of two that fit, the shorter is meant."""
_MOST_SURPLUS = 5
_EXACT, _IN_ORDER = 10.0, 1.0
"""The words are those of the name; and in its order, as somebody types who knows it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a search looks at, and what a list shows of a node type.

    Attributes:
        id: Of the node type.
        label: A few words.
        description: A sentence.
        prominent: By how much it comes before others that fit as well, from 0 to 1.
        provider: As in the node type.
        category: As in the node type.
        kind: As in the node type.
        access: As in the node type.
        about: Other words for what it belongs to: the full name of its service.
        text: More documentation, for a search alone.
        curated: Whether a person wrote it.
    """

    id: str
    label: str
    description: str
    prominent: float = 0
    provider: str | None = None
    category: str = "other"
    kind: Kind = Kind.ACTION
    access: Access = Access.CHANGE
    about: str = ""
    text: str = ""
    curated: bool = False


def entry_of(node_type: NodeType) -> Entry:
    """Return what a search looks at of a node type that was declared."""
    first, _, rest = node_type.description.partition("\n\n")
    return Entry(
        node_type.id,
        node_type.label,
        " ".join(first.split()),
        prominent=1,
        provider=node_type.provider,
        category=node_type.category,
        kind=node_type.kind,
        access=node_type.access,
        text=rest,
        curated=True,
    )


@dataclass(frozen=True, slots=True)
class Wanted:
    """One word that is looked for.

    Attributes:
        stem: Its stem.
        synonyms: Stems that may stand for it.
        weight: How much it says: a rare word says more than one that every second entry has.
        prefix: No entry has the word: those with words that begin so are meant.
    """

    stem: str
    synonyms: frozenset[str] = frozenset()
    weight: float = 1.0
    prefix: bool = False

    @property
    def makes(self) -> bool:
        """Whether something is to be made, which every resource type does."""
        return self.stem == _MAKES or _MAKES in self.synonyms


@dataclass(frozen=True, slots=True)
class Candidate:
    """An entry with the stems of its words.

    Attributes:
        entry: The entry.
        service: Of the parts of the id between the first and the last.
        name: Of the last part of the id, and of the label.
        about: Of `Entry.about`.
        text: Of the documentation.
        family: The first part of the id.
    """

    entry: Entry
    service: frozenset[str]
    name: frozenset[str]
    about: frozenset[str]
    text: frozenset[str]
    family: frozenset[str]

    def share_about(self, wanted: Sequence[Wanted]) -> float:
        """Return which part of the words, from 0 to 1, says what the service is about."""
        return sum(each.stem in self.about for each in wanted) / (len(wanted) or 1)


class Question:
    """What somebody looks for.

    Args:
        text: As it was typed.
        wanted: What is known of each of its words that say something.
    """

    def __init__(self, text: str, wanted: Sequence[Wanted]) -> None:
        words = words_of(text)
        self._said = "_".join(words)
        self._exact = {stem(word) for word in words}
        self._asks = bool(QUESTIONS & set(words[:1]))
        self._wanted = wanted
        self._total = sum(each.weight for each in wanted) or 1.0

    def best(self, candidates: Iterable[Candidate], limit: int) -> list[Entry]:
        """Return the entries that fit best, the best first.

        Not every word has to be found. Exact names come first, then curated types before generated
        ones, well-known services before others, short names before long ones, and what reads
        before what destroys unless that was asked for.
        """
        scored = [
            (score, each.entry) for each in candidates if (score := self._score(each)) is not None
        ]
        scored.sort(key=lambda found: (-found[0], len(found[1].id), found[1].id))
        return [entry for _, entry in scored[:limit]]

    def _score(self, candidate: Candidate) -> float | None:
        """Return how well an entry fits; None if it has none of the words."""
        entry = candidate.entry
        found = 0.0
        used: set[str] = set()
        resource = entry.kind is Kind.RESOURCE
        made = False
        for word in self._wanted:
            value, by = _value(word, candidate)
            if resource and entry.curated and word.makes:
                value, made = _NAME, True
            found += word.weight * value
            used |= by
        if not found:
            return None
        score = found / self._total
        score += _ITS_MATTER * candidate.share_about(self._wanted)
        score += _SURPLUS * min(len(candidate.name - used), _MOST_SURPLUS)
        # A resource type is not meant by all that is done to the resource.
        score += _CURATED * (entry.curated and (made or not resource))
        score += _PROMINENT * entry.prominent
        if entry.access is Access.READ:
            score += _QUESTION if self._asks else _READS
        elif self._asks:
            score += _NO_ANSWER
        if used.isdisjoint(stems_of(entry.label)[:1]):
            score += _OTHER_VERB
            score += _DESTROYS * (entry.access is Access.DESTROY)
        known = candidate.name | candidate.service | candidate.family
        if candidate.name <= self._exact <= known:
            score += _EXACT
            score += _IN_ORDER * self._said.endswith(entry.id.rpartition(".")[2])
        return score


def looked_for(text: str, known: Callable[[str], bool]) -> list[str]:
    """Return the words of a question that say what is looked for, each once.

    Args:
        text: As it was typed.
        known: Tells whether a word has a meaning here: `back up` is `backup` if that has one, and
            a word such as `who` says something only then.
    """
    words = words_of(text)
    for at in range(len(words) - 2, -1, -1):
        if words[at + 1] in PARTICLES and known("".join(words[at : at + 2])):
            words[at : at + 2] = ["".join(words[at : at + 2])]
    words = list(dict.fromkeys(words))
    return [word for word in words if word not in STOP_WORDS or known(word)] or words


def _value(word: Wanted, candidate: Candidate) -> tuple[float, set[str]]:
    """Return what a word counts for a candidate, and the words of its name that it stands for."""
    found = 0.0
    used: set[str] = set()
    for stems, place, as_synonym in (
        (candidate.name, _NAME, _SYNONYM),
        (candidate.service, _SERVICE, _SYNONYM_OF_SERVICE),
        (candidate.about, _ABOUT, _SYNONYM),
        (candidate.text, _TEXT, _SYNONYM),
    ):
        for likeness, by in _likenesses(word, stems, as_synonym):
            found = max(found, place * likeness)
            if stems is candidate.name:
                used |= by
    return found, used


def _likenesses(
    word: Wanted, stems: frozenset[str], as_synonym: float
) -> Iterator[tuple[float, set[str]]]:
    if word.prefix:
        if by := {each for each in stems if each.startswith(word.stem)}:
            yield _PREFIX, by
        return
    if word.stem in stems:
        yield 1.0, {word.stem}
    if by := stems & word.synonyms:
        yield as_synonym, set(by)
