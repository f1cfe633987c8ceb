"""No input, however broken, deep or large, crashes the reader, hangs it, or makes it grow."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudflow_dagster.diagnostics import Diagnostics
from cloudflow_dagster.diagnostics.render import as_json, as_text
from cloudflow_dagster.diagnostics.sarif import as_sarif
from cloudflow_dagster.flow.source import parse_flow, read_document
from tests.unit.flow.hostile import TEXTS
from tests.unit.flow.written_flows import Writer, flows, unhurried

HOSTILE = Path(__file__).with_name("hostile.py")
SCRAPS = st.sampled_from(
    [
        *"{}[]:,\"'\\/#*-+.0e \n\t\r\x00\ufeff\u2028",
        *("//", "/*", "*/", "NaN", "-Infinity", "True", "null", "\\u", "\\ud800", '""', "1e999"),
        *('"id":', '"nodes":[', "{{ x", "\ud800", "{'a':1}", "\\d", "é", "🚀", "[[[[", "]]]]"),
    ]
)


def survive(source: str | bytes) -> None:
    """Read a source and show what was found; every finding has a place within the text."""
    found = Diagnostics()
    document = read_document(source, "a.json", found)
    flow = parse_flow(document, found)
    assert (flow is not None) or found.failed
    placed = document.place(found)
    lines = document.text.split("\n")
    for diagnostic in placed:
        assert diagnostic.line is not None
        assert diagnostic.column is not None
        assert 1 <= diagnostic.line <= len(lines)
        assert 1 <= diagnostic.column <= len(lines[diagnostic.line - 1]) + 1
        assert diagnostic.message.strip()
    as_text(placed, {"a.json": document.text}).encode()
    json.loads(as_json(placed))
    json.loads(as_sarif(placed, []))


@settings(unhurried, max_examples=300)
@given(st.binary(max_size=200))
def test_any_bytes_are_read(content: bytes) -> None:
    survive(content)


@settings(unhurried, max_examples=300)
@given(st.lists(SCRAPS, max_size=40).map("".join))
def test_any_scraps_of_json_are_read(text: str) -> None:
    survive(text)


@unhurried
@given(flows(), st.randoms(use_true_random=False), st.data())
def test_a_flow_with_accidents_is_read(flow: Any, random: Random, data: st.DataObject) -> None:
    text = Writer(random).write(flow)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(text)))
        length = data.draw(st.integers(0, 5))
        text = text[:place] + data.draw(SCRAPS | st.just("")) + text[place + length :]
    survive(text)
    survive(text.encode("utf-8", errors="surrogateescape" if "\udc80" in text else "replace"))


@unhurried
@given(flows(), st.data())
def test_a_flow_with_a_strange_value_somewhere_is_read(flow: Any, data: st.DataObject) -> None:
    part, steps = flow, data.draw(st.integers(1, 4))
    for step in range(steps):
        keys = list(part) if isinstance(part, dict) else range(len(part))
        if not keys:
            break
        key = data.draw(st.sampled_from(list(keys)))
        child = part[key]
        if step == steps - 1 or not isinstance(child, dict | list):
            part[key] = data.draw(
                st.sampled_from(
                    [None, True, 0, -1, 1.5, 10**300, "", "{{ x }}", [], {}, [[]], {"": 0}]
                )
            )
            break
        part = child
    survive(json.dumps(flow))


@unhurried
@given(flows(), st.randoms(use_true_random=False))
def test_every_flow_of_the_right_shape_is_one(flow: Any, random: Random) -> None:
    found = Diagnostics()
    document = read_document(Writer(random).write(flow), "a.json", found)
    assert document.data == flow
    assert parse_flow(document, found) is not None
    assert not list(found)


@pytest.fixture(scope="module")
def hostile_results() -> dict[str, Any]:
    program = [sys.executable, str(HOSTILE)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=300, check=False)
    assert not done.stderr
    assert done.returncode == 0
    return {result["name"]: result for result in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("name", TEXTS)
def test_a_hostile_text_is_read_in_bounded_time_and_memory(
    name: str, hostile_results: dict[str, Any]
) -> None:
    result = hostile_results[name]
    assert result["is_flow"] or result["failed"]
    assert result["count"] <= 200
    assert result["longest_line"] < 400
    assert result["megabytes"] < 500
