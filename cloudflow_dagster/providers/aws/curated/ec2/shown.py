"""What nodes give of instances."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict


class Instance(TypedDict):
    """What most flows want to know of an instance."""

    id: Annotated[str, Field(description="`i-…`.")]
    state: Annotated[str, Field(description="`pending`, `running`, `stopping`, `stopped`, …")]
    type: Annotated[str, Field(description="`t3.micro`, …")]
    image: Annotated[str | None, Field(description="What it was launched from.")]
    zone: Annotated[str | None, Field(description="Availability zone.")]
    private_ip: Annotated[str | None, Field(description="Address inside the network.")]
    public_ip: Annotated[str | None, Field(description="Address on the internet, if it has one.")]
    launched_at: Annotated[str | None, Field(description="When it was last started.")]
    tags: Annotated[dict[str, str], Field(description="Its tags.")]


class Some(TypedDict):
    """Instances, after what was done."""

    ids: Annotated[list[str], Field(description="Their ids.")]
    instances: Annotated[list[Instance], Field(description="As they are now.")]


class Ids(TypedDict):
    """Which instances it was done to."""

    ids: Annotated[list[str], Field(description="Their ids.")]
