from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from typing import Any

import pytest

from cloudflow_dagster.diagnostics import Diagnostics, Rule
from cloudflow_dagster.flow import shape, syntax
from cloudflow_dagster.flow.identifier import identifier_from, is_identifier
from cloudflow_dagster.flow.source import flow_id, parse_flow, read_document

START = {"id": "start", "type": "trigger.manual"}
RULES = [
    rule for module in (syntax, shape) for rule in vars(module).values() if isinstance(rule, Rule)
]


def findings(**fields: Any) -> list[tuple[str, str, str, str | None]]:
    found = Diagnostics()
    text = json.dumps({"version": 1, "nodes": [START], **fields})
    flow = parse_flow(read_document(text, "a.json", found), found)
    assert (flow is None) == found.failed
    return [(d.code, str(d.at.pointer), d.message, d.suggestion) for d in found]


def codes(text: str, file: str) -> set[str]:
    found = Diagnostics()
    flow = parse_flow(read_document(text, file, found), found)
    if flow is not None:
        flow_id(flow, file, found)
    return {d.code for d in found}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_the_wrong_example_of_a_rule_breaks_it_alone_and_the_right_one_breaks_none(
    rule: Rule,
) -> None:
    file = "Nightly-Backup.json" if rule is shape.BAD_FILE_NAME else "flow.json"
    assert codes(rule.wrong, file) == {rule.code}
    assert codes(rule.right, file) == set()


@pytest.mark.parametrize(
    ("fields", "pointer", "message", "suggestion"),
    [
        ({"nods": 1}, "/nods", "The flow has no field `nods`.", "Did you mean `nodes`?"),
        ({"steps": 1}, "/steps", "The flow has no field `steps`.", "Did you mean `nodes`?"),
        (
            {"nodes": [START | {"VolumeId": 1}]},
            "/nodes/0/VolumeId",
            "`nodes[0]` has no field `VolumeId`.",
            "What configures a node stands in its `config`.",
        ),
        (
            {"nodes": [START | {"depends_on": []}]},
            "/nodes/0/depends_on",
            "`nodes[0]` has no field `depends_on`.",
            "What runs after what stands in the `edges` of the flow.",
        ),
        (
            {"nodes": [START | {"retry": {"backof": "linear"}}]},
            "/nodes/0/retry/backof",
            "`nodes[0].retry` has no field `backof`.",
            "Did you mean `backoff`?",
        ),
        (
            {"concurrency": {"zzz": 1}},
            "/concurrency/zzz",
            "`concurrency` has no field `zzz`.",
            "It has `limit`, `key`, `when_full`.",
        ),
        (
            {"nodes": [START | {"k" * 9_999: 1}]},
            "/nodes/0",
            f"`nodes[0]` has no field `{'k' * 59}…`.",
            "What configures a node stands in its `config`.",
        ),
    ],
)
def test_an_unknown_field_suggests_what_was_meant(
    fields: Any, pointer: str, message: str, suggestion: str
) -> None:
    assert findings(**fields) == [("CF1002", pointer, message, suggestion)]


