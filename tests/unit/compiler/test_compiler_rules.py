"""Every rule: its example is wrong in exactly this way, and right once put right."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import cloudflow_dagster
from cloudflow_dagster.compiler.pipeline import compile_project
from cloudflow_dagster.compiler.rules import (
    EXAMPLE_FLOW,
    EXAMPLE_PROJECT,
    FAMILIES,
    all_rules,
    as_page,
)
from cloudflow_dagster.diagnostics import Diagnostic, FlowError, Rule, Severity
from cloudflow_dagster.nodes.registry import Registry
from cloudflow_dagster.nodes.spec import Kind, NodeType
from cloudflow_dagster.project import find_project
from cloudflow_dagster.providers import catalogue

ROOT = Path(cloudflow_dagster.__file__).parent
FILE_NAMES = {"CF1009": "Nightly-Backup.json"}


class Examples:
    """The node types that no provider of this version has."""

    name = "examples"

    def owns(self, id: str) -> bool:
        return id.startswith("example.")

    def get(self, id: str) -> NodeType | None:
        if id != "example.bucket":
            return catalogue().get(id)
        return NodeType(
            id=id,
            kind=Kind.RESOURCE,
            category="storage",
            label="Bucket",
            description="A bucket.",
            icon="archive",
        )

    def ids(self) -> list[str]:
        return [*catalogue().ids(), "example.bucket"]


def findings(rule: Rule, text: str, folder: Path) -> list[Diagnostic]:
    if rule.code.startswith("CF6"):
        (folder / "cloudflow.yaml").write_text(text)
        try:
            return list(find_project(folder).diagnostics)
        except FlowError as error:
            return list(error.diagnostics)
    flows = folder / "flows"
    (flows / ".layout").mkdir(parents=True)
    (folder / "cloudflow.yaml").write_text(EXAMPLE_PROJECT)
    (flows / "tidy_up.json").write_text(EXAMPLE_FLOW)
    (flows / ".layout" / "arranged.json").write_text("{}")
    name = FILE_NAMES.get(rule.code, "example.json")
    (flows / name).write_text(text)
    registry = Registry(Examples())
    compiled = compile_project(find_project(folder), registry, strict=rule.strict)
    return [d for c in compiled if Path(c.file).name == name for d in c.diagnostics]


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.code)
def test_the_wrong_example_of_a_rule_gives_its_code_and_no_other_error(
    rule: Rule, tmp_path: Path
) -> None:
    found = findings(rule, rule.wrong, tmp_path)
    assert rule.code in {d.code for d in found}, found
    errors = {d.code for d in found if d.severity is Severity.ERROR}
    assert errors <= {rule.code}, found
    assert all(d.severity is rule.severity for d in found if d.code == rule.code)


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.code)
def test_the_right_example_of_a_rule_gives_nothing(rule: Rule, tmp_path: Path) -> None:
    assert findings(rule, rule.right, tmp_path) == []


def test_every_rule_that_is_declared_anywhere_is_among_all_rules() -> None:
    declared = {
        constant.value
        for path in ROOT.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Rule"
        for constant in (*call.args[:1], *(k.value for k in call.keywords if k.arg == "code"))
        if isinstance(constant, ast.Constant)
    }
    assert declared == {rule.code for rule in all_rules()}


def test_no_code_is_used_twice() -> None:
    declared = [
        line.split('"')[1]
        for path in ROOT.rglob("*.py")
        for line in path.read_text("utf-8").splitlines()
        if line.strip().removeprefix("code=").startswith('"CF')
    ]
    assert sorted(declared) == sorted(set(declared))


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.code)
def test_titles_are_short_sentences_without_a_full_stop(rule: Rule) -> None:
    assert rule.code[:3] in FAMILIES
    assert not rule.title.endswith(".")
    assert len(rule.title) <= 80
    assert rule.explanation.endswith((".", "`"))


def test_the_page_of_diagnostics_is_current() -> None:
    page = ROOT.parent / "docs" / "diagnostics.md"
    assert page.read_text("utf-8") == as_page(), "make docs/diagnostics.md anew"
