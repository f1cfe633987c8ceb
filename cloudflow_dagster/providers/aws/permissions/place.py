"""Where a node works, as far as ARNs say it."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cache

from cloudflow_dagster.providers.aws.permissions.arn_parts import placed
from cloudflow_dagster.simulator.session import isolated_session

_USUAL = "aws"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node works; None: not known before it runs.

    Attributes:
        region: Such as `eu-west-1`.
        account: Twelve digits.
        partition: Where the credential works, which counts if the region is not known: `aws-cn`.
    """

    region: str | None = None
    account: str | None = None
    partition: str | None = None

    @property
    def elsewhere(self) -> Place:
        """Any account and region that a credential of here can reach."""
        return Place(partition=self._partition)

    def put(self, arn: str) -> str:
        """Return an ARN with this place in it; `*` for what is not known."""
        return placed(arn, self._partition, self.region, self.account)

    @property
    def _partition(self) -> str:
        return partition_of(self.region) if self.region else self.partition or _USUAL


@cache
def partition_of(region: str) -> str:
    """Return the partition that a region belongs to: `aws`, `aws-cn`, `aws-us-gov`.

    botocore knows them. One that it does not know is taken to be of `aws`.
    """
    unknown = importlib.import_module("botocore.exceptions").UnknownRegionError
    try:
        return str(isolated_session().get_partition_for_region(region))
    except unknown:
        return _USUAL