@pytest.mark.parametrize(
    ("fields", "pointer", "message", "suggestion"),
    [
        ({"name": 3}, "/name", "`name` must be a text, not 3.", None),
        ({"nodes": {}}, "/nodes", "`nodes` must be a list, not an empty object.", None),
        ({"nodes": [3]}, "/nodes/0", "`nodes[0]` must be an object, not 3.", None),
        ({"params": []}, "/params", "`params` must be an object, not an empty list.", None),
        (
            {"timeout": "5"},
            "/timeout",
            '`timeout` must be a number, not "5".',
            "Write 5 without quotes.",
        ),
        (
            {"timeout": "{{ params.t }}"},
            "/timeout",
            '`timeout` must be a number, not "{{ params.t }}".',
            "Expressions are for `config`; this value is fixed when the flow is loaded.",
        ),
        ({"timeout": True}, "/timeout", "`timeout` must be a number, not true.", None),
        (
            {"on_failure_compensate": "True"},
            "/on_failure_compensate",
            '`on_failure_compensate` must be `true` or `false`, not "True".',
            "Write true without quotes.",
        ),
        (
            {"concurrency": {"limit": 1.5}},
            "/concurrency/limit",
            "`concurrency.limit` must be a whole number, not 1.5.",
            None,
        ),
        (
            {"nodes": [START | {"retry": {"on": "Throttling"}}]},
            "/nodes/0/retry/on",
            '`nodes[0].retry.on` must be a list, not "Throttling".',
            'Write `["Throttling"]`.',
        ),
        ({"mode": 1}, "/mode", "`mode` must be `workflow` or `architecture`, not 1.", None),
        ({"tags": 3}, "/tags", "`tags` must be a list or an object of texts, not 3.", None),
        ({"tags": None}, "/tags", "`tags` must be a list or an object of texts, not null.", None),
        ({"tags": ["a", 1]}, "/tags/1", "A tag must be a text, not 1.", None),
        ({"tags": {"a": []}}, "/tags/a", "A tag must be a text, not an empty list.", None),
    ],
)
def test_a_wrong_type_says_what_is_right(
    fields: Any, pointer: str, message: str, suggestion: str | None
) -> None:
    assert findings(**fields) == [("CF1004", pointer, message, suggestion)]


@pytest.mark.parametrize(
    ("node", "pointer", "message", "suggestion"),
    [
        (
            {"retry": {"max_attempts": 0}},
            "/nodes/0/retry/max_attempts",
            "`nodes[0].retry.max_attempts` must be at least 1, not 0.",
            None,
        ),
        (
            {"retry": {"max_attempts": 101}},
            "/nodes/0/retry/max_attempts",
            "`nodes[0].retry.max_attempts` must be at most 100, not 101.",
            None,
        ),
        (
            {"timeout": 0},
            "/nodes/0/timeout",
            "`nodes[0].timeout` must be more than 0, not 0.",
            None,
        ),
        (
            {"retry": {"backoff": "Linear"}},
            "/nodes/0/retry/backoff",
            '`nodes[0].retry.backoff` must be `constant`, `linear` or `exponential`, not "Linear".',
            "Did you mean `linear`?",
        ),
    ],
)
def test_a_value_that_is_not_allowed_says_what_is(
    node: Any, pointer: str, message: str, suggestion: str | None
) -> None:
    assert findings(nodes=[START | node]) == [("CF1005", pointer, message, suggestion)]


@pytest.mark.parametrize(
    ("id", "right"),
    [
        ("My Node", "my_node"),
        ("a__b", "a_b"),
        ("describeVolumes", "describe_volumes"),
        ("1st", "n1st"),
        ("a" * 64, "a" * 63),
        ("_a", "a"),
        ("übung", "ubung"),
    ],
)
def test_a_bad_id_comes_with_a_good_one(id: str, right: str) -> None:
    [(code, pointer, message, suggestion)] = findings(nodes=[START | {"id": id}])
    assert (code, pointer) == ("CF1006", "/nodes/0/id")
    assert message.endswith("which cannot be an id.")
    assert suggestion is not None
    assert suggestion.startswith(f"Write `{right}`. An id ")
    assert is_identifier(right)


@pytest.mark.parametrize("id", ["日本語", "___", ""])
def test_a_bad_id_of_which_nothing_can_be_kept_says_what_ids_are(id: str) -> None:
    [(code, _, _, suggestion)] = findings(nodes=[START | {"id": id}])
    assert code == "CF1006"
    assert suggestion is not None
    assert suggestion.startswith("An id starts with a small letter")
    assert identifier_from(id) is None


@pytest.mark.parametrize("id", ["a", "a1", "a_b_c", "a_", "a" * 63])
def test_good_ids_are_taken(id: str) -> None:
    assert is_identifier(id)
    assert findings(nodes=[START | {"id": id}]) == []


@pytest.mark.parametrize("id", ["a\n", "a__", "__a", "A", "a-b", "é", "a" * 64, ""])
def test_bad_ids_are_no_identifiers(id: str) -> None:
    assert not is_identifier(id)
    assert [code for code, *_ in findings(nodes=[START | {"id": id}])] == ["CF1006"]


