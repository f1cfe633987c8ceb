"""What `docs/node-types.md` shows works as it stands there."""

from __future__ import annotations

import importlib
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.registry import Registry
from cloudflow_dagster.nodes.spec import Chosen, NodeType
from cloudflow_dagster.providers import installed_sources
from tests.fixtures.calls import WorkingCall

PAGE = Path(__file__).parents[3] / "docs" / "node-types.md"
FILE = re.compile(r"`(acme_nodes/[\w/.]+|pyproject\.toml)`[^\n]*:\n\n```\w+\n(.*?)```", re.DOTALL)


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """The catalogue after the page's package was installed: its files and its metadata."""
    text = PAGE.read_text()
    files = dict(FILE.findall(text))
    project = tomllib.loads(files.pop("pyproject.toml"))["project"]
    files["acme_nodes/more/__init__.py"] = ""
    for path, content in files.items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    info = tmp_path / "acme_nodes-1.0.dist-info"
    info.mkdir()
    name = f"Name: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\n{name}")
    [(group, points)] = project["entry-points"].items()
    lines = "".join(f"{name} = {value}\n" for name, value in points.items())
    (info / "entry_points.txt").write_text(f"[{group}]\n{lines}")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield Registry(discover=installed_sources)
    for module in [m for m in sys.modules if m.startswith("acme_nodes")]:
        del sys.modules[module]


def found(registry: Registry, id: str) -> NodeType:
    node_type = registry.get(id)
    assert registry.problems == ()
    assert node_type is not None
    return node_type


def test_the_smallest_node_type_has_less_than_ten_lines_and_works(
    registry: Registry, tmp_path: Path
) -> None:
    greet = found(registry, "acme.greet")
    assert greet.description == "Greets somebody."
    assert greet.config_schema["required"] == ["name"]
    assert greet.handler is not None
    call = WorkingCall(tmp_path)
    assert greet.handler(call, {"name": "Ann", "loudly": True}) == {"text": "HELLO, ANN!"}
    assert [n.id for n in registry.search("greet")] == ["acme.greet"]
    text = (tmp_path / "acme_nodes" / "acme.py").read_text()
    assert len(text.splitlines()) < 10


def test_the_flow_that_uses_it_is_json() -> None:
    [node] = re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert json.loads(node)["type"] == "acme.greet"


def test_the_longer_example_works(registry: Registry, tmp_path: Path) -> None:
    desk = found(registry, "more.desk.open")
    assert desk.transient == {"DeskBusy"}
    assert [p.name for p in desk.outputs] == ["out", "number", "address", "error"]
    assert desk.config_schema["properties"]["template"]["x-literal"] is True
    assert desk.handler is not None
    call = WorkingCall(tmp_path)
    assert desk.handler(call, {"title": "x"})["number"] == 7
    assert call.log.lines == [("info", "Opens a ticket with 0 characters.")]
    with pytest.raises(NodeError, match="NoTitle"):
        desk.handler(call, {"title": " "})
    urgent = found(registry, "more.desk.urgent")
    assert urgent.handler is not None
    assert urgent.handler(call, {"when": lambda: False}) == Chosen("later")
