"""Compile flows that tests write as Python data, against the real catalogue."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cloudflow_dagster.compiler.graph import Graph
from cloudflow_dagster.compiler.pipeline import Compiled, compile_file, compile_project
from cloudflow_dagster.compiler.resolve import resolve_flow
from cloudflow_dagster.compiler.rules import EXAMPLE_PROJECT
from cloudflow_dagster.diagnostics import Diagnostic
from cloudflow_dagster.flow.model import Flow
from cloudflow_dagster.project import find_project
from cloudflow_dagster.providers import catalogue

Data = Mapping[str, Any]


def node(id: str, type: str = "generic.transform", **rest: Any) -> dict[str, Any]:
    """Return a node; a transform gets a value."""
    if type == "generic.transform":
        rest.setdefault("config", {"value": 1})
    return {"id": id, "type": type, **rest}


def value(id: str, value: Any, **rest: Any) -> dict[str, Any]:
    """Return a transform that gives a value."""
    return node(id, config={"value": value}, **rest)


def loop(id: str, items: Any = (1, 2), **config: Any) -> dict[str, Any]:
    """Return a loop."""
    return node(id, "logic.loop", config={"items": items, **config})


def edges(*written: str) -> list[dict[str, Any]]:
    """Return edges from `source.port > target.port`, both ports optional."""
    found: list[dict[str, Any]] = []
    for text in written:
        ends: dict[str, Any] = {}
        for end, name in zip(text.split(" > "), ("source", "target"), strict=True):
            id, _, port = end.partition(".")
            ends[name] = id
            if port:
                ends[f"{name}_port"] = port
        found.append(ends)
    return found


def flow(*nodes: Data, to: Iterable[str] = (), **rest: Any) -> dict[str, Any]:
    """Return a flow of nodes, with edges as `edges` writes them."""
    return {"version": 1, **rest, "nodes": list(nodes), "edges": edges(*to)}


def graph(*nodes: Data, to: Iterable[str] = (), **rest: Any) -> Graph:
    """Resolve a flow."""
    data = json.loads(json.dumps(flow(*nodes, to=to, **rest)))
    written = Flow.model_validate(data)
    return resolve_flow(written, id="example", file="example.json", registry=catalogue())


def compiled(folder: Path, data: Data, **others: Data) -> Compiled:
    """Compile a flow as `flows/example.json` of a project, beside other flows by their names."""
    flows = folder / "flows"
    flows.mkdir(exist_ok=True)
    (folder / "cloudflow.yaml").write_text(EXAMPLE_PROJECT)
    for name, other in {"example": data, **others}.items():
        (flows / f"{name}.json").write_text(json.dumps(other, indent=1))
    project = find_project(folder)
    if others:
        found = {Path(one.file).stem: one for one in compile_project(project)}
        return found["example"]
    return compile_file(flows / "example.json", project=project)


def found(folder: Path, *nodes: Data, to: Iterable[str] = (), **rest: Any) -> list[str]:
    """Return what a flow's check finds, one line each: code, pointer, offset, message, way out."""
    return [line(d) for d in compiled(folder, flow(*nodes, to=to, **rest)).diagnostics]


def line(d: Diagnostic) -> str:
    """Return a diagnostic on one line."""
    place = str(d.at.pointer) + (f"@{d.at.offset}" if d.at.offset is not None else "")
    return " ".join(part for part in (d.code, place, d.message, d.suggestion) if part)
