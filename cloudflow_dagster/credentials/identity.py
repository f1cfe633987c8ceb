"""Who one is logged in as."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """Who one is logged in as.

    Attributes:
        account: The AWS account's number, the Google Cloud project, the Azure subscription; None
            where the login does not say.
        who: A role's or user's ARN, a service account's address, a principal's id.
    """

    account: str | None
    who: str
