"""The compiler: parse, resolve, check, plan.

Every pass collects what it finds and goes on as far as it can; the way ends once, with all of it.
"""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cloudflow_dagster.compiler.checks import CHECKS, STRICT_CHECKS
from cloudflow_dagster.compiler.graph import Graph
from cloudflow_dagster.compiler.planning import plan_flow
from cloudflow_dagster.compiler.resolve import resolve_flow
from cloudflow_dagster.compiler.salvage import salvage
from cloudflow_dagster.compiler.siblings import Sibling, Siblings
from cloudflow_dagster.compiler.subject import Subject
from cloudflow_dagster.compiler.texts import Text
from cloudflow_dagster.diagnostics.model import Diagnostic, Diagnostics, FlowError, Severity
from cloudflow_dagster.flow.files import flows_in
from cloudflow_dagster.flow.model import Flow
from cloudflow_dagster.flow.source import Document, flow_id, parse_flow, read_document
from cloudflow_dagster.nodes.registry import Registry
from cloudflow_dagster.plan import Plan
from cloudflow_dagster.project import Project
from cloudflow_dagster.providers import catalogue


@dataclass(frozen=True)
class Compiled:
    """What became of one file.

    Attributes:
        file: Its path, as the user would type it.
        flow_id: The flow's id, if it has a valid one.
        document: The file as read.
        flow: The flow as written; None if its shape is wrong.
        graph: The flow resolved against the catalogue, however wrong it is.
        texts: Its strings with expressions.
        diagnostics: All that was found, with lines and columns, in the order of the file.
    """

    file: str
    flow_id: str | None
    document: Document
    flow: Flow | None
    graph: Graph | None
    texts: tuple[Text, ...]
    diagnostics: tuple[Diagnostic, ...]

    @property
    def failed(self) -> bool:
        """Whether anything is wrong enough that it cannot run."""
        return any(d.severity is Severity.ERROR for d in self.diagnostics)

    @cached_property
    def plan(self) -> Plan | None:
        """What the flow will do; None if there is an error."""
        return None if self.failed or self.graph is None else plan_flow(self.graph, self.texts)


@dataclass(slots=True)
class Parsed:
    """A file after the first pass: what the incremental compiler works with."""

    file: str
    document: Document
    flow: Flow | None
    id: str | None
    found: Diagnostics

    @property
    def sibling(self) -> Sibling:
        """The flow as one of its project."""
        return Sibling(self.id or Path(self.file).stem, self.file, self.flow)


def compile_flow(
    flow: str | Path | Flow, *, project: Project | None = None, registry: Registry | None = None
) -> Plan:
    """Compile one flow.

    Args:
        flow: Path of the flow's file, or a flow made in Python.
        project: The project whose credentials, secrets, variables and other flows it may name.
            Without one such names are not checked.
        registry: The node types; without it all that are installed.

    Returns:
        The flow's plan.

    Raises:
        FlowError: Something is wrong; `diagnostics` is all of it, warnings included.
    """
    registry = registry or catalogue()
    parsed = _given(flow) if isinstance(flow, Flow) else parse_file(Path(flow), str(flow))
    siblings = _siblings(project, parsed)
    compiled = compile_parsed(parsed, project, registry, siblings)
    if compiled.plan is None:
        raise FlowError(compiled.diagnostics)
    return compiled.plan


def compile_file(
    path: str | Path,
    *,
    project: Project | None,
    registry: Registry | None = None,
    strict: bool = False,
) -> Compiled:
    """Compile one file. Never raises: what is wrong is in the result.

    Args:
        path: The file.
        project: The project that it belongs to, if any.
        registry: The node types; without it all that are installed.
        strict: Report also what may well be meant.
    """
    parsed = parse_file(Path(path), str(path))
    siblings = _siblings(project, parsed)
    return compile_parsed(parsed, project, registry or catalogue(), siblings, strict=strict)


def compile_project(
    project: Project, registry: Registry | None = None, *, strict: bool = False
) -> list[Compiled]:
    """Compile all flows of a project, in the order of their files' names.

    Whatever one of them is, the others are not harmed.
    """
    with collector_paused():
        parsed, siblings = parse_project(project)
        return [
            compile_parsed(one, project, registry or catalogue(), siblings, strict=strict)
            for one in parsed
        ]


def parse_project(project: Project) -> tuple[list[Parsed], Siblings]:
    """Parse all flows of a project; return them, and what each may know of the others."""
    parsed = [parse_file(path, shown_path(path)) for path in flows_in(project.flows)]
    siblings = Siblings()
    for one in parsed:
        siblings.add(one.sibling)
    return parsed, siblings


@contextmanager
def collector_paused() -> Generator[None, None, None]:
    """Do without the garbage collector: all that is made is kept, and it would look for nothing.

    Saves a seventh of the time for a thousand flows (`benchmarks/check_flows.py`).
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def shown_path(path: Path) -> str:
    """Return a path as a user would type it: relative to the current folder, if it lies there."""
    folder = Path.cwd()
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)


def parse_file(path: Path, file: str) -> Parsed:
    """Read and parse one file, called `file` in diagnostics."""
    found = Diagnostics()
    document = read_document(path, file, found)
    flow = parse_flow(document, found)
    id = flow_id(flow, file, found) if flow is not None else None
    return Parsed(file, document, flow, id, found)


def _given(flow: Flow) -> Parsed:
    """Take a flow that is in no file; its diagnostics have no lines."""
    file = f"{flow.id or 'flow'}.json"
    return Parsed(file, Document(file, ""), flow, flow.id or "flow", Diagnostics())


def _siblings(project: Project | None, parsed: Parsed) -> Siblings | None:
    if project is None:
        return None
    siblings = Siblings(project.flows)
    siblings.add(parsed.sibling)
    return siblings


def compile_parsed(
    parsed: Parsed,
    project: Project | None,
    registry: Registry,
    siblings: Siblings | None,
    *,
    strict: bool = False,
) -> Compiled:
    """Resolve and check what was parsed. Takes over the diagnostics of `parsed`."""
    checked: Subject | None = None
    if parsed.flow is not None:
        graph = resolve_flow(parsed.flow, id=parsed.id, file=parsed.file, registry=registry)
        checked = _check(Subject(graph, registry, project, siblings, parsed.found), strict=strict)
    elif (rest := salvage(parsed.document.data, parsed.found)) is not None:
        graph = resolve_flow(rest.flow, id=None, file=parsed.file, registry=registry)
        found = _check(Subject(graph, registry, project, siblings)).found
        parsed.found.extend(rest.certain(found))
    return Compiled(
        file=parsed.file,
        flow_id=parsed.id,
        document=parsed.document,
        flow=parsed.flow,
        graph=checked.graph if checked else None,
        texts=tuple(checked.texts) if checked else (),
        diagnostics=tuple(parsed.document.place(parsed.found)) if parsed.found.items else (),
    )


def _check(subject: Subject, *, strict: bool = False) -> Subject:
    for check in (*CHECKS, *STRICT_CHECKS) if strict else CHECKS:
        check(subject)
    return subject
