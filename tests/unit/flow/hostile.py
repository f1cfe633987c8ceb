"""Texts made to hurt a reader: deep, wide, long, or wrong a million times over.

As a program it reads each of them as a flow, within a gigabyte of memory, and prints a line of
JSON for each, so that a test can see that nothing crashed, hung or grew.
"""

from __future__ import annotations

import json
import re
import resource
from collections.abc import Callable
from pathlib import Path

from cloudflow_dagster.diagnostics.model import Diagnostics
from cloudflow_dagster.diagnostics.render import as_json, as_text
from cloudflow_dagster.flow.source import parse_flow, read_document

MEMORY = 1_000_000_000
_NODE = '{"id": "start", "type": "trigger.manual", "pin": %s}'
_FLOW = '{"version": 1, "nodes": [' + _NODE + "]}"


def _flow(pin: str) -> str:
    return _FLOW % pin


TEXTS: dict[str, Callable[[], str | bytes]] = {
    "a million lists inside each other": lambda: "[" * 1_000_000,
    "a million objects inside each other": lambda: '{"a":' * 1_000_000,
    "a million closing brackets": lambda: "[" + "]" * 1_000_000,
    "more than eight megabytes": lambda: _flow('"' + "a" * 8_000_000 + '"'),
    "eight megabytes of zero bytes": lambda: b"\0" * 8_000_000,
    "eight megabytes that are not UTF-8": lambda: b'"' + b"\xff" * 7_999_990,
    "eight megabytes of spaces": lambda: " " * 8_000_000,
    "one text of eight megabytes": lambda: _flow('"' + "a" * 7_999_900 + '"'),
    "one text of four million escapes": lambda: _flow('"' + "\\n" * 3_999_900 + '"'),
    "a text of wrong escapes": lambda: _flow('"' + "\\d" * 3_999_900 + '"'),
    "a text of half characters": lambda: _flow('"' + "\\ud800" * 1_300_000 + '"'),
    "a text without an end": lambda: '{"a": "' + "a" * 7_999_000,
    "a text of tabs": lambda: _flow('"' + "\t" * 7_999_000 + '"'),
    "an integer of eight million digits": lambda: _flow("9" * 7_999_000),
    "a fraction of eight million digits": lambda: _flow("0." + "9" * 7_999_000),
    "a number without an end of its exponent": lambda: _flow("1e" + "9" * 7_999_000),
    "a million empty objects": lambda: _flow("[" + "{}," * 499_000 + "{}]"),
    "more than a million values": lambda: _flow("[" + "0," * 1_100_000 + "0]"),
    "a key of seven megabytes": lambda: _flow('{"' + "k" * 7_000_000 + '": 1, "b": 1, "b": 1}'),
    "the same key a million times": lambda: _flow("{" + '"a":0,' * 990_000 + '"a":0}'),
    "two million comments": lambda: "//\n" * 2_600_000 + _flow("0"),
    "a comment without an end": lambda: _flow("0") + "/*" * 3_900_000,
    "commas and nothing else": lambda: "[" + "," * 900_000 + "]",
    "colons and nothing else": lambda: '{"a"' + ":" * 7_900_000,
    "words without quotes": lambda: "[" + "a\n" * 900_000 + "]",
    "nothing but quotes": lambda: '"' * 7_999_999,
    "nothing but backslashes": lambda: '"' + "\\" * 7_999_998,
    "nodes that are none": lambda: '{"version": 1, "nodes": [' + "0," * 90_000 + "0]}",
    "far too many nodes that are none": lambda: '{"version":1,"nodes":[' + "0," * 990_000 + "0]}",
    "a quarter of a million unknown fields": lambda: json.dumps(
        {"version": 1, "nodes": []} | {f"field{i}": 0 for i in range(90_000)}
    ),
    "tags that are none": lambda: '{"version": 1, "nodes": [], "tags": [' + "0," * 90_000 + "0]}",
    "params that are too many": lambda: json.dumps(
        {
            "version": 1,
            "nodes": [],
            "params": {
                "type": "object",
                "properties": {f"p{i}": {"not": {}} for i in range(90_000)},
            },
        }
    ),
    "params that are too deep": lambda: (
        '{"version": 1, "nodes": [], "params": {"type": "object", "not": '
        + '{"not": ' * 95
        + "{}"
        + "}" * 97
    ),
    "ten thousand nodes with the same id": lambda: json.dumps(
        {
            "version": 1,
            "nodes": [{"id": "same", "type": "trigger.manual"}] * 10_000,
        }
    ),
}


def read(text: str | bytes) -> dict[str, object]:
    """Read one text, show what was found in every form, and say what came out."""
    found = Diagnostics()
    document = read_document(text, "flow.json", found)
    flow = parse_flow(document, found)
    placed = document.place(found)
    as_json(placed)
    shown = as_text(placed, {"flow.json": document.text})
    return {
        "is_flow": flow is not None,
        "failed": found.failed,
        "codes": sorted({d.code for d in placed}),
        "count": len(placed),
        "longest_line": max(map(len, shown.split("\n"))),
    }


def main() -> None:
    """Read every text within the limits."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for name, make in TEXTS.items():
        result = read(make())
        print(json.dumps({"name": name, **result, "megabytes": peak()}), flush=True)


def peak() -> int:
    """Return the most megabytes that this program has had.

    `getrusage` also tells what the process had before it became this program: a large one that
    started it counts there. Linux alone tells the one without the other.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1_000
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status.read_text(), re.MULTILINE)
    assert found
    return int(found[1]) // 1_000


if __name__ == "__main__":
    main()
