"""The examples of `docs/core-node-types.md` are configs without a finding."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from cloudflow_dagster.providers import catalogue

PAGE = Path(__file__).parents[2] / "docs" / "core-node-types.md"
SECTION = re.compile(r"^## (\S+)\n(.*?)(?=^## |\Z)", re.DOTALL | re.MULTILINE)
EXAMPLES = [
    (id, example)
    for id, text in SECTION.findall(PAGE.read_text())
    for example in re.findall(r"```json\n(.*?)```", text, re.DOTALL)
]


@pytest.mark.parametrize(("id", "example"), EXAMPLES)
def test_an_example_is_a_config_without_a_finding(id: str, example: str) -> None:
    node_type = catalogue().get(id)
    assert node_type is not None
    config = json.loads(example)
    Draft202012Validator(node_type.config_schema).validate(config)
    assert node_type.check_config is not None
    assert node_type.check_config(config) == []


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 4


def test_every_error_code_of_the_request_is_listed() -> None:
    folder = Path(__file__).parents[2] / "cloudflow_dagster" / "providers" / "generic" / "http"
    raised = {
        code
        for file in folder.glob("*.py")
        for code in re.findall(r'NodeError\(\s*"(\w+)"', file.read_text())
    }
    listed = set(re.findall(r"`([A-Z]\w+)`", PAGE.read_text().partition("**Error codes**")[2]))
    assert raised == listed
