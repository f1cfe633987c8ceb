"""What a node opens to everybody, or gives all rights, by what its config says.

The API's own fields and those of curated node types hold the same: policies, canned ACLs, `all`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from cloudflow_dagster.flow.model import Json

_EVERYBODY = "*"
ANYWHERE = ("0.0.0.0/0", "::/0")
"""All addresses there are, of either kind."""
_OPENS: Mapping[str, frozenset[Json]] = {
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html#canned-acl
    "acl": frozenset({"public-read", "public-read-write", "authenticated-read"}),
    # Snapshots and images of EC2, snapshots of RDS.
    "groupnames": frozenset({"all"}),
    "usergroups": frozenset({"all"}),
    "group": frozenset({"all"}),
    "valuestoadd": frozenset({"all"}),
    # https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html
    "principal": frozenset({_EVERYBODY}),
    "publiclyaccessible": frozenset({True}),
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_PublicAccessBlockConfiguration.html
    "blockpublicacls": frozenset({False}),
    "blockpublicpolicy": frozenset({False}),
    "ignorepublicacls": frozenset({False}),
    "restrictpublicbuckets": frozenset({False}),
}
_ALL_RIGHTS = ":policy/AdministratorAccess"
_EVERYBODY_OF_S3 = re.compile(r"/groups/global/(?:AllUsers|AuthenticatedUsers)\b")
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html#specifying-grantee"""
_LETS_IN = "securitygroupingress"
_CLOSES = frozenset({"remove", "valuestoremove"})
"""Fields under which something is closed."""
_WHO_COMES = re.compile(
    r"aws:(?:Source|Principal|Via|userid|username)"
    r"|:(?:CallerAccount|ViaService|DataAccessPointAccount)",
    re.IGNORECASE,
)
"""Conditions that narrow who may come: by address, network, account, organization."""


def exposes(config: Mapping[str, Json]) -> str | None:
    """Return what a node lets everybody do, or whom it gives all rights, as a sentence.

    Args:
        config: Of a node that changes something, as written.
    """
    if config.get("OperationType") == "remove":
        return None
    return _exposes(dict(config), "")


def _exposes(value: Json, name: str) -> str | None:
    if policy := _policy(value):  # whose own fields mean something else
        return _harm_of(policy)
    if isinstance(value, dict):
        fields = cast("dict[str, Json]", value).items()
        for field, each in fields:
            if field.lower() == _LETS_IN and any(one in ANYWHERE for _, one in fields_in(each)):
                return "It opens a security group to the whole internet."
        opening = ((field, each) for field, each in fields if field.lower() not in _CLOSES)
        return next((harm for field, each in opening if (harm := _exposes(each, field))), None)
    if isinstance(value, list):
        listed = cast("list[Json]", value)
        return next((harm for each in listed if (harm := _exposes(each, name))), None)
    return _opened_by(name, value)


def _opened_by(name: str, value: Json) -> str | None:
    if isinstance(value, str | bool) and value in _OPENS.get(name.replace("_", "").lower(), ()):
        return f"It opens something to everybody (`{name}` is `{json.dumps(value)}`)."
    if isinstance(value, str) and _EVERYBODY_OF_S3.search(value):
        return f"It opens something to everybody (`{name}`)."
    if isinstance(value, str) and value.endswith(_ALL_RIGHTS):
        return "It gives all rights (`AdministratorAccess`)."
    return None


def fields_in(value: Json, name: str = "") -> Iterator[tuple[str, Json]]:
    """Yield everything in a value, however deep, after the name of the field that it is in."""
    yield name, value
    if isinstance(value, dict):
        for field, each in cast("dict[str, Json]", value).items():
            yield from fields_in(each, field)
    elif isinstance(value, list):
        for each in cast("list[Json]", value):
            yield from fields_in(each, name)


def _policy(value: Json) -> Mapping[str, Any] | None:
    """Return a policy document, also one that is spelled out as a text."""
    if isinstance(value, str) and '"Statement"' in value:
        try:
            value = json.loads(value)
        except ValueError:
            return None
    if not isinstance(value, dict) or "Statement" not in value:
        return None
    return cast("Mapping[str, Any]", value)


def _harm_of(policy: Mapping[str, Any]) -> str | None:
    for statement in _listed(policy["Statement"]):
        if not isinstance(statement, Mapping):
            continue
        said = cast("Mapping[str, Any]", statement)
        if said.get("Effect") != "Allow":
            continue
        principal: Any = said.get("Principal")
        everybody = "NotPrincipal" in said or _EVERYBODY in _listed(principal)
        if isinstance(principal, Mapping):
            named = cast("Mapping[str, Any]", principal).get("AWS")
            everybody = everybody or _EVERYBODY in _listed(named)
        if everybody and not _WHO_COMES.search(json.dumps(said.get("Condition"))):
            return "It lets everybody in: a policy allows something to the principal `*`."
        everything = bool({_EVERYBODY, "*:*"} & set(map(str, _listed(said.get("Action")))))
        if principal is None and everything and _EVERYBODY in _listed(said.get("Resource")):
            return "It gives all rights: a policy allows every action on everything."
    return None


def _listed(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else [value]
