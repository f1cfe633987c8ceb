"""Waiting."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.call import Call
from cloudflow_dagster.nodes.declare import AMBER, action
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.spec import Behaviour, Repeat
from cloudflow_dagster.nodes.waits import Wait

LONGEST = 60.0
"""Seconds up to which a wait stays in its process."""
_WAYS = ("seconds", "until", "approval", "resume")

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


class Approval(TypedDict, total=False):
    """Who is asked for an approval, and what."""

    message: Annotated[str, Field(description="What is asked, for whoever answers.")]
    approvers: Annotated[
        list[str], Field(description="Names of the users who may answer; anybody, if not given.")
    ]


@action(
    "logic.wait",
    label="Wait",
    icon="hourglass",
    category="logic",
    color=AMBER,
    behaviour=Behaviour.WAIT,
    repeat=Repeat.READ,
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
        approval: Waits until somebody says yes or no (`cloudflow approve`); what was answered
            is `{approved, by, at, comment}`.
        resume: `true` waits until somebody resumes it (`cloudflow resume`) with a value.
    """
    ways = {"seconds": seconds, "until": until, "approval": approval, "resume": resume}
    given = {name: value for name, value in ways.items() if _given(value)}
    if len(given) != 1:
        raise NodeError("InvalidConfig", f"A wait has exactly one of {_listed()}.", transient=False)
    if approval is not None:
        return call.wait_for(
            Wait(
                way="approval",
                message=approval.get("message"),
                approvers=tuple(approval.get("approvers", ())),
            )
        )
    if resume:
        return call.wait_for(Wait(way="resume"))
    if until is not None:
        call.wait_for(Wait(way="time", due=_due(until)))
    elif seconds is not None and seconds > LONGEST:
        call.wait_for(Wait(way="time", due=time.time() + seconds, seconds=seconds))
    else:
        call.log.info(f"Waits for {seconds or 0:.3g} s.")
        call.sleep(seconds or 0)
    return call.input


def _given(value: Json) -> bool:
    return value is not None and value is not False


def _due(until: str) -> float:
    moment = _time(until)
    if moment is None:
        raise NodeError("InvalidConfig", f"`until`: {_no_time(until)}", transient=False)
    return moment.timestamp()


def _time(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text.strip())
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _no_time(text: str) -> str:
    return f"`{text}` is no time; write one such as `2026-01-31T08:00:00+01:00`."


def _listed() -> str:
    return ", ".join(f"`{way}`" for way in _WAYS)
