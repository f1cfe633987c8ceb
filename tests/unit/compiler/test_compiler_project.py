"""All flows of a project: none harms another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cloudflow_dagster.compiler.pipeline import compile_project
from cloudflow_dagster.nodes.registry import Registry
from cloudflow_dagster.nodes.spec import Kind, NodeType, Port
from cloudflow_dagster.project import Project, find_project
from cloudflow_dagster.providers import catalogue
from tests.unit.compiler.compiling import flow, node, value


def project(folder: Path, **flows: str | dict[str, object]) -> Project:
    (folder / "flows").mkdir()
    for name, data in flows.items():
        text = data if isinstance(data, str) else json.dumps(data)
        (folder / "flows" / f"{name}.json").write_text(text)
    return find_project(folder)


def test_broken_files_take_no_other_down(tmp_path: Path) -> None:
    opened = project(
        tmp_path,
        a_good=flow(value("a", 1)),
        b_empty="",
        c_no_json="{",
        d_no_flow="[1]",
        e_deep="[" * 5000,
        f_wrong=flow(node("x", "no.such")),
        g_good=flow(value("g", 1)),
    )
    (tmp_path / "flows" / "h_folder.json").mkdir()
    (tmp_path / "flows" / "i_bytes.json").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "flows" / "Not An Id.json").write_text(json.dumps(flow(value("a", 1))))
    compiled = compile_project(opened)
    planned = {Path(one.file).stem: one.plan is not None for one in compiled}
    assert [name for name, good in planned.items() if good] == ["a_good", "g_good"]
    assert len(planned) == 10
    for one in compiled:
        assert one.failed == (one.plan is None)
        assert all(d.at.file == one.file and d.line for d in one.diagnostics)


def test_two_flows_of_one_id_are_both_told(tmp_path: Path) -> None:
    opened = project(
        tmp_path,
        one=flow(value("a", 1)),
        two=flow(value("a", 1), id="one"),
        three=flow(value("a", 1)),
    )
    found = {Path(c.file).stem: [d.code for d in c.diagnostics] for c in compile_project(opened)}
    assert found == {"one": ["CF5010"], "three": [], "two": ["CF5010"]}


def test_files_are_named_as_a_user_in_this_folder_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = project(tmp_path, one=flow(value("a", 1)))
    monkeypatch.chdir(tmp_path)
    assert [c.file for c in compile_project(opened)] == ["flows/one.json"]
    monkeypatch.chdir("/")
    assert [c.file for c in compile_project(opened)] == [
        str(tmp_path.relative_to("/") / "flows" / "one.json")
    ]


def test_a_project_without_flows_is_fine(tmp_path: Path) -> None:
    assert compile_project(find_project(tmp_path)) == []


class Strange:
    """Somebody's node types that fail where they can."""

    name = "strange"

    def owns(self, id: str) -> bool:
        return id.startswith("strange.")

    def ids(self) -> list[str]:
        return ["strange.one"]

    def get(self, id: str) -> NodeType | None:
        if not self.owns(id):
            return catalogue().get(id)

        def fail(config: object) -> list[tuple[tuple[str | int, ...], str]]:
            raise RuntimeError(f"cannot judge {config}")

        def ports(config: object) -> tuple[Port, ...]:
            raise RuntimeError(f"cannot say {config}")

        return NodeType(
            id=id,
            kind=Kind.ACTION,
            category="strange",
            label="Strange",
            description="Fails.",
            icon="bug",
            check_config=fail,
            ports_of=ports,
            config_schema={"type": "object", "properties": {"n": {"type": "integer"}}},
        )


def test_a_node_type_whose_own_checks_fail_is_a_finding_not_a_crash(tmp_path: Path) -> None:
    opened = project(
        tmp_path,
        one=flow(node("a", "strange.one"), value("b", 1), to=["a.whatever > b"]),
        two=flow(node("a", "strange.one", config={"n": "x"})),
    )
    found = [[d.code for d in c.diagnostics] for c in compile_project(opened, Registry(Strange()))]
    assert found == [["CF3004"], ["CF3001"]]
