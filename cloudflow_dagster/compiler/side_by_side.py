"""Checks the flows of a project, many of them in several processes.

A thousand flows take a core five seconds, and a check has nothing to share between flows but what
is known of them all before it begins.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

from cloudflow_dagster.compiler.pipeline import (
    Compiled,
    Parsed,
    collector_paused,
    compile_parsed,
    parse_project,
)
from cloudflow_dagster.compiler.siblings import Siblings
from cloudflow_dagster.diagnostics.model import Diagnostic
from cloudflow_dagster.nodes.registry import Registry
from cloudflow_dagster.project import Project

_MANY = 100
"""Flows from which on it pays to start processes; these take half a second."""
_CHUNKS = 4
"""Pieces of the work for each process, because flows are not equally large."""


class Checked(NamedTuple):
    """What was found in one file.

    Attributes:
        file: Its path, as the user would type it.
        text: What it holds.
        diagnostics: All that was found, with lines and columns, in the order of the file.
    """

    file: str
    text: str
    diagnostics: tuple[Diagnostic, ...]


def checked(compiled: Compiled) -> Checked:
    """Return what was found in a file that was compiled."""
    return Checked(compiled.file, compiled.document.text, compiled.diagnostics)


def check_project(project: Project, registry: Registry, *, strict: bool = False) -> list[Checked]:
    """Check all flows of a project, in the order of their files' names.

    Args:
        project: The project.
        registry: The node types.
        strict: Report also what may well be meant.
    """
    with collector_paused():
        work = _Work(project, registry, *parse_project(project), strict)
        count = len(work.parsed)
        processes = _processes(count)
        if processes == 1:
            return work.check(range(count))
        size = -(-count // (processes * _CHUNKS))
        pieces = [range(at, min(at + size, count)) for at in range(0, count, size)]
        with ProcessPoolExecutor(
            processes, multiprocessing.get_context("fork"), _take, (work,)
        ) as pool:
            found = list(pool.map(_check, pieces))
    return [
        Checked(work.parsed[at].file, work.parsed[at].document.text, diagnostics)
        for piece, of_each in zip(pieces, found, strict=True)
        for at, diagnostics in zip(piece, of_each, strict=True)
    ]


def _processes(flows: int) -> int:
    """Return in how many processes to work: forked ones, which have all that is parsed."""
    alone = threading.active_count() == 1
    if flows < _MANY or not alone or "fork" not in multiprocessing.get_all_start_methods():
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


class _Work(NamedTuple):
    project: Project
    registry: Registry
    parsed: Sequence[Parsed]
    siblings: Siblings
    strict: bool

    def check(self, which: range) -> list[Checked]:
        return [
            checked(
                compile_parsed(
                    self.parsed[at], self.project, self.registry, self.siblings, strict=self.strict
                )
            )
            for at in which
        ]


_taken: list[_Work] = []
"""In a process of the pool: what it was forked with."""


def _take(work: _Work) -> None:
    _taken.append(work)


def _check(which: range) -> list[tuple[Diagnostic, ...]]:
    return [each.diagnostics for each in _taken[0].check(which)]
