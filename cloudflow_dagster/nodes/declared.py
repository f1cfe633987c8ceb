"""Node types that are declared by functions in a package's modules.

A node type's id is the path of the module that declares it: `generic.http.request` is declared in
`<package>/generic/http/request.py`, or, where there is no such module, in
`<package>/generic/http.py` beside others. A word of the id that is a Python keyword has an
underscore more in the module's name: `logic.if` in `logic/if_.py`. A file `synonyms.txt` in the
package says what people call them, by the beginnings of the ids
(`cloudflow_dagster.nodes.synonyms`).
"""

from __future__ import annotations

import keyword
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from importlib.abc import InspectLoader
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from pkgutil import iter_modules
from typing import cast

from cloudflow_dagster.nodes.declare import ID_PATTERN, Declaration, declaration_of
from cloudflow_dagster.nodes.editions import edition_of
from cloudflow_dagster.nodes.spec import NodeType
from cloudflow_dagster.nodes.synonyms import FILE, Spoken, read_synonyms

_DECORATORS = ("action(", "condition(", "trigger(", "resource(")


class DeclaredNodes:
    """A source of node types: the declarations of a package.

    Args:
        package: Name of the package.
        families: First words of the ids it has; without them every module and package directly
            in it is one.
        prefix: Word that all its ids begin with, before those that are the path of the module.
    """

    def __init__(
        self, package: str, families: tuple[str, ...] | None = None, *, prefix: str | None = None
    ) -> None:
        self.name = package
        self._families = families
        self._before = "" if prefix is None else f"{prefix}."
        self._declared: dict[str, dict[str, Declaration]] = {}
        self._spoken: Spoken | None = None

    def get(self, id: str) -> NodeType | None:
        """Return the node type with this id, importing only the module that declares it."""
        if not ID_PATTERN.fullmatch(id) or not self.owns(id):
            return None
        parts = tuple(_module_name(part) for part in self._path(id).split("."))
        for path in (parts, parts[:-1]):
            spec = self._spec(path)
            found = self._declarations(spec).get(id) if spec else None
            if found:
                return found.node_type
        return None

    def ids(self) -> Iterator[str]:
        """Yield the id of every node type, making none; imports the modules that declare any."""
        for spec in self._specs():
            yield from self._declarations(spec)

    def edition(self) -> str:
        """Return a text that is another one when the package's code changes."""
        return edition_of(*map(Path, import_module(self.name).__path__))

    def synonyms(self) -> Mapping[str, Sequence[str]]:
        """Return words that people say, and the words of names that may be meant by them."""
        return self._words.synonyms

    def about(self, id: str) -> str:
        """Return words for what a node type is about."""
        parts = id.split(".")
        beginnings = (".".join(parts[:count]) for count in range(1, len(parts) + 1))
        known = self._words.about
        return " ".join(word for each in beginnings for word in known.get(each, ()))

    @property
    def _words(self) -> Spoken:
        if self._spoken is None:
            [folder, *_] = import_module(self.name).__path__
            self._spoken = read_synonyms(Path(folder) / FILE)
        return self._spoken

    def owns(self, id: str) -> bool:
        """Return whether a node type with this id would be declared here."""
        begins = id.startswith(self._before)
        return begins and self._path(id).partition(".")[0] in self.families

    def _path(self, id: str) -> str:
        return id.removeprefix(self._before)

    @property
    def families(self) -> tuple[str, ...]:
        """The first words of the ids."""
        if self._families is None:
            found = iter_modules(import_module(self.name).__path__)
            self._families = tuple(module.name.rstrip("_") for module in found)
        return self._families

    def _declarations(self, spec: ModuleSpec) -> dict[str, Declaration]:
        name = spec.name
        if name not in self._declared:
            found: list[Declaration] = []
            if _may_declare(spec):
                values = cast("dict[str, object]", vars(import_module(name))).values()
                found = [d for value in values if (d := declaration_of(value))]
            # A module may import a declared function from another; that declares nothing.
            self._declared[name] = {
                d.id: d for d in found if getattr(d.function, "__module__", None) == name
            }
        return self._declared[name]

    def _spec(self, path: tuple[str, ...]) -> ModuleSpec | None:
        """Find the module at this path without importing anything on the way."""
        places: Sequence[str] = import_module(self.name).__path__
        spec: ModuleSpec | None = None
        for n in range(len(path)):
            spec = PathFinder.find_spec(".".join((self.name, *path[: n + 1])), places)
            if spec is None or spec.loader is None:  # nothing, or a folder without `__init__.py`
                return None
            places = spec.submodule_search_locations or []
        return spec

    def _specs(self) -> Iterator[ModuleSpec]:
        """Yield every module of the families, each package before what is in it."""
        waiting = [(_module_name(family),) for family in sorted(self.families, reverse=True)]
        while waiting:
            path = waiting.pop()
            spec = self._spec(path)
            if spec is None:
                continue
            yield spec
            below = sorted(m.name for m in iter_modules(spec.submodule_search_locations or []))
            waiting += [(*path, name) for name in reversed(below)]


def _may_declare(spec: ModuleSpec) -> bool:
    """Whether a module's text names a decorator; one that does not is not worth importing."""
    if not isinstance(spec.loader, InspectLoader):
        return True
    source = spec.loader.get_source(spec.name)
    return source is None or any(word in source for word in _DECORATORS)


def _module_name(part: str) -> str:
    return f"{part}_" if keyword.iskeyword(part) else part
