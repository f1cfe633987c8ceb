"""Finding declared node types by their id."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from cloudflow_dagster.nodes.declared import DeclaredNodes

HEAD = "from cloudflow_dagster.nodes.declare import action\n"
ONE = '''
@action("{id}", label="One", icon="hash", category="data")
def {name}(call) -> int:
    """One."""
    return 1
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    name = "nodes_of_a_test"
    files = {
        "__init__.py": "",
        "acme/__init__.py": "",
        "acme/single.py": HEAD + ONE.format(id="acme.single", name="single"),
        "acme/import_.py": HEAD + ONE.format(id="acme.import", name="import_"),
        "acme/many.py": HEAD
        + ONE.format(id="acme.many.a", name="a")
        + ONE.format(id="acme.many.b", name="b"),
        "acme/borrower.py": HEAD
        + f"from {name}.acme.single import single\n"
        + ONE.format(id="acme.borrower", name="borrower"),
        "acme/plain.py": "raise RuntimeError('declares nothing, so nobody imports it')\n",
        "other.py": HEAD + ONE.format(id="other.thing", name="thing"),
    }
    for path, text in files.items():
        file = tmp_path / name / path
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield name
    for module in [m for m in sys.modules if m.startswith(name)]:
        del sys.modules[module]


def imported(package: str) -> set[str]:
    return {m.removeprefix(f"{package}.") for m in sys.modules if m.startswith(f"{package}.")}


def test_only_the_module_that_declares_an_id_is_imported(package: str) -> None:
    found = DeclaredNodes(package).get("acme.single")
    assert found is not None
    assert found.id == "acme.single"
    assert imported(package) == {"acme", "acme.single"}


def test_a_module_may_declare_several(package: str) -> None:
    nodes = DeclaredNodes(package)
    assert [n.id for i in ("acme.many.a", "acme.many.b") if (n := nodes.get(i))] == [
        "acme.many.a",
        "acme.many.b",
    ]
    assert nodes.get("acme.many.c") is None


def test_a_word_that_python_keeps_for_itself_has_an_underscore(package: str) -> None:
    found = DeclaredNodes(package).get("acme.import")
    assert found is not None
    assert found.id == "acme.import"


@pytest.mark.parametrize(
    "id", ["acme", "acme.nothing", "acme.single.more", "acme.plain", "none.x", "Acme.X", "a..b", ""]
)
def test_what_is_not_there_is_none_and_imports_nothing_else(package: str, id: str) -> None:
    assert DeclaredNodes(package).get(id) is None
    assert "acme.plain" not in imported(package)


def test_ids_lists_all_and_skips_modules_that_declare_nothing(package: str) -> None:
    nodes = DeclaredNodes(package)
    assert sorted(nodes.ids()) == [
        "acme.borrower",
        "acme.import",
        "acme.many.a",
        "acme.many.b",
        "acme.single",
        "other.thing",
    ]
    assert nodes.owns("acme.anything")
    assert not nodes.owns("aws.s3.list_buckets")


def test_families_limit_what_is_looked_at(package: str) -> None:
    nodes = DeclaredNodes(package, families=("other",))
    assert list(nodes.ids()) == ["other.thing"]
    assert nodes.get("acme.single") is None


def test_ids_may_begin_with_a_word_that_is_no_folder(package: str) -> None:
    text = HEAD + ONE.format(id="cloud.acme.shelf.sort", name="sort")
    folder = Path(import_module(package).__path__[0])
    (folder / "acme" / "shelf.py").write_text(text)
    nodes = DeclaredNodes(package, families=("acme",), prefix="cloud")
    found = nodes.get("cloud.acme.shelf.sort")
    assert found is not None
    assert found.id == "cloud.acme.shelf.sort"
    assert "cloud.acme.shelf.sort" in set(nodes.ids())
    assert nodes.owns("cloud.acme.anything")
    assert not nodes.owns("acme.anything")
    assert nodes.get("acme.shelf.sort") is None


def test_the_same_node_type_is_given_each_time(package: str) -> None:
    nodes = DeclaredNodes(package)
    assert nodes.get("acme.single") is nodes.get("acme.single")
