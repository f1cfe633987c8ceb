"""Where a resource is not as its config says."""

from __future__ import annotations

from typing import Any

import pytest

from cloudflow_dagster.nodes.difference import find_changes

TAG = {"type": "object", "properties": {"Key": {}, "Value": {}}}
SCHEMA: dict[str, Any] = {
    "properties": {
        "Name": {"type": "string"},
        "Size": {"type": "integer"},
        "Rule": {"$ref": "#/$defs/Rule"},
        "Labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "Tags": {"type": "array", "x-unordered": True, "items": TAG},
        "Steps": {"type": "array", "items": {"$ref": "#/$defs/Rule"}},
        "Policy": {"type": ["object", "string"]},
    },
    "$defs": {"Rule": {"type": "object", "properties": {"Status": {}, "Days": {}, "Secret": {}}}},
}


def changes(wanted: dict[str, Any], current: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    ignored = [("Rule", "Secret"), ("Steps", "*", "Secret")]
    found = find_changes(wanted, current, SCHEMA, ignored=ignored)
    return [(change.name, change.before, change.after) for change in found]


@pytest.mark.parametrize(
    ("wanted", "current"),
    [
        ({"Name": "a"}, {"Name": "a", "Size": 3}),
        ({"Size": 3}, {"Size": "3"}),
        ({"Size": True}, {"Size": "true"}),
        ({"Name": "", "Tags": [], "Size": False}, {}),
        ({"Rule": {"Days": 1}}, {"Rule": {"Days": 1, "Status": "Enabled"}}),
        ({"Rule": {"Secret": "new"}}, {"Rule": {}}),
        ({"Steps": [{"Days": 1, "Secret": "s"}]}, {"Steps": [{"Days": 1, "Status": "On"}]}),
        ({"Policy": {"a": [1]}}, {"Policy": '{"a": [1]}'}),
        (
            {"Tags": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]},
            {"Tags": [{"Key": "b", "Value": "2"}, {"Key": "a", "Value": "1"}]},
        ),
    ],
)
def test_what_a_provider_does_to_properties_is_no_difference(
    wanted: dict[str, Any], current: dict[str, Any]
) -> None:
    assert changes(wanted, current) == []


@pytest.mark.parametrize(
    ("wanted", "current", "change"),
    [
        ({"Name": "b"}, {"Name": "a"}, ("Name", "a", "b")),
        ({"Size": 3}, {}, ("Size", None, 3)),
        ({"Rule": {"Days": 2}}, {"Rule": {"Days": 1}}, ("Rule.Days", 1, 2)),
        ({"Rule": {"Days": 2}}, {}, ("Rule", None, {"Days": 2})),
        # A map is wanted as it is: a label too many is a difference.
        ({"Labels": {"a": "1"}}, {"Labels": {"a": "1", "b": "2"}}, None),
        ({"Steps": [{"Days": 1}, {"Days": 2}]}, {"Steps": [{"Days": 2}, {"Days": 1}]}, None),
        ({"Tags": [{"Key": "a"}]}, {"Tags": []}, None),
        ({"Policy": {"a": 1}}, {"Policy": '{"a": 2}'}, None),
    ],
)
def test_what_is_wanted_and_not_so_is_told_by_its_path(
    wanted: dict[str, Any], current: dict[str, Any], change: tuple[str, Any, Any] | None
) -> None:
    name = next(iter(wanted))
    assert changes(wanted, current) == [change or (name, current[name], wanted[name])]
