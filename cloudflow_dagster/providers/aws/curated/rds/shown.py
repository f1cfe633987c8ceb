"""What nodes give of databases and their snapshots."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict


class Instance(TypedDict):
    """What most flows want to know of a database."""

    id: Annotated[str, Field(description="Its name.")]
    status: Annotated[str, Field(description="`available`, `stopped`, `starting`, …")]
    engine: Annotated[str, Field(description="`postgres`, `mysql`, …")]
    host: Annotated[str | None, Field(description="Where it answers.")]
    port: Annotated[int | None, Field(description="At which port.")]
    arn: Annotated[str | None, Field(description="Its ARN.")]


class Snapshot(TypedDict):
    """A snapshot of a database."""

    id: Annotated[str, Field(description="Its name.")]
    database: Annotated[str, Field(description="Name of the database.")]
    status: Annotated[str, Field(description="`creating` or `available`.")]
    arn: Annotated[str | None, Field(description="Its ARN.")]
