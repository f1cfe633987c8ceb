"""Finds entries of the catalogue by words: what a search looks at, and which fits best."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import zip_longest

from cloudflow_dagster.nodes.bitmaps import Bits, Sums
from cloudflow_dagster.nodes.spec import Access, Kind, NodeType
from cloudflow_dagster.nodes.stems import PARTICLES, QUESTIONS, STOP_WORDS, stem, words_of

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
MAKES = stem("create")
"""What every resource type does."""
_SURPLUS = -0.07
"""For each word of the name that is not looked for: of two that fit, the shorter is meant."""
_MOST_WORDS = 7
"""Of a name, beyond which one more is not counted."""
_EXACT, _AS_TYPED = 10.0, 1.0
"""The words are those of the name; and in its order, as somebody types who knows it."""
_ONE = 1000
"""A score of 1, in the unit of the sums."""


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
class Places:
    """The entries that have a word, or one of several, by where they have it.

    Attributes:
        name: In the last part of the id, or in the label.
        verb: As the first word of the label.
        service: In the parts of the id between the first and the last.
        family: As the first part of the id.
        about: In `Entry.about`.
        text: In the documentation.
    """

    name: Bits = 0
    verb: Bits = 0
    service: Bits = 0
    family: Bits = 0
    about: Bits = 0
    text: Bits = 0

    def __or__(self, other: Places) -> Places:
        """Return the places of either."""
        return Places(
            self.name | other.name,
            self.verb | other.verb,
            self.service | other.service,
            self.family | other.family,
            self.about | other.about,
            self.text | other.text,
        )

    @property
    def anywhere(self) -> Bits:
        """All of them."""
        return self.name | self.service | self.about | self.text


@dataclass(frozen=True, slots=True)
class Traits:
    """What is known of entries beside their words.

    Attributes:
        all: Every entry.
        curated: Those that a person wrote.
        resources: Those that are resource types.
        reads: Those that only read.
        destroys: Those that destroy.
        prominent: Those that are prominent, by how much.
        longer: Those whose names have more words than as many as the place in this tuple says,
            from 0 on.
    """

    all: Bits
    curated: Bits
    resources: Bits
    reads: Bits
    destroys: Bits
    prominent: Mapping[float, Bits]
    longer: Sequence[Bits]


@dataclass(frozen=True, slots=True)
class Wanted:
    """One word that is looked for.

    Attributes:
        places: Where its stem is. If no entry has the word: where words are that begin so.
        synonyms: Where words are that may stand for it, each by its stem.
        makes: Something is to be made, which every resource type does.
        whole: Whether it is the word, not only the beginning of one.
        weight: How much it says: a rare word says more than one that every second entry has.
    """

    stem: str
    places: Places
    synonyms: Mapping[str, Places]
    makes: bool = False
    whole: bool = True
    weight: float = 1.0


class Question:
    """What somebody looks for.

    Args:
        text: As it was typed.
        wanted: What is known of each of its words that say something.
        traits: What is known of the entries.
    """

    def __init__(self, text: str, wanted: Sequence[Wanted], traits: Traits) -> None:
        self._asks = bool(QUESTIONS & set(words_of(text)[:1]))
        self._wanted = wanted
        self._traits = traits

    def best(self, among: Bits, exact: Bits, as_typed: Bits, limit: int) -> list[int]:
        """Return the numbers of the entries that fit best, the best first.

        Not every word has to be found. Exact names come first, then curated types before generated
        ones, well-known services before others, short names before long ones, and what reads
        before what destroys unless that was asked for.

        Args:
            among: The entries that are looked at.
            exact: Those that are named by just these words.
            as_typed: Those of them whose ids end so.
            limit: At most so many.
        """
        sums = Sums()
        found = self._add_words(sums)
        self._add_traits(sums)
        _add(sums, exact, _EXACT)
        _add(sums, as_typed, _AS_TYPED)
        return sums.best(found & among, limit)

    def _add_words(self, sums: Sums) -> Bits:
        """Add what the words count for each entry; return the entries that have any."""
        found = 0
        total = sum(each.weight for each in self._wanted)
        for word in self._wanted:
            left = self._traits.all
            for value, entries in self._values(word):
                _add(sums, entries & left, value * word.weight / total)
                left &= ~entries
            found |= self._traits.all & ~left
            _add(sums, word.places.about, _ITS_MATTER / len(self._wanted))
        return found

    def _values(self, word: Wanted) -> list[tuple[float, Bits]]:
        """Return what a word counts, the most first, and for which entries."""
        there = word.places
        likeness = 1.0 if word.whole else _PREFIX
        meant = reduce(Places.__or__, word.synonyms.values(), Places())
        values = [
            (_NAME * likeness, there.name),
            (_SERVICE * likeness, there.service),
            (_ABOUT * likeness, there.about),
            (_TEXT * likeness, there.text),
            (_NAME * _SYNONYM, meant.name),
            (_SERVICE * _SYNONYM_OF_SERVICE, meant.service),
            (_ABOUT * _SYNONYM, meant.about),
            (_TEXT * _SYNONYM, meant.text),
        ]
        if word.makes:
            values.append((_NAME, self._made))
        return sorted(values, reverse=True)

    @property
    def _made(self) -> Bits:
        return self._traits.resources & self._traits.curated

    def _add_traits(self, sums: Sums) -> None:
        """Add what speaks for entries beside the words; what speaks against one, for the others."""
        traits = self._traits
        stems = {each.stem: each.places for each in self._wanted}
        for each in self._wanted:
            stems |= each.synonyms
        verbs = 0
        for places in stems.values():
            _add(sums, places.name, -_SURPLUS)
            verbs |= places.verb
        for longer in traits.longer[:_MOST_WORDS]:
            _add(sums, traits.all & ~longer, -_SURPLUS)
        # A resource type is not meant by all that is done to the resource.
        makes = any(each.makes for each in self._wanted)
        _add(sums, traits.curated if makes else traits.curated & ~traits.resources, _CURATED)
        for prominence, entries in traits.prominent.items():
            _add(sums, entries, _PROMINENT * prominence)
        _add(sums, traits.reads, _QUESTION - _NO_ANSWER if self._asks else _READS)
        _add(sums, verbs, -_OTHER_VERB)
        _add(sums, traits.all & ~(traits.destroys & ~verbs), -_DESTROYS)


def named_so(words: Iterable[Places], traits: Traits) -> Bits:
    """Return the entries that are named by just these words: no more, no fewer.

    Args:
        words: Of a question, each once. The service and the family may be said or left out.
        traits: What is known of the entries.
    """
    known = traits.all
    at_least = [traits.all]
    """Entries whose names have at least so many of the words."""
    for places in words:
        known &= places.name | places.service | places.family
        at_least.append(0)
        for count in range(len(at_least) - 1, 0, -1):
            at_least[count] |= at_least[count - 1] & places.name
    whole = 0
    for enough, longer in zip_longest(at_least[1:], traits.longer[1 : len(at_least)], fillvalue=0):
        whole |= enough & ~longer
    return known & whole


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


def _add(sums: Sums, entries: Bits, score: float) -> None:
    sums.add(entries, round(score * _ONE))
