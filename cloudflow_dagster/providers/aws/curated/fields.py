"""Fields that several curated types have alike; each says itself what it is for."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from cloudflow_dagster.nodes.resource_fields import GIVEN
from cloudflow_dagster.providers.aws.given import MANY_TEXTS, ONE, UNORDERED_LIST, many, one

_SET = Field(json_schema_extra={**MANY_TEXTS, **UNORDERED_LIST})

Subnets: TypeAlias = Annotated[list[str], many("id", "SubnetId"), _SET]
SecurityGroups: TypeAlias = Annotated[list[str] | None, many("id", "GroupId"), _SET]
WebAcl: TypeAlias = Annotated[
    str | None,
    one("arn", "ARN"),
    ONE,
    Field(description="ARN of the rules of WAF that it keeps to; empty for none."),
]
Host: TypeAlias = Annotated[str | None, GIVEN, Field(description="Its name in the DNS.")]
ZoneId: TypeAlias = Annotated[
    str | None, GIVEN, Field(description="Of `host`, for an alias in Route 53.")
]
