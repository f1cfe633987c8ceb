"""Whether a time zone exists."""

from __future__ import annotations

from zoneinfo import ZoneInfo, available_timezones

from cloudflow_dagster.diagnostics.model import did_you_mean


def time_zone_problem(name: str) -> str | None:
    """Say what is wrong with the name of a time zone, or None."""
    if name in {"UTC", "utc"}:
        return None
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # no such zone; a path; a folder of zones
        hint = did_you_mean(name, available_timezones())
        return f"There is no time zone `{name}`." + (f" {hint}" if hint else "")
    return None
