"""Waiting."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.call import Call
from cloudflow_dagster.nodes.declare import AMBER, action
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.spec import Behaviour

LONGEST = 60.0
"""Seconds up to which a wait stays in its process."""
_WAYS = ("seconds", "until", "approval", "resume")
_LATER = "is not supported yet; this version waits up to a minute."

Finding = tuple[tuple[str | int, ...], str]


def check_wait(config: Mapping[str, Json]) -> list[Finding]:
    """Find waits for nothing, for two things, or for a time that is none."""
    given = [way for way in _WAYS if _given(config.get(way))]
    if not given:
        return [((), f"Say what to wait for: one of {_listed()}.")]
    found: list[Finding] = [
        ((way,), f"A wait has one of {_listed()}; `{given[0]}` is given too.") for way in given[1:]
    ]
    until = config.get("until")
    if isinstance(until, str) and "{{" not in until and _time(until) is None:
        found.append((("until",), _no_time(until)))
    return found


def not_supported(config: Mapping[str, Json]) -> list[Finding]:
    """Find waits that this version cannot do and that can be seen before anything runs."""
    found: list[Finding] = []
    seconds = config.get("seconds")
    if isinstance(seconds, (int, float)) and seconds > LONGEST:
        found.append((("seconds",), f"Waiting {seconds:g} seconds {_LATER}"))
    if _given(config.get("approval")):
        found.append((("approval",), f"Waiting for an approval {_LATER}"))
    if _given(config.get("resume")):
        found.append((("resume",), f"Waiting for a call to a resume URL {_LATER}"))
    return found


class Approval(TypedDict, total=False):
    """Who is asked for an approval, and what."""

    message: str
    approvers: list[str]


@action(
    "logic.wait",
    label="Wait",
    icon="hourglass",
    category="logic",
    color=AMBER,
    behaviour=Behaviour.WAIT,
    secrets=False,
    fields=False,
    check=check_wait,
)
def wait(
    call: Call,
    *,
    seconds: Annotated[float, Field(ge=0)] | None = None,
    until: str | None = None,
    approval: Approval | None = None,
    resume: bool = False,
) -> Json:
    """Waits for a time, an approval or a call, then goes on with what came in.

    Args:
        call: What surrounds the attempt.
        seconds: How long to wait.
        until: Time to wait for, ISO 8601 (`2026-01-31T08:00:00+01:00`); UTC if it names no zone.
            A time that has passed is not waited for.
        approval: Waits until somebody says yes or no.
        resume: `true` waits for a call to the wait's own URL.
    """
    ways = {"seconds": seconds, "until": until, "approval": approval, "resume": resume}
    given = {name: value for name, value in ways.items() if _given(value)}
    if len(given) != 1:
        raise NodeError("InvalidConfig", f"A wait has exactly one of {_listed()}.", transient=False)
    if unsupported := not_supported(given):
        raise NodeError("NotSupportedYet", unsupported[0][1], transient=False)
    if until is not None:
        seconds = _seconds_until(until)
    call.log.info(f"Waits for {seconds or 0:.3g} s.")
    call.sleep(seconds or 0)
    return call.input


def _given(value: Json) -> bool:
    return value is not None and value is not False


def _seconds_until(until: str) -> float:
    time = _time(until)
    if time is None:
        raise NodeError("InvalidConfig", f"`until`: {_no_time(until)}", transient=False)
    seconds = max(0.0, (time - datetime.now(UTC)).total_seconds())
    if seconds > LONGEST:
        raise NodeError("NotSupportedYet", f"Waiting until {until} {_LATER}", transient=False)
    return seconds


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text.strip())
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _no_time(text: str) -> str:
    return f"`{text}` is no time; write one such as `2026-01-31T08:00:00+01:00`."


def _listed() -> str:
    return ", ".join(f"`{way}`" for way in _WAYS)
