"""Node types of installed packages, found through real distributions on the path."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from cloudflow_dagster.nodes.registry import Registry
from cloudflow_dagster.providers import catalogue, installed_sources

ACME = """
from cloudflow_dagster.nodes.spec import Kind, NodeType

NODE = NodeType(
    id="{id}", kind=Kind.ACTION, category="other", label="Order a crate", description="Orders.",
    icon="box",
)


class AcmeNodes:
    name = "acme"

    def owns(self, id):
        return id.startswith("acme.")

    def get(self, id):
        return NODE if id == NODE.id else None

    def ids(self):
        return [NODE.id]


def make():
    return AcmeNodes()


SOURCE = AcmeNodes()
NOTHING = 7
"""


def install(folder: Path, name: str, value: str, code: str) -> None:
    """Put a distribution with one module and one entry point on the path."""
    module = value.partition(":")[0]
    (folder / f"{module}.py").write_text(code)
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[cloudflow.node_sources]\nnodes = {value}\n")
    (info / "RECORD").write_text("")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield tmp_path  # pyright: ignore[reportReturnType] - a fixture
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", "") and str(tmp_path) in str(
            sys.modules[name].__file__
        ):
            del sys.modules[name]


@pytest.mark.parametrize("attribute", ["SOURCE", "make", "AcmeNodes"])
def test_an_entry_point_names_a_source_or_what_makes_one(site: Path, attribute: str) -> None:
    install(site, "acme-nodes", f"acme_nodes:{attribute}", ACME.format(id="acme.crate.order"))
    registry = Registry(discover=installed_sources)
    assert registry.problems == ()
    found = registry.get("acme.crate.order")
    assert found is not None
    assert found.label == "Order a crate"
    assert [each.id for each in registry.search("crate")] == ["acme.crate.order"]
    assert registry.suggest("acme.crate.ordr") == "Did you mean `acme.crate.order`?"


@pytest.mark.parametrize(
    ("value", "code", "reason"),
    [
        ("acme_raises:SOURCE", "raise RuntimeError('half installed')", "RuntimeError: half"),
        ("acme_absent:SOURCE", "SOURCES = 1", "AttributeError"),
        ("acme_syntax:SOURCE", "def (", "SyntaxError"),
        ("acme_other:SOURCE", "SOURCE = 7", "TypeError: 7 is no source of node types"),
        ("acme_exits:SOURCE", "raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_a_broken_package_is_a_warning_and_takes_nothing_down(
    site: Path, value: str, code: str, reason: str
) -> None:
    install(site, "acme-broken", value, code)
    install(site, "acme-good", "acme_good:SOURCE", ACME.format(id="acme.good"))
    registry = Registry(discover=installed_sources)
    assert registry.get("acme.good") is not None
    [problem] = registry.problems
    assert f"acme-broken (entry point nodes = {value})" in problem.message
    assert reason in problem.message


def test_the_catalogue_has_every_built_in_family() -> None:
    registry = catalogue()
    assert registry is catalogue()
    built_in = "trigger.manual logic.if flow.result generic.transform aws.sts.get_caller_identity"
    for id in built_in.split():
        found = registry.get(id)
        assert found is not None
        assert found.id == id
    assert registry.get("logic.unless") is None


def test_making_the_catalogue_imports_no_cloud() -> None:
    code = (
        "import sys; from cloudflow_dagster.providers import catalogue;"
        "catalogue().get('logic.if'); imported = set(sys.modules);"
        "heavy = {'botocore', 'boto3', 'dagster', 'httpx', 'moto', 'jsonschema'} & imported;"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
