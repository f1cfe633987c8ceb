"""Policies of roles and users: those of their own, and those that are attached to them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.providers.aws.declare_resource import Changed
from cloudflow_dagster.providers.aws.given import gone, tag_list
from cloudflow_dagster.providers.aws.operations import Operations

Kind = Literal["Role", "User"]
ABSENT = ("NoSuchEntity", "NoSuchEntityException")


def reads(kind: Kind) -> tuple[str, ...]:
    """Return the operations that `policies_of` calls."""
    return (f"iam.ListAttached{kind}Policies", f"iam.List{kind}Policies", f"iam.Get{kind}Policy")


def updates(kind: Kind) -> dict[str, tuple[str, ...]]:
    """Return the operations that `set_policies` calls, with the fields that they are needed for."""
    return {
        f"iam.Attach{kind}Policy": ("policies",),
        f"iam.Detach{kind}Policy": ("policies",),
        f"iam.Put{kind}Policy": ("inline_policies",),
        f"iam.Delete{kind}Policy": ("inline_policies",),
        f"iam.Tag{kind}": ("tags",),
        f"iam.Untag{kind}": ("tags",),
    }


def policies_of(aws: Operations, kind: Kind, name: str) -> dict[str, Json]:
    """Return the fields `policies` and `inline_policies` of a role or a user."""
    whose: dict[str, Json] = {f"{kind}Name": name}
    attached = aws.pages(f"iam.ListAttached{kind}Policies", **whose).get("AttachedPolicies", [])
    names = aws.pages(f"iam.List{kind}Policies", **whose).get("PolicyNames", [])
    return {
        "policies": [each["PolicyArn"] for each in attached],
        "inline_policies": {
            each: aws.ask(f"iam.Get{kind}Policy", **whose, PolicyName=each)["PolicyDocument"]
            for each in names
        },
    }


def set_policies(
    aws: Operations,
    kind: Kind,
    name: str,
    changed: Changed,
    *,
    policies: list[str] | None,
    inline: Mapping[str, Any] | None,
    tags: Mapping[str, str] | None,
) -> None:
    """Bring about the policies and the tags of a role or a user."""
    whose: dict[str, Json] = {f"{kind}Name": name}
    if "policies" in changed:
        before, wanted = set(changed["policies"] or ()), set(policies or ())
        for arn in sorted(wanted - before):
            aws.ask(f"iam.Attach{kind}Policy", **whose, PolicyArn=arn)
        for arn in sorted(before - wanted):
            aws.ask(f"iam.Detach{kind}Policy", **whose, PolicyArn=arn)
    if "inline_policies" in changed:
        for each, said in (inline or {}).items():
            document = json.dumps(said)
            aws.ask(f"iam.Put{kind}Policy", **whose, PolicyName=each, PolicyDocument=document)
        for each in gone(changed["inline_policies"], inline):
            aws.ask(f"iam.Delete{kind}Policy", **whose, PolicyName=each)
    if "tags" in changed:
        if tags:
            aws.ask(f"iam.Tag{kind}", **whose, Tags=tag_list(tags))
        if old := gone(changed["tags"], tags):
            aws.ask(f"iam.Untag{kind}", **whose, TagKeys=[*old])


def take_policies(aws: Operations, kind: Kind, name: str) -> None:
    """Take away all policies of a role or a user, which cannot be deleted with them."""
    before = policies_of(aws, kind, name)
    set_policies(aws, kind, name, before, policies=[], inline={}, tags=None)
