"""Accounts of an organization."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.declare import aws_action
from cloudflow_dagster.providers.aws.operations import Operations


class Account(TypedDict):
    """An account."""

    id: Annotated[str, Field(description="Twelve digits.")]
    name: Annotated[str, Field(description="Its name.")]
    email: Annotated[str | None, Field(description="Of its root user.")]
    status: Annotated[str, Field(description="`ACTIVE`, `SUSPENDED` or `PENDING_CLOSURE`.")]
    joined_at: Annotated[str | None, Field(description="When it became a member.")]


class Accounts(TypedDict):
    """Accounts of an organization."""

    ids: Annotated[list[str], Field(description="Their ids.")]
    accounts: Annotated[list[Account], Field(description="The same with names.")]


@aws_action(
    "aws.organizations.account.list",
    label="List accounts",
    calls=("organizations.ListAccounts",),
    repeat=Repeat.READ,
)
def list_(aws: Operations, *, active: bool = True) -> Accounts:
    """Lists the accounts of the organization; only its management account may ask.

    Args:
        aws: Carries out operations.
        active: Whether to leave out those that are suspended or about to be closed.
    """
    accounts: list[Account] = [
        {
            "id": each["Id"],
            "name": each["Name"],
            "email": each.get("Email"),
            "status": each["Status"],
            "joined_at": each.get("JoinedTimestamp"),
        }
        for each in aws.pages("organizations.ListAccounts")["Accounts"]
        if each["Status"] == "ACTIVE" or not active
    ]
    return {"ids": [each["id"] for each in accounts], "accounts": accounts}