def test_each_node_with_an_id_that_is_taken_is_named() -> None:
    nodes = [START, START, {"id": "start_2", "type": "t"}, START]
    assert findings(nodes=nodes) == [
        (
            "CF1007",
            f"/nodes/{index}/id",
            f'`nodes[0]` and `nodes[{index}]` have the same id "start".',
            "Call one of them `start_3`.",
        )
        for index in (1, 3)
    ]


@pytest.mark.parametrize("version", [2, 0, "1", True, 1.0, None, [1]])
def test_only_version_1_is_read_and_nothing_else_is_said_of_others(version: Any) -> None:
    [(code, pointer, _, suggestion)] = findings(version=version, unknown=1)
    assert (code, pointer) == ("CF1010", "/version")
    assert suggestion == ("Install a later CloudFlow." if version == 2 else 'Write `"version": 1`.')


def test_a_missing_version_does_not_hide_other_problems() -> None:
    found = Diagnostics()
    parse_flow(read_document('{"other": []}', "a.json", found), found)
    assert sorted((d.code, d.message) for d in found) == [
        ("CF1002", "The flow has no field `other`."),
        ("CF1003", "The flow lacks `nodes`."),
        ("CF1003", "The flow lacks `version`."),
    ]


def test_a_field_under_a_wrong_name_is_not_reported_as_missing_too() -> None:
    edge = {"from": "start", "targt": "start"}
    assert [(code, message) for code, _, message, _ in findings(edges=[edge])] == [
        ("CF1002", "`edges[0]` has no field `from`."),
        ("CF1002", "`edges[0]` has no field `targt`."),
    ]


def test_problems_of_a_node_carry_its_id() -> None:
    found = Diagnostics()
    text = json.dumps({"version": 1, "nodes": [START | {"x": 1}, {"type": 3}]})
    parse_flow(read_document(text, "a.json", found), found)
    assert [d.at.node for d in found] == ["start", None, None]


def test_after_a_hundred_problems_the_rest_is_counted() -> None:
    result = findings(nodes=[0] * 250)
    assert len(result) == 100
    assert result[-1][2] == "`nodes[99]` must be an object, not 0. (150 more problems.)"


def test_of_many_wrong_names_only_the_first_are_compared_with_the_right_ones() -> None:
    def missing(*wrong: str) -> list[str]:
        found = Diagnostics()
        text = json.dumps(dict.fromkeys(("version", *wrong), 1))
        parse_flow(read_document(text, "a.json", found), found)
        return [d.message for d in found if d.code == "CF1003"]

    many = [f"wrong{n}" for n in range(1000)]
    assert missing("nods", *many) == []
    assert missing(*many, "nods") == ["The flow lacks `nodes`."]


def test_problems_of_the_text_and_of_the_shape_are_said_together() -> None:
    found = Diagnostics()
    text = '{"version": 1, "nodes": [], "nods": [],}'
    document = read_document(text, "a.json", found)
    parse_flow(document, found)
    assert [(d.code, d.column) for d in document.place(found)] == [("CF1002", 29), ("CF0007", 39)]


