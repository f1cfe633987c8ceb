"""A stage on which whole flows are played without an engine, with node types of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cloudflow_dagster.compiler.pipeline import compile_flow
from cloudflow_dagster.flow.model import Flow
from cloudflow_dagster.nodes.declared import DeclaredNodes
from cloudflow_dagster.nodes.registry import Registry
from cloudflow_dagster.nodes.spec import (
    ERROR_PORT,
    Behaviour,
    Carries,
    Chosen,
    Found,
    Kind,
    NodeType,
    Port,
    Repeat,
)
from cloudflow_dagster.plan import Plan, Step
from cloudflow_dagster.project import find_project
from cloudflow_dagster.providers import FAMILIES
from cloudflow_dagster.runtime.records import RunFacts, SqliteRecords
from cloudflow_dagster.runtime.redaction import Redactor
from cloudflow_dagster.runtime.run import Run
from cloudflow_dagster.runtime.summary import summarise
from cloudflow_dagster.runtime.whole import run_plan

EVENT = {"type": "trigger.manual", "time": "2026-11-23T07:00:00Z", "payload": {"size": 3}}
OPEN: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": True}


@dataclass
class Log:
    """Keeps what was logged."""

    lines: list[str] = field(default_factory=list)

    def debug(self, message: str) -> None:
        self.lines.append(f"debug: {message}")

    def info(self, message: str) -> None:
        self.lines.append(f"info: {message}")

    def warning(self, message: str) -> None:
        self.lines.append(f"warning: {message}")

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


class Nodes:
    """`test.do` does what the test says, else gives its `value`; `test.pick` goes on at `port`."""

    name = "test nodes"

    def __init__(self, stage: Stage) -> None:
        error = ERROR_PORT
        fields = [Port(name, Carries.FIELD) for name in ("a", "b")]
        ways = [Port(name, Carries.BRANCH) for name in ("left", "right")]
        common: dict[str, Any] = {"category": "test", "description": "Does.", "icon": "x"}
        types = [
            NodeType(
                id="test.do",
                kind=Kind.ACTION,
                label="Do",
                handler=stage.do,
                config_schema=OPEN,
                outputs=(Port("out"), *fields, error),
                transient=frozenset({"Busy"}),
                repeat=Repeat.TOKEN,
                **common,
            ),
            *(
                NodeType(
                    id=f"test.{repeat}",
                    kind=Kind.ACTION,
                    label=repeat.title(),
                    handler=stage.do,
                    config_schema=OPEN,
                    transient=frozenset({"Busy"}),
                    repeat=repeat,
                    look_up=stage.look_up if repeat is Repeat.LOOKUP else None,
                    **common,
                )
                for repeat in Repeat
            ),
            NodeType(
                id="test.pick",
                kind=Kind.CONDITION,
                label="Pick",
                handler=stage.pick,
                config_schema=OPEN,
                outputs=(*ways, error),
                **common,
            ),
            NodeType(
                id="test.typed",
                kind=Kind.ACTION,
                label="Typed",
                handler=stage.do,
                config_schema=TYPED,
                secrets=False,
                **common,
            ),
        ]
        self._types = {each.id: each for each in types}

    def owns(self, id: str) -> bool:
        return id.startswith("test.")

    def get(self, id: str) -> NodeType | None:
        return self._types.get(id)

    def ids(self) -> Iterable[str]:
        return self._types


TYPED: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "size": {"type": "integer", "minimum": 1},
        "names": {"type": "array", "items": {"type": "string"}},
        "level": {"enum": ["low", "high"]},
        "either": {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "null"}]},
        "filters": {"type": "array", "items": {"$ref": "#/$defs/filter"}},
        "when": {"type": ["string", "boolean"], "x-lazy": "condition"},
        "code": {"type": "string", "x-literal": True},
    },
    "additionalProperties": False,
    "$defs": {
        "filter": {
            "type": "object",
            "properties": {
                "key": {"type": "string"},
                "values": {"type": "array", "items": {"type": "string"}},
            },
            "required": ["key"],
            "additionalProperties": False,
        }
    },
}


@dataclass
class Played:
    """What came of a run."""

    run: Run
    summary: dict[str, Any]
    log: Log

    @property
    def nodes(self) -> dict[str, Any]:
        return self.summary["nodes"]

    @property
    def statuses(self) -> dict[str, str]:
        return {id: node["status"] for id, node in self.nodes.items()}

    def output(self, node: str) -> Any:
        return self.nodes[node]["output"]

    def error(self, node: str) -> Any:
        return self.nodes[node]["error"]


@dataclass
class Call:
    """One call of `test.do`."""

    node: str
    config: dict[str, Any]
    token: str
    call: Any


class Stage:
    """Makes flows, plays them, and remembers which nodes were called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls: list[Call] = []
        self.on: dict[str, Callable[[Any, dict[str, Any]], Any]] = {}
        self.found: dict[str, Found] = {}
        self.looked_for: list[tuple[str, dict[str, Any]]] = []
        self.registry = Registry(
            Nodes(self), DeclaredNodes("cloudflow_dagster.providers", FAMILIES)
        )
        self._lock = threading.Lock()
        self._played = 0

    def do(self, call: Any, config: dict[str, Any]) -> Any:
        with self._lock:
            self.calls.append(Call(call.node, config, call.token, call))
        work = self.on.get(call.node)
        return work(call, config) if work else config.get("value")

    def look_up(self, call: Any, config: dict[str, Any], began: Any) -> Found | None:
        assert began.tzinfo is not None
        self.looked_for.append((call.node, config))
        return self.found.get(call.node)

    @staticmethod
    def pick(call: Any, config: dict[str, Any]) -> Any:
        del call
        return Chosen(config["port"])

    def called(self, node: str) -> int:
        return sum(1 for call in self.calls if call.node == node)

    def plan(
        self,
        *nodes: dict[str, Any],
        edges: Sequence[str | tuple[str, str]] = (),
        **flow: Any,
    ) -> Plan:
        """Compile a flow. An edge is written `a -> b`, `a.port -> b.field`."""
        data = {
            "version": 1,
            "id": "played",
            "nodes": [{"type": "test.do", **node} for node in nodes],
            "edges": [_edge(edge) for edge in edges],
            **flow,
        }
        return compile_flow(Flow.model_validate(data), registry=self.registry)

    def records(self, run_id: str, lineage: Any = ()) -> SqliteRecords:
        return SqliteRecords(self.folder / "records.sqlite", run_id, lineage)

    def run(self, plan: Plan, run_id: str | None = None, lineage: Any = (), **more: Any) -> Run:
        self._played += 1
        project = find_project(self.folder)
        redactor = Redactor()
        records = self.records(run_id or f"run{self._played}", lineage)
        manual = plan.manual_trigger
        facts = {
            "started_at": "2026-11-23T07:00:00+00:00",
            "params": {},
            "trigger_node": manual.id if manual else None,
            "event": EVENT if manual else None,
            "attempt": 1 + len(lineage),
            **{k: more.pop(k) for k in ("params", "trigger_node", "event") if k in more},
        }
        records.save_run(RunFacts(flow=plan.flow, **facts))
        return Run(
            plan=plan,
            id=records.run_id,
            project=project,
            variables=project.variables,
            registry=self.registry,
            records=records,
            secrets=project.secrets.for_run(redactor.add),
            redactor=redactor,
            files=self.folder / "files" / records.run_id,
            **facts,
            **more,
        )

    def play(self, plan: Plan, run_id: str | None = None, lineage: Any = (), **more: Any) -> Played:
        """Run a plan to its end."""
        log = Log()
        run = self.run(plan, run_id, lineage, **more)
        run_plan(run, lambda _step, _indices: log)
        return Played(run, summarise(plan, run.records, only=run.only), log)

    def flow(
        self, *nodes: dict[str, Any], edges: Sequence[str | tuple[str, str]] = (), **more: Any
    ) -> Played:
        """Compile and play a flow in one go."""
        return self.play(self.plan(*nodes, edges=edges), **more)


def _edge(edge: str | tuple[str, str]) -> dict[str, Any]:
    source, target = edge.split(" -> ") if isinstance(edge, str) else edge
    found: dict[str, Any] = {}
    for end, text in (("source", source), ("target", target)):
        node, _, port = text.partition(".")
        found[end] = node
        if port:
            found[f"{end}_port"] = port
    return found


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


@pytest.fixture
def log() -> Log:
    return Log()


def steps_of(plan: Plan) -> dict[str, Step]:
    return {step.id: step for step in plan.walk()}


__all__ = ["Behaviour", "Log", "Played", "Stage", "steps_of"]
