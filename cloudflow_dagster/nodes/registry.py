"""Finds node types by id, in the order in which their sources stand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, TypeVar, cast, runtime_checkable

from cloudflow_dagster.diagnostics.model import Diagnostic, Location, Severity, did_you_mean
from cloudflow_dagster.nodes.index import Index
from cloudflow_dagster.nodes.search import Entry, entry_of
from cloudflow_dagster.nodes.spec import NodeType

BROKEN_SOURCE = "CF6900"
"""Code of the warning that a package's node types cannot be used."""

_LONGEST_ID = 200

T = TypeVar("T")


class NodeSource(Protocol):
    """A place where node types come from."""

    @property
    def name(self) -> str:
        """What it is called in messages."""
        ...

    def owns(self, id: str) -> bool:
        """Return whether an id is meant for this source, by its first words."""
        ...

    def get(self, id: str) -> NodeType | None:
        """Return the node type with this id, if it is here."""
        ...

    def ids(self) -> Iterable[str]:
        """Return the ids of all its node types, without making them where that can be avoided."""
        ...


@runtime_checkable
class LargeNodeSource(NodeSource, Protocol):
    """A source with too many node types to make them all for a suggestion or a search."""

    def suggest(self, id: str) -> str | None:
        """Return the id here that was probably meant by one that does not exist."""
        ...

    def entries(self) -> Iterable[Entry]:
        """Return what a search looks at."""
        ...


@runtime_checkable
class OptionalNodeSource(NodeSource, Protocol):
    """A source that needs a package which is not always installed."""

    def lacks(self, id: str) -> str | None:
        """Return how to get its node types, if they are not there and the id may be one's."""
        ...


@runtime_checkable
class SteadySource(NodeSource, Protocol):
    """A source that knows without making anything whether its node types are still the same."""

    def edition(self) -> str:
        """Return a text that changes when a node type may have changed: versions of packages."""
        ...


@runtime_checkable
class SpeakingSource(NodeSource, Protocol):
    """A source that knows what people call the things that its node types are about."""

    def synonyms(self) -> Mapping[str, Sequence[str]]:
        """Return words that people say, and the words of names that may be meant by them."""
        ...

    def about(self, id: str) -> str:
        """Return words for what a node type belongs to, whichever source it is from."""
        ...


Discovery = Callable[[], tuple[Sequence[NodeSource], Sequence[Diagnostic]]]
"""Finds more sources, and what is wrong with those that cannot be used."""


@dataclass(frozen=True, slots=True)
class _Found:
    sources: tuple[NodeSource, ...]
    problems: tuple[Diagnostic, ...]