@pytest.mark.parametrize(
    ("params", "pointer", "message"),
    [
        ({}, "", "`params` lacks `type`."),
        ({"a": {"type": "string"}}, "", "`params` lacks `type`."),
        ({"type": "array"}, "/type", 'The type of `params` must be "object", not "array".'),
        (
            {"type": "object", "properties": {"a": {"type": "strin"}}},
            "/properties/a/type",
            'JSON Schema has no type "strin".',
        ),
        (
            {"type": "object", "properties": {"a": {"type": ["null", "text"]}}},
            "/properties/a/type/1",
            'JSON Schema has no type "text".',
        ),
        (
            {"type": "object", "properties": {"a": {"pattern": "("}}},
            "/properties/a/pattern",
            'The pattern "(" is not a regular expression: missing ), unterminated subpattern '
            "at position 0.",
        ),
        (
            {"type": "object", "properties": {"a": {"$ref": "https://example.com/a"}}},
            "/properties/a/$ref",
            '"https://example.com/a" is another document; a flow\'s params stand by themselves.',
        ),
        (
            {"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}},
            "/properties/a/$ref",
            '"#/$defs/b" is not in `params`.',
        ),
        (
            {"type": "object", "properties": {"a": {"minLength": -1}}},
            "/properties/a/minLength",
            "This is not JSON Schema: -1 is less than the minimum of 0.",
        ),
        (
            {"type": "object", "properties": []},
            "/properties",
            "This is not JSON Schema: [] is not of type 'object'.",
        ),
        (
            {"type": "object", "allOf": [{"minimum": "x"}]},
            "/allOf/0/minimum",
            "This is not JSON Schema: 'x' is not of type 'number'.",
        ),
        (
            {"type": "object", "required": ["a", "a"]},
            "/required",
            "This is not JSON Schema: ['a', 'a'] has non-unique elements.",
        ),
    ],
)
def test_params_that_are_no_schema_of_type_object_are_refused(
    params: Any, pointer: str, message: str
) -> None:
    [(code, place, said, _)] = findings(params=params)
    assert (code, place, said) == ("CF1008", f"/params{pointer}", message)


@pytest.mark.parametrize(
    "params",
    [
        {"type": "object"},
        {
            "type": "object",
            "properties": {"type": {"type": ["string", "null"]}},
            "required": ["type"],
        },
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/a~1b"}}, "$defs": {"a/b": True}},
        {"type": "object", "properties": {"a": {"default": {"$ref": "x", "type": "nothing"}}}},
        {"type": "object", "patternProperties": {"^x": {"oneOf": [{"const": 1}, {"enum": [2]}]}}},
        {"type": "object", "properties": {"a": {"type": "integer", "minimum": 0, "title": "A"}}},
    ],
)
def test_good_params_are_taken(params: Any) -> None:
    assert findings(params=params) == []


def test_plain_params_are_checked_without_loading_jsonschema() -> None:
    program = """
import sys
from cloudflow_dagster.diagnostics import Diagnostics
from cloudflow_dagster.flow.source import parse_flow, read_document
params = '{"type": "object", "properties": {"a": {"type": "string"}}}'
text = '{"version": 1, "nodes": [], "params": %s}' % params
found = Diagnostics()
assert parse_flow(read_document(text, "a.json", found), found)
heavy = {"jsonschema", "dagster", "boto3", "httpx", "networkx"}
print(sorted({module.split(".")[0] for module in sys.modules} & heavy))
"""
    assert importlib.util.find_spec("jsonschema") is not None
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("file", "id", "expected"),
    [
        ("flows/nightly.json", None, "nightly"),
        ("flows/Nightly.json", "other", "other"),
        ("/somewhere/else/a_b.json", None, "a_b"),
    ],
)
def test_the_id_is_the_flows_own_or_the_files_stem(
    file: str, id: str | None, expected: str
) -> None:
    found = Diagnostics()
    text = json.dumps({"version": 1, "nodes": []} | ({"id": id} if id else {}))
    flow = parse_flow(read_document(text, file, found), found)
    assert flow is not None
    assert flow_id(flow, file, found) == expected
    assert not list(found)


def test_a_stem_that_cannot_be_an_id_suggests_one() -> None:
    found = Diagnostics()
    flow = parse_flow(read_document('{"version": 1, "nodes": []}', "a.json", found), found)
    assert flow is not None
    assert flow_id(flow, "flows/Nightly Backup.v2.json", found) is None
    assert flow_id(flow, "flows/Nightly Backup.v2.json", None) is None
    [diagnostic] = found
    assert diagnostic.code == "CF1009"
    assert diagnostic.message == "The file's name \"Nightly Backup.v2\" cannot be the flow's id."
    assert diagnostic.suggestion == 'Write `"id": "nightly_backup_v2"` into the flow.'


def test_a_pin_of_null_is_a_pin() -> None:
    found = Diagnostics()
    text = json.dumps({"version": 1, "nodes": [START | {"pin": None}, {"id": "b", "type": "t"}]})
    flow = parse_flow(read_document(text, "a.json", found), found)
    assert flow is not None
    assert [node.pinned for node in flow.nodes] == [True, False]
