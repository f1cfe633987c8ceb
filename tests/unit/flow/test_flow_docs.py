"""`docs/flow-format.md` and the models say the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from cloudflow_dagster.diagnostics import Diagnostics
from cloudflow_dagster.flow.canonical import canonical_text
from cloudflow_dagster.flow.model import Edge, Flow, Node, Retry
from cloudflow_dagster.flow.source import parse_flow, read_document

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "flow-format.md").read_text(encoding="utf-8")


def fields_of_table(start: str) -> list[str]:
    """The names in the first column of the first table after a line."""
    table = PAGE[PAGE.index(start) :]
    rows = table[table.index("\n|---|") :].split("\n\n")[0].splitlines()[2:]
    return [name for row in rows for name in re.findall(r"`([a-z_]+)`", row.split("|")[1])]


def test_the_example_of_the_page_is_a_flow() -> None:
    example = re.search(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None
    found = Diagnostics()
    document = read_document(example.group(1), "nightly.json", found)
    flow = parse_flow(document, found)
    assert not list(found)
    assert flow is not None
    assert [node.id for node in flow.nodes][:2] == ["every_night", "volumes"]
    again = read_document(canonical_text(document), "nightly.json", found)
    assert parse_flow(again, found) is not None


@pytest.mark.parametrize(
    ("table", "part"),
    [("## The flow\n", Flow), ("## Nodes\n", Node), ("| field of an edge", Edge)],
)
def test_the_canonical_order_of_keys_is_the_order_of_the_tables(
    table: str, part: type[BaseModel]
) -> None:
    names = [info.alias or name for name, info in part.model_fields.items()]
    assert [name for name in names if name != "$schema"] == fields_of_table(table)


def test_the_fields_of_retry_are_those_of_the_page() -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith("| `retry` |"))
    before_values = re.sub(r"\(.*?\)", "", row)
    assert re.findall(r"`([a-z_]+)`", before_values)[1:] == list(Retry.model_fields)
