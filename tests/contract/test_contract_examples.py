"""The example of each node type is one that its own check accepts, in a flow that compiles."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cloudflow_dagster.cli.nodes_fields import example_of
from cloudflow_dagster.compiler.pipeline import compile_file
from cloudflow_dagster.project import find_project
from cloudflow_dagster.providers import FAMILIES, catalogue
from cloudflow_dagster.providers.examples import FOLDER
from cloudflow_dagster.providers.examples import example_of as example_node
from tests.fixtures.curated_flows import EXAMPLES, PROJECT

DECLARED = [id for id in catalogue().ids() if id.split(".")[0] in FAMILIES]
SECRETS = ("tickets", "github", "shop_database", "slack", "mail_server")


@pytest.mark.parametrize("id", DECLARED)
def test_a_type_that_is_declared_is_in_an_example(id: str) -> None:
    found = catalogue().get(id)
    assert found is not None
    assert json.loads(example_of(found)) == example_node(id)
    assert "…" not in example_of(found)


def test_a_flow_that_talks_to_other_servers_compiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other examples are compiled where they run (`test_curated_flows.py`)."""
    left = {file.stem: file for file in FOLDER.glob("*.json")}.keys() - EXAMPLES.keys()
    assert left == {"elsewhere"}
    secrets = "".join(f"  {name}: {{env: {name.upper()}}}\n" for name in SECRETS)
    (tmp_path / "cloudflow.yaml").write_text(f"{PROJECT}secrets:\n{secrets}")
    flows = tmp_path / "flows"
    flows.mkdir()
    params = {"type": "object", "properties": {"days": {"type": "integer"}}}
    clean = {"version": 1, "params": params, "nodes": [{"id": "start", "type": "trigger.manual"}]}
    (flows / "elsewhere_clean.json").write_text(json.dumps(clean))
    flow = json.loads((FOLDER / "elsewhere.json").read_text())["flow"]
    (flows / "elsewhere.json").write_text(json.dumps(flow))
    monkeypatch.chdir(tmp_path)
    compiled = compile_file("flows/elsewhere.json", project=find_project(tmp_path))
    assert [str(each) for each in compiled.diagnostics] == []
