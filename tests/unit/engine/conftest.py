"""A real Dagster instance, and a project of flows, in a folder of their own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cloudflow_dagster.compiler.pipeline import compile_flow
from cloudflow_dagster.engine.instance import dagster_home, open_instance
from cloudflow_dagster.engine.run_flow import run_flow
from cloudflow_dagster.plan import Plan
from cloudflow_dagster.project import Project, find_project
from tests.fixtures.beside_sqlite import copy_folder


@pytest.fixture(scope="session")
def fresh_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder of a project in which nothing has run yet; it takes a second to make."""
    root = tmp_path_factory.mktemp("fresh")
    dagster_home(find_project(root))
    return root / ".cloudflow"


@pytest.fixture
def project(tmp_path: Path, fresh_state: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    root = tmp_path / "project"
    (root / "flows").mkdir(parents=True)
    copy_folder(fresh_state, root / ".cloudflow")
    monkeypatch.chdir(root)
    return find_project(root)


@pytest.fixture
def instance(project: Project) -> Iterator[dg.DagsterInstance]:
    with open_instance(project) as made:
        yield made


@dataclass
class Flows:
    """Writes flows and runs them."""

    project: Project
    told: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def write(
        self, file: str, nodes: list[dict[str, Any]], edges: list[str], /, **more: Any
    ) -> Path:
        """Write a flow; an edge is `a > b` or `a.port > b`."""
        flow = {"version": 1, **more, "nodes": nodes, "edges": [_edge(e) for e in edges]}
        path = self.project.flows / f"{file}.json"
        path.write_text(json.dumps(flow))
        return path

    def plan(self, id: str) -> Plan:
        return compile_flow(self.project.flows / f"{id}.json", project=self.project)

    def run(self, id: str, **more: Any) -> dict[str, Any]:
        self.told.clear()
        return run_flow(self.project, self.plan(id), on_event=self._note, **more)

    def _note(self, node: str, status: str, seconds: float, detail: str = "") -> None:
        assert seconds >= 0
        self.told.append((node, status))


def _edge(text: str) -> dict[str, str]:
    left, _, right = text.partition(" > ")
    edge: dict[str, str] = {}
    for end, name in (("source", left), ("target", right)):
        node, dot, port = name.partition(".")
        edge[end] = node
        if dot:
            edge[f"{end}_port"] = port
    return edge


@pytest.fixture
def flows(project: Project) -> Flows:
    return Flows(project)


def value(id: str, value: Any, **more: Any) -> dict[str, Any]:
    """Return a node that gives a value."""
    return {"id": id, "type": "generic.transform", "config": {"value": value}, **more}


def breaks(id: str, **more: Any) -> dict[str, Any]:
    """Return a node that fails when it runs."""
    return value(id, "{{ $error('no') }}", **more)


def statuses(summary: dict[str, Any]) -> dict[str, str]:
    return {id: node["status"] for id, node in summary["nodes"].items()}
