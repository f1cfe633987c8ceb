"""The least policies with which flows can run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from cloudflow_dagster.credentials.spec import AwsSpec
from cloudflow_dagster.insight.needs import Need, Needs, by_credential
from cloudflow_dagster.nodes.permission import Permission, united
from cloudflow_dagster.project import Project
from cloudflow_dagster.providers.aws.permissions.arns import resources_for
from cloudflow_dagster.providers.aws.permissions.place import Place, partition_of
from cloudflow_dagster.providers.aws.permissions.policy import Allowed, Statement, statements_of
from cloudflow_dagster.simulator.session import ACCOUNT

_ROLE = re.compile(r"arn:([a-z-]+):iam::(\d{12}):role/")


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that a credential must be allowed to do.

    Attributes:
        permission: What.
        nodes: The nodes that need it, in their order.
        resources: On what; ARNs, or `*`.
    """

    permission: Permission
    nodes: tuple[str, ...]
    resources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """What one credential must be allowed to do.

    Attributes:
        credential: Its name.
        account: The account that it works in; None if that is not known without logging in.
        entries: Each action once, dependent ones last.
        statements: The same as the statements of an IAM policy.
    """

    credential: str
    account: str | None
    entries: tuple[Entry, ...]
    statements: tuple[Statement, ...]


def policies_of(
    needs: Needs, project: Project, accounts: Mapping[str, str] | None = None
) -> list[Policy]:
    """Return the least policy of each AWS credential that needs to be allowed anything.

    Args:
        needs: What flows need.
        project: Whose credentials they are.
        accounts: The accounts of credentials whose login was asked; others are taken from the
            role that a credential assumes, or are those of the simulated cloud.
    """
    found: list[Policy] = []
    for name, of_one in by_credential(needs):
        if of_one[0].provider == "aws":
            account = (accounts or {}).get(name) or account_of(name, project)
            place = Place(account=account, partition=_partition_of(name, project))
            if policy := _policy(name, place, of_one):
                found.append(policy)
    return found


def account_of(credential: str, project: Project) -> str | None:
    """Return a credential's account, as far as the project's file tells it."""
    spec = project.credentials.spec(credential)
    if isinstance(spec, AwsSpec) and spec.role_arn is not None:
        role = _ROLE.match(spec.role_arn) if isinstance(spec.role_arn, str) else None
        return role[2] if role else None
    return ACCOUNT if project.credentials.simulated(credential) else None


def _partition_of(credential: str, project: Project) -> str | None:
    """Return where a credential works, as far as the project's file tells it: `aws-cn`."""
    spec = project.credentials.spec(credential)
    if not isinstance(spec, AwsSpec):
        return None
    role = _ROLE.match(spec.role_arn) if isinstance(spec.role_arn, str) else None
    if role is not None:
        return role[1]
    if spec.region is not None:
        return partition_of(spec.region)
    return _partition_of(spec.source, project) if spec.source else None


def _policy(name: str, whose: Place, needs: Iterable[Need]) -> Policy | None:
    nodes: dict[str, list[str]] = {}
    allowed: list[Allowed] = []
    for need in needs:
        place = replace(whose, region=need.region)
        for permission in need.permissions:
            resources = resources_for(permission, need.names, place, need.permissions)
            allowed.append(Allowed(permission, resources))
            of_action = nodes.setdefault(permission.action, [])
            if need.node not in of_action:
                of_action.append(need.node)
    if not allowed:
        return None
    statements = statements_of(allowed)
    on = {action: each.resources for each in statements for action in each.actions}
    entries = (
        Entry(permission, tuple(nodes[permission.action]), on[permission.action])
        for permission in united(each.permission for each in allowed)
    )
    return Policy(name, whose.account, tuple(entries), tuple(statements))
