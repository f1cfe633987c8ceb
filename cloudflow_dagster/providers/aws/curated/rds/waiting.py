"""Waits for databases of RDS."""

from __future__ import annotations

from collections.abc import Collection
from itertools import count
from typing import Any

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.providers.aws.curated.rds.shown import Instance
from cloudflow_dagster.providers.aws.operations import Operations

EVERY = 30.0
"""Seconds between two questions."""
_UNCHANGED = 5
"""How often a database is asked for that should be rebooting and is not shown so: in 31 s."""
CHANGING = frozenset({"creating", "modifying", "rebooting", "starting", "upgrading"})
_FAILED = frozenset(
    {
        "failed",
        "inaccessible-encryption-credentials",
        "incompatible-create",
        "incompatible-network",
        "incompatible-option-group",
        "incompatible-parameters",
        "incompatible-restore",
        "insufficient-capacity",
        "restore-error",
    }
)
"""https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/accessing-monitoring.html#Overview.DBInstance.Status

A full disk is none of them: a change that gives more still shows it at first.
"""


def is_in(status: str, wanted: str, name: str) -> bool:
    """Return whether a status is the one that is wanted.

    Raises:
        NodeError: It never will be.
    """
    if status in _FAILED:
        raise NodeError("DatabaseFailed", f"`{name}` is {status}.", transient=False)
    return status == wanted


def reached(aws: Operations, database: str, status: str) -> Instance:
    """Wait until a database has a status, and return it."""
    answer = aws.until(
        lambda answer: is_in(answer["DBInstances"][0]["DBInstanceStatus"], status, database),
        "rds.DescribeDBInstances",
        every=EVERY,
        DBInstanceIdentifier=database,
    )
    return _instance(answer)


def has_begun(aws: Operations, database: str) -> None:
    """Wait until RDS does not show a database as it was before any more.

    One that is still not shown otherwise after half a minute has rebooted between two questions.
    """
    asked = count(1)
    aws.until(
        lambda answer: (
            answer["DBInstances"][0]["DBInstanceStatus"] != "available" or next(asked) > _UNCHANGED
        ),
        "rds.DescribeDBInstances",
        every=EVERY,
        DBInstanceIdentifier=database,
    )


def settled(aws: Operations, name: str, changed: Collection[str] = ()) -> None:
    """Wait until what is done with a database is done.

    RDS calls it available also before it begins with a change, which is pending then.

    Args:
        aws: Carries out operations.
        name: Of the database.
        changed: What is being changed at once, as RDS calls it.
    """

    def is_so(answer: dict[str, Json]) -> bool:
        found: dict[str, Any] = answer["DBInstances"][0]
        status: str = found["DBInstanceStatus"]
        pending: dict[str, Json] = found.get("PendingModifiedValues") or {}
        is_in(status, status, name)
        return status not in CHANGING and pending.keys().isdisjoint(changed)

    aws.until(is_so, "rds.DescribeDBInstances", every=EVERY, DBInstanceIdentifier=name)


def look(aws: Operations, database: str) -> Instance:
    """Return a database as it is."""
    return _instance(aws.ask("rds.DescribeDBInstances", DBInstanceIdentifier=database))


def _instance(answer: dict[str, Json]) -> Instance:
    found = answer["DBInstances"][0]
    address: dict[str, Any] = found.get("Endpoint") or {}
    return {
        "id": found["DBInstanceIdentifier"],
        "status": found["DBInstanceStatus"],
        "engine": found["Engine"],
        "host": address.get("Address"),
        "port": address.get("Port"),
        "arn": found.get("DBInstanceArn"),
    }
