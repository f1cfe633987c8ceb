"""Asks IAM what a credential may really do (`iam:SimulatePrincipalPolicy`)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from cloudflow_dagster.credentials.aws import AwsLogin
from cloudflow_dagster.credentials.aws_errors import error_code, explain
from cloudflow_dagster.credentials.errors import CredentialError
from cloudflow_dagster.providers.aws.permissions.policy import Statement

_ACTIONS = 50
"""Asked about in one request, so that the answer has not too many pages."""
_RESOURCES = 20
_ASSUMED = re.compile(r"arn:([a-z-]+):sts::(\d{12}):assumed-role/([^/]+)/.+")
_DENIED = frozenset({"AccessDenied", "AccessDeniedException"})
_REGION = "us-east-1"
"""IAM answers for all regions of its partition; used where a login has none."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What IAM says of one action.

    Attributes:
        action: `ec2:StopInstances`.
        resource: On what it is not allowed; None if it is allowed.
        decision: `allowed`, `implicitDeny` (nothing allows it) or `explicitDeny` (something
            forbids it).
    """

    action: str
    resource: str | None
    decision: str

    @property
    def allowed(self) -> bool:
        """Whether IAM would let the call pass."""
        return self.decision == "allowed"


def simulate(login: AwsLogin, who: str, statements: Iterable[Statement]) -> list[Verdict]:
    """Return what IAM says of each action of a policy, sorted; those not in IAM's list left out.

    What the credential's own policies say counts, and its permissions boundary; policies of
    resources and conditions on what only a real call has do not.

    Args:
        login: The credential's login; it asks about itself.
        who: The ARN of its identity, as STS gives it.
        statements: What is needed.

    Raises:
        CredentialError: It may not ask, or the identity is none that IAM can simulate.
    """
    client = login.client("iam", region=login.region or _REGION)
    principal = _principal(client, who)
    found: dict[str, Verdict] = {}
    for actions, resources in _questions(statements):
        for verdict in _asked(client, login, principal, actions, resources):
            known = found.get(verdict.action)
            if known is None or known.allowed:
                found[verdict.action] = verdict
    return [found[action] for action in sorted(found)]


def _questions(statements: Iterable[Statement]) -> Iterator[tuple[list[str], list[str]]]:
    for statement in statements:
        if statement.sid.startswith("Unknown"):
            continue
        for at in range(0, len(statement.actions), _ACTIONS):
            for of in range(0, len(statement.resources), _RESOURCES):
                yield (
                    list(statement.actions[at : at + _ACTIONS]),
                    list(statement.resources[of : of + _RESOURCES]),
                )


def _asked(
    client: Any, login: AwsLogin, principal: str, actions: list[str], resources: list[str]
) -> Iterator[Verdict]:
    pages = client.get_paginator("simulate_principal_policy").paginate(
        PolicySourceArn=principal, ActionNames=actions, ResourceArns=resources
    )
    try:
        for page in pages:
            for result in page["EvaluationResults"]:
                decision = result["EvalDecision"]
                resource = None if decision == "allowed" else result.get("EvalResourceName", "*")
                yield Verdict(result["EvalActionName"], resource, decision)
    except Exception as error:
        raise _refused(login, principal, error) from error


def _refused(login: AwsLogin, principal: str, error: Exception) -> CredentialError:
    code = error_code(error)
    if code in _DENIED:
        return CredentialError(
            "AccessDenied",
            f"`{login.name}` may not ask what it may do: `{principal}` lacks the permission "
            "`iam:SimulatePrincipalPolicy` on itself.",
            "Allow that, or print the policy without `--check` and compare it by hand.",
        )
    why = explain(error)
    if why is not None:
        return why
    return CredentialError(
        code or type(error).__name__,
        f"IAM did not say what `{principal}` may do: {error}",
        "Print the policy without `--check` and compare it by hand.",
    )


def _principal(client: Any, who: str) -> str:
    """Return the ARN of the user or role whose policies count.

    Raises:
        CredentialError: It is neither.
    """
    if role := _ASSUMED.fullmatch(who):
        try:
            # The session's name does not say in which path the role is.
            return str(client.get_role(RoleName=role[3])["Role"]["Arn"])
        except Exception:  # it need not be allowed; most roles are in no path
            return f"arn:{role[1]}:iam::{role[2]}:role/{role[3]}"
    if ":user/" in who:
        return who
    if who.endswith(":root"):
        raise CredentialError(
            "RootUser",
            f"`{who}` is the account's root user, which may do everything.",
            "Use a role or a user with the printed policy instead.",
        )
    raise CredentialError(
        "NoPrincipal",
        f"`{who}` is neither a user nor a role, whose policies IAM could simulate.",
        "Print the policy without `--check` and compare it by hand.",
    )
