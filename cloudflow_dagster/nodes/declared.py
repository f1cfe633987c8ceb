"""Node types that are declared by functions in a package's modules.

A node type's id is the path of the module that declares it: `generic.http.request` is declared in
`<package>/generic/http/request.py`, or, where there is no such module, in
`<package>/generic/http.py` beside others. A word of the id that is a Python keyword has an
underscore more in the module's name: `logic.if` in `logic/if_.py`.
"""

from __future__ import annotations

import keyword
from collections.abc import Iterator
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from pkgutil import iter_modules
from typing import cast

from cloudflow_dagster.nodes.declare import ID_PATTERN, Declaration, declaration_of
from cloudflow_dagster.nodes.spec import NodeType


class DeclaredNodes:
    """A source of node types: the declarations of a package.

    Args:
        package: Name of the package.
        families: First words of the ids it has; without them every module and package directly
            in it is one.
    """

    def __init__(self, package: str, families: tuple[str, ...] | None = None) -> None:
        self.name = package
        self._families = families
        self._declared: dict[str, dict[str, Declaration]] = {}

    def get(self, id: str) -> NodeType | None:
        """Return the node type with this id, importing only the module that declares it."""
        if not ID_PATTERN.fullmatch(id) or not self.owns(id):
            return None
        parts = tuple(_module_name(part) for part in id.split("."))
        for path in (parts, parts[:-1]):
            if self._exists(path):
                found = self._declarations(path).get(id)
                if found:
                    return found.node_type
        return None

    def ids(self) -> Iterator[str]:
        """Yield the id of every node type; imports every module, but makes no node type."""
        for path in self._modules():
            yield from self._declarations(path)

    def owns(self, id: str) -> bool:
        """Return whether a node type with this id would be declared here."""
        return id.partition(".")[0] in self.families

    @property
    def families(self) -> tuple[str, ...]:
        """The first words of the ids."""
        if self._families is None:
            found = iter_modules(import_module(self.name).__path__)
            self._families = tuple(module.name.rstrip("_") for module in found)
        return self._families

    def _exists(self, path: tuple[str, ...]) -> bool:
        """Whether there is a module at this path, found without importing anything on the way."""
        places = import_module(self.name).__path__
        spec: ModuleSpec | None = None
        for n in range(len(path)):
            spec = PathFinder.find_spec(".".join((self.name, *path[: n + 1])), places)
            if spec is None:
                return False
            places = spec.submodule_search_locations or []
        return spec is not None

    def _declarations(self, path: tuple[str, ...]) -> dict[str, Declaration]:
        name = ".".join((self.name, *path))
        if name not in self._declared:
            values = cast("dict[str, object]", vars(import_module(name))).values()
            found = (d for value in values if (d := declaration_of(value)))
            # A module may import a declared function from another; that declares nothing.
            self._declared[name] = {
                d.id: d for d in found if getattr(d.function, "__module__", None) == name
            }
        return self._declared[name]

    def _modules(self) -> Iterator[tuple[str, ...]]:
        root = import_module(self.name)
        waiting = [
            ((_module_name(family),), list(root.__path__)) for family in sorted(self.families)
        ]
        while waiting:
            path, places = waiting.pop(0)
            spec = PathFinder.find_spec(".".join((self.name, *path)), places)
            if spec is None:
                continue
            yield path
            below = spec.submodule_search_locations or []
            waiting += [((*path, module.name), list(below)) for module in iter_modules(below)]


def _module_name(part: str) -> str:
    return f"{part}_" if keyword.iskeyword(part) else part
