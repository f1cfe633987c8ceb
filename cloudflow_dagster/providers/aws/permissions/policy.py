"""IAM policies, as JSON and as Terraform."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from cloudflow_dagster.nodes.permission import Permission
from cloudflow_dagster.providers.aws.permissions.arns import EVERYTHING


@dataclass(frozen=True, slots=True)
class Allowed:
    """One action and what it is allowed on.

    Attributes:
        permission: What is needed.
        resources: ARNs, or `*` alone.
    """

    permission: Permission
    resources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement of a policy.

    Attributes:
        sid: Tells whether its actions are calls, dependent ones, or unknown to IAM's list.
        actions: Sorted.
        resources: Sorted.
    """

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]


def statements_of(needed: Iterable[Allowed]) -> list[Statement]:
    """Return as few statements as say exactly this: calls first, then dependent, then unknown."""
    resources: dict[str, set[str]] = {}
    kinds: dict[str, str] = {}
    for each in needed:
        action = each.permission.action
        resources.setdefault(action, set()).update(each.resources)
        kind = _kind(each.permission)
        # What one node calls is not dependent because another one depends on it.
        kinds[action] = "Calls" if "Calls" in {kind, kinds.get(action)} else kind
    groups: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for action in sorted(resources):
        groups.setdefault((kinds[action], _fewest(resources[action])), []).append(action)
    order = ("Calls", "Dependent", "Unknown")
    ranked = sorted(groups.items(), key=lambda group: (order.index(group[0][0]), group[1]))
    counts: dict[str, int] = {}
    found: list[Statement] = []
    for (kind, on), actions in ranked:
        counts[kind] = counts.get(kind, 0) + 1
        found.append(Statement(f"{kind}{counts[kind]}", tuple(actions), on))
    return found


def document(statements: Iterable[Statement]) -> dict[str, Any]:
    """Return an IAM policy document."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": each.sid,
                "Effect": "Allow",
                "Action": list(each.actions),
                "Resource": list(each.resources),
            }
            for each in statements
        ],
    }


def terraform(policies: Mapping[str, Iterable[Statement]]) -> str:
    """Return a data block of Terraform for each policy, by the name that it gets."""
    return "\n".join(
        f'data "aws_iam_policy_document" {_text(re.sub(r"[^A-Za-z0-9_-]", "_", name))} {{\n'
        + "\n".join(_block(each) for each in statements)
        + "}\n"
        for name, statements in policies.items()
    )


def _block(statement: Statement) -> str:
    return (
        "  statement {\n"
        f"    sid       = {_text(statement.sid)}\n"
        '    effect    = "Allow"\n'
        f"    actions   = {_list(statement.actions)}\n"
        f"    resources = {_list(statement.resources)}\n"
        "  }\n"
    )


def _list(texts: tuple[str, ...]) -> str:
    if len(texts) == 1:
        return f"[{_text(texts[0])}]"
    return "[\n" + "".join(f"      {_text(text)},\n" for text in texts) + "    ]"


def _text(text: str) -> str:
    """Return a text as Terraform's language writes it: `${` and `%{` would begin templates."""
    quoted = json.dumps(text, ensure_ascii=False)
    return quoted.replace("${", "$${").replace("%{", "%%{")


def _kind(permission: Permission) -> str:
    if not permission.known:
        return "Unknown"
    return "Dependent" if permission.dependent else "Calls"


def _fewest(resources: set[str]) -> tuple[str, ...]:
    """Return the resources without those that another one covers."""
    if "*" in resources:
        return EVERYTHING
    kept = [
        arn
        for arn in resources
        if not any(other != arn and _covers(other, arn) for other in resources)
    ]
    return tuple(sorted(kept))


def _covers(wide: str, narrow: str) -> bool:
    return "*" in wide and "[" not in wide and fnmatchcase(narrow, wide)
