"""The rules of the text of a flow: JSON in UTF-8, of a size that everything can cope with."""

from __future__ import annotations

from math import isinf

from cloudflow_dagster.diagnostics.model import Rule, Severity

SMALLEST_FLOW = 'The smallest flow is `{"version": 1, "nodes": []}`.'
_RIGHT = '{"version": 1, "nodes": [{"id": "start", "type": "trigger.manual"}]}'

UNREADABLE = Rule(
    "CF0001",
    "The file cannot be read",
    "The file is not there, is empty, is not a plain file, or may not be read by this user.",
    wrong="",
    right=_RIGHT,
)
NOT_UNICODE = Rule(
    "CF0002",
    "The file is not Unicode text in UTF-8",
    "Flows are UTF-8, as JSON demands. Editors save UTF-16 or an older encoding only when they are "
    "told to; tell them UTF-8. In a text, `\\ud83d` alone is half a character: write both halves "
    "(`\\ud83d\\ude80`) or the character itself.",
    wrong='{"version": 1, "name": "\\ud83d", "nodes": [{"id": "start", "type": "trigger.manual"}]}',
    right='{"version": 1, "name": "\\ud83d\\ude80",'
    ' "nodes": [{"id": "start", "type": "trigger.manual"}]}',
)
BYTE_ORDER_MARK = Rule(
    "CF0003",
    "The file starts with a byte order mark",
    "The mark is invisible and UTF-8 needs none. CloudFlow reads over it, other JSON programs "
    "refuse the file. `cloudflow fmt` takes it out.",
    wrong="\ufeff" + _RIGHT,
    right=_RIGHT,
    severity=Severity.WARNING,
)
TOO_LARGE = Rule(
    "CF0004",
    "The file is larger or deeper than a flow may be",
    "A flow has at most 8 MB, a million values, and 100 lists and objects inside each other. "
    "Data belongs into a bucket or a file that the flow reads; parts of a large flow belong into "
    "flows of their own that `flow.call` runs.",
    wrong='{"version": 1, "nodes": [{"id": "start", "type": "trigger.manual", "pin": '
    + "[" * 101
    + "]" * 101
    + "}]}",
    right='{"version": 1, "nodes": [{"id": "start", "type": "trigger.manual", "pin": {}}]}',
)
SYNTAX = Rule(
    "CF0005",
    "The file is not JSON",
    "Keys and texts stand in double quotes, a comma stands between two fields or items, every "
    "bracket is closed, and a line break in a text is written `\\n`.",
    wrong='{\'version\': 1, "nodes": [{"id": "start", "type": "trigger.manual"}]}',
    right=_RIGHT,
)
COMMENT = Rule(
    "CF0006",
    "The file holds a comment",
    "JSON has no comments. What people should know belongs into `notes` (of a node) or "
    "`description` (of the flow): the canvas shows it, and no program loses it.",
    wrong='{"version": 1, // the format\n "nodes": [{"id": "start", "type": "trigger.manual"}]}',
    right='{"version": 1, "description": "the format",\n'
    ' "nodes": [{"id": "start", "type": "trigger.manual"}]}',
)
TRAILING_COMMA = Rule(
    "CF0007",
    "A comma has nothing to separate",
    "JSON allows a comma between two fields or items only, not after the last one.",
    wrong='{"version": 1, "nodes": [{"id": "start", "type": "trigger.manual"},]}',
    right=_RIGHT,
)
NO_NUMBER = Rule(
    "CF0008",
    "A number cannot be passed on",
    "JSON has neither `NaN` nor `Infinity`, and programs cannot pass on a number beyond 1.8e308. "
    "Integers below that stay exact. A longer one is a text: write it in quotes.",
    wrong='{"version": 1, "nodes": [{"id": "start", "type": "trigger.manual", "pin": NaN}]}',
    right='{"version": 1, "nodes": [{"id": "start", "type": "trigger.manual", "pin": null}]}',
)
DUPLICATE_KEY = Rule(
    "CF0009",
    "A key stands twice in the same object",
    "Programs differ in which of the two they take, so one of them would be lost without notice.",
    wrong='{"version": 1, "name": "One", "name": "Two",'
    ' "nodes": [{"id": "start", "type": "trigger.manual"}]}',
    right='{"version": 1, "name": "One", "nodes": [{"id": "start", "type": "trigger.manual"}]}',
)

_LONGEST_NUMBER = 309
"""Digits of the largest double. Longer integers could not be turned into one by anybody."""


def out_of_range(written: str) -> bool:
    """Return whether a number, as written in JSON, is larger than any double."""
    if written.isdigit() or written[1:].isdigit():
        return len(written) > _LONGEST_NUMBER or isinf(float(written))
    return isinf(float(written))
