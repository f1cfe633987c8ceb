"""The flows of a project, as far as one of them has to know the others."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cloudflow_dagster.diagnostics.model import Diagnostics
from cloudflow_dagster.flow.files import flows_in, real_path
from cloudflow_dagster.flow.model import Flow
from cloudflow_dagster.flow.source import flow_id, parse_flow, read_document


@dataclass(frozen=True, slots=True)
class Sibling:
    """A flow of the project; `flow` is None if its file is broken."""

    id: str
    file: str
    flow: Flow | None


@dataclass(slots=True)
class Siblings:
    """Finds flows by id. What is not known yet is read when somebody asks for it.

    Attributes:
        folder: Where the project's flows are; None if all are known.
    """

    folder: Path | None = None
    _by_id: dict[str, Sibling] = field(default_factory=dict[str, Sibling])
    _files: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    _read_already: set[Path] = field(default_factory=set[Path])

    def add(self, sibling: Sibling) -> None:
        """Make a flow known. Of several with one id the first counts."""
        self._by_id.setdefault(sibling.id, sibling)
        self._files.setdefault(sibling.id, []).append(sibling.file)
        if self.folder is not None:
            self._read_already.add(real_path(Path(sibling.file)))

    def files_of(self, id: str) -> Sequence[str]:
        """Return the files, of those that are known already, whose flow has this id."""
        return self._files.get(id, [])

    def get(self, id: str) -> Sibling | None:
        """Return the flow with an id. Most are in the file of that name, so it is read first."""
        if id not in self._by_id and self.folder is not None:
            self._read([self.folder / f"{id}.json"])
            if id not in self._by_id:
                self._read_all()
        return self._by_id.get(id)

    def ids(self) -> Collection[str]:
        """Return the ids of all flows."""
        self._read_all()
        return self._by_id.keys()

    def _read_all(self) -> None:
        if self.folder is not None:
            self._read(flows_in(self.folder))
            self.folder = None

    def _read(self, paths: Iterable[Path]) -> None:
        for path in paths:
            if path.is_file() and real_path(path) not in self._read_already:
                self.add(read_sibling(path))


def as_others_see(flow: Flow) -> Flow:
    """Return of a flow what checks of other flows look at: its params, its calls, `on_failure`.

    A project of a thousand flows is kept in memory by what this leaves.
    """
    calls = tuple(node for node in flow.nodes if node.type == "flow.call")
    return Flow(version=1, id=flow.id, params=flow.params, nodes=calls, on_failure=flow.on_failure)


def read_sibling(path: Path) -> Sibling:
    """Read a flow, without a word about what is wrong with it."""
    found = Diagnostics()
    document = read_document(path, str(path), found)
    flow = parse_flow(document, found)
    id = flow_id(flow, str(path), None) if flow is not None else None
    return Sibling(id or path.stem, str(path), flow)