class Registry:
    """Node types from several sources; the first source that knows an id wins.

    Args:
        sources: In the order in which they are asked.
        discover: Finds the sources that come after them. Asked once, when those do not know an id
            or when everything is wanted: it may import other people's packages.
    """

    def __init__(self, *sources: NodeSource, discover: Discovery | None = None) -> None:
        self._given = sources
        self._discover = discover
        self._discovered: _Found | None = None
        self._known: dict[str, NodeType] = {}
        self._failed: dict[str, Diagnostic] = {}
        self._index: Index | None = None

    def get(self, id: str) -> NodeType | None:
        """Return the node type with this id, if any source has it."""
        known = self._known.get(id)
        if known is None:
            known = self._find(id)
            if known is not None:
                self._known[id] = known
        return known

    def ids(self) -> Iterator[str]:
        """Yield the id of every node type, source by source; takes a second."""
        seen: set[str] = set()
        for source in self._sources():
            for id in self._ask(source, lambda s=source: list(s.ids()), ()):
                if id not in seen:
                    seen.add(id)
                    yield id

    def __iter__(self) -> Iterator[NodeType]:
        """Yield every node type; takes many seconds."""
        for id in self.ids():
            if node_type := self.get(id):
                yield node_type

    def suggest(self, id: str) -> str | None:
        """Return a sentence with the id that was probably meant by one that does not exist."""
        if len(id) > _LONGEST_ID:  # comparing takes time by the square of the length
            return None
        meant = self._meant(id)
        lacking = (
            source.lacks(id) for source in self._given if isinstance(source, OptionalNodeSource)
        )
        return " ".join(text for text in (meant, *lacking) if text) or None

    def _meant(self, id: str) -> str | None:
        small: list[str] = []
        candidates: list[str] = []
        for source in self._sources():
            if isinstance(source, LargeNodeSource):
                if found := self._ask(source, partial(source.suggest, id), None):
                    candidates.append(found)
            else:
                small += self._ask(source, lambda s=source: list(s.ids()), [])
        return did_you_mean(id, candidates) or did_you_mean(id, small) or _first(candidates)

    def search(self, words: str, limit: int = 20, family: str | None = None) -> list[Entry]:
        """Return what fits the words best, the best first, without making a node type.

        Args:
            words: A question. Not all of its words have to be found.
            limit: At most so many.
            family: First word of the ids to look at (`aws`, `logic`); None for all.
        """
        return self.open_index().search(words, limit, family)

    def open_index(self, before_making: Callable[[], None] | None = None) -> Index:
        """Return all that there is, made ready for lists and searches.

        Args:
            before_making: Called if the index is not there yet; to make it takes some seconds.
        """
        if self._index is None:
            editions = [self._edition(source) for source in self._sources()]

            def entries() -> Iterator[Entry]:
                if before_making is not None:
                    before_making()
                return self._entries()

            self._index = Index(editions, entries, self._synonyms)
        return self._index

    @property
    def problems(self) -> tuple[Diagnostic, ...]:
        """Warnings about packages whose node types cannot be used."""
        return (*self._more().problems, *self._failed.values())

    def _find(self, id: str) -> NodeType | None:
        for source in self._given:
            if found := source.get(id):
                return found
        for source in self._more().sources:
            if found := self._ask(source, partial(source.get, id), None):
                return found
        return None

    def _entries(self) -> Iterator[Entry]:
        speaking = [each for each in self._sources() if isinstance(each, SpeakingSource)]
        for source in self._sources():
            for entry in self._ask(source, lambda s=source: list(_entries_of(s)), ()):
                if entry.about:
                    yield entry
                else:
                    yield replace(entry, about=self._about(entry.id, speaking))

    def _about(self, id: str, speaking: Sequence[SpeakingSource]) -> str:
        found = [
            self._ask(source, partial(source.about, id), "")
            for source in speaking
            if source.owns(id)
        ]
        return " ".join(found)

    def _edition(self, source: NodeSource) -> str:
        """Return what a source is now, if need be by looking at all that it has."""
        if isinstance(source, SteadySource):
            edition = self._ask(source, source.edition, "")
        else:
            edition = repr(self._ask(source, lambda: list(_entries_of(source)), ()))
        return f"{source.name} {edition}"

    def _synonyms(self) -> Mapping[str, Sequence[str]]:
        found: dict[str, Sequence[str]] = {}
        for source in self._sources():
            if isinstance(source, SpeakingSource):
                for word, words in self._ask(source, source.synonyms, {}).items():
                    found[word] = (*found.get(word, ()), *words)
        return found

    def _sources(self) -> tuple[NodeSource, ...]:
        return (*self._given, *self._more().sources)

    def _more(self) -> _Found:
        if self._discovered is None:
            sources, problems = self._discover() if self._discover else ((), ())
            self._discovered = _Found(tuple(sources), tuple(problems))
        return self._discovered

    def _ask(self, source: NodeSource, question: Callable[[], T], otherwise: object) -> T:
        """Ask a source; one of somebody else's that fails must not take the others down."""
        if source in self._given:
            return question()
        try:
            return question()
        except Exception as error:  # whatever somebody else's code may raise
            self._failed[source.name] = broken(source.name, error)
            return cast("T", otherwise)


def broken(name: str, error: BaseException) -> Diagnostic:
    """Return the warning that a source of node types cannot be used."""
    reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return Diagnostic(
        BROKEN_SOURCE,
        f"The node types of {name} cannot be used: {reason}",
        Location(name),
        "Repair, update or uninstall the package that they come from.",
        Severity.WARNING,
    )


def _entries_of(source: NodeSource) -> Iterator[Entry]:
    if isinstance(source, LargeNodeSource):
        yield from source.entries()
        return
    for id in source.ids():
        if node_type := source.get(id):
            yield entry_of(node_type)


def _first(candidates: list[str]) -> str | None:
    return f"Did you mean `{candidates[0]}`?" if candidates else None
