"""Compiling a project again after something has changed: only what that concerns.

A flow is compiled anew when its own file has changed, or when it would be told something else about
the other flows than it was told before. What it asked about them is written down while it is
checked (`_Asking`), and asked again afterwards; so nobody has to say which check looks at what.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cloudflow_dagster.compiler.pipeline import (
    Compiled,
    Parsed,
    collector_paused,
    compile_parsed,
    parse_file,
    shown_path,
)
from cloudflow_dagster.compiler.siblings import Sibling, Siblings, as_others_see
from cloudflow_dagster.flow.files import flow_names_in
from cloudflow_dagster.nodes.registry import Registry
from cloudflow_dagster.project import Project
from cloudflow_dagster.providers import catalogue

Stamp = tuple[int, int, int, int] | None
"""Times of last change (content, file), size and inode; None if there is no file to look at."""

_TICK = 100_000_000
"""Nanoseconds within which a second change of a file may leave its times as they are."""
_LAYOUTS = ".layout"


@dataclass(frozen=True)
class Change:
    """What became of a project since it was looked at before.

    Attributes:
        files: All files of flows, in order, as the user would type them.
        compiled: Those that were compiled anew.
    """

    files: Sequence[str]
    compiled: Sequence[Compiled]


@dataclass(slots=True)
class _Known:
    """A file as it was compiled.

    Attributes:
        file: Its path, as the user would type it.
        stamp: What it looked like just before it was read.
        settled: Whether a change since then must have changed the stamp.
        text: What stood in it, as a hash.
        sibling: What other flows see of it.
        layout: Whether a layout lies beside it.
        answers: What it was told about other flows, by question.
    """

    file: str
    stamp: Stamp
    settled: bool
    text: int
    sibling: Sibling
    layout: bool = False
    answers: dict[_Question, Any] = field(default_factory=dict["_Question", Any])


_Question = tuple[str, str]


class IncrementalCompiler:
    """Compiles a project again and again.

    Args:
        project: The project. If its `cloudflow.yaml` changes, another one of these is needed.
        registry: The node types; without it all that are installed.
    """

    def __init__(self, project: Project, registry: Registry | None = None) -> None:
        self.project = project
        self._registry = registry
        self._known: dict[str, _Known] = {}
        self._by_name: dict[str, _Known] = {}
        self._folder = f"{project.flows}{os.sep}"
        self._siblings = Siblings()

    def update(self) -> Change:
        """Compile what is new, what has changed, and what that concerns.

        Whatever one of the flows is, the others are not harmed.
        """
        with collector_paused():
            parsed = dict(self._read())
            self._siblings = _siblings(self._known.values())
            layouts = _layouts(self.project)
            todo = [
                file
                for file, known in self._known.items()
                if file in parsed
                or known.layout != self._layout(known, layouts)
                or any(self._ask(question) != told for question, told in known.answers.items())
            ]
            compiled = [self._compile(file, parsed.get(file), layouts) for file in todo]
        return Change(tuple(self._known), compiled)

    def one(self, file: str) -> Compiled:
        """Compile one file as it is now, beside the other flows as they were last looked at.

        Args:
            file: As `update` names it.
        """
        path = Path(file)
        return compile_parsed(
            parse_file(path, file), self.project, self._node_types(), self._siblings
        )

    def _node_types(self) -> Registry:
        return self._registry or catalogue()

    def _read(self) -> Iterator[tuple[str, Parsed]]:
        """Look at all files; yield those that are new or have changed, parsed."""
        before, self._known = self._by_name, {}
        self._by_name = {}
        for name in flow_names_in(self.project.flows):
            known, one = self._look_at(name, before.get(name))
            self._by_name[name] = self._known[known.file] = known
            if one is not None:
                yield known.file, one

    def _look_at(self, name: str, known: _Known | None) -> tuple[_Known, Parsed | None]:
        """Return a file as it is now, and parsed if it is not what it was."""
        path = f"{self._folder}{name}"
        stamp = _stamp(path)
        if known is not None and known.stamp == stamp and known.settled:
            return known, None
        file = known.file if known else shown_path(Path(path))
        one, settled = parse_file(Path(path), file), _settled(stamp)
        text = hash(one.document.text)
        if known is not None and known.stamp == stamp and known.text == text:
            known.settled = settled
            return known, None
        return _Known(file, stamp, settled, text, _sibling(one)), one

    def _compile(self, file: str, parsed: Parsed | None, layouts: frozenset[str]) -> Compiled:
        known = self._known[file]
        asking = _Asking(self._siblings)
        one = parsed or parse_file(Path(file), file)
        compiled = compile_parsed(one, self.project, self._node_types(), asking)
        known.answers = asking.answers
        known.layout = self._layout(known, layouts)
        return compiled

    def _layout(self, known: _Known, layouts: frozenset[str]) -> bool:
        return f"{known.sibling.id}.json" in layouts

    def _ask(self, question: _Question) -> Any:
        return _QUESTIONS[question[0]](self._siblings, question[1])


_QUESTIONS: dict[str, Callable[[Siblings, str], Any]] = {
    "get": lambda siblings, id: siblings.get(id),
    "files of": lambda siblings, id: tuple(siblings.files_of(id)),
    "ids": lambda siblings, _: tuple(siblings.ids()),
}


class _Asking(Siblings):
    """The other flows, for one that is being checked; notes what it is told."""

    def __init__(self, known: Siblings) -> None:
        super().__init__()
        self.known = known
        self.answers: dict[_Question, Any] = {}

    def get(self, id: str) -> Sibling | None:
        return self._note(("get", id))

    def files_of(self, id: str) -> Sequence[str]:
        return self._note(("files of", id))

    def ids(self) -> Collection[str]:
        return self._note(("ids", ""))

    def _note(self, question: _Question) -> Any:
        answer = _QUESTIONS[question[0]](self.known, question[1])
        self.answers[question] = answer
        return answer


def _sibling(parsed: Parsed) -> Sibling:
    sibling = parsed.sibling
    return replace(sibling, flow=as_others_see(sibling.flow)) if sibling.flow else sibling


def _siblings(all_known: Iterable[_Known]) -> Siblings:
    siblings = Siblings()
    for known in all_known:
        siblings.add(known.sibling)
    return siblings


def _layouts(project: Project) -> frozenset[str]:
    try:
        return frozenset(path.name for path in (project.flows / _LAYOUTS).iterdir())
    except OSError:
        return frozenset()


def _stamp(path: str) -> Stamp:
    try:
        status = os.stat(path)  # noqa: PTH116 - a thousand of them, twice a second
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


def _settled(stamp: Stamp) -> bool:
    return stamp is None or not 0 <= time.time_ns() - max(stamp[:2]) <= _TICK
