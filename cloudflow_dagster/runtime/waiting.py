"""How a step waits: for as long as its process is there, and in the database beyond."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.call import CallLog
from cloudflow_dagster.nodes.errors import Canceled, NodeError
from cloudflow_dagster.nodes.waits import Wait as Asked
from cloudflow_dagster.runtime.clock import SetBack
from cloudflow_dagster.runtime.waits import Wait, WaitKey

if TYPE_CHECKING:
    from cloudflow_dagster.runtime.run import Run

_ASK = 1.0
"""Seconds between two looks at whether somebody has answered."""


def wait_for(
    run: Run,
    key: WaitKey,
    asked: Asked,
    log: CallLog,
    *,
    expires: float | None,
    over: Callable[[], bool] | None = None,
) -> Json:
    """Wait until what is asked for has come; return the answer, null if there is none to give.

    The thread that calls this may never go on: the run is suspended while it stands here, and
    another process comes to the same place again.

    Args:
        run: The run.
        key: Which wait it is.
        asked: What to wait for.
        log: The step's log.
        expires: When nobody waits any longer, in seconds since 1970.
        over: Whether it is over for another reason than an answer; asked every second.

    Raises:
        Canceled: The run was told to stop.
        NodeError: Nobody answered in time (`Timeout`).
    """
    waits = run.waits
    if waits is None:
        raise NodeError(
            "CannotWait", "A wait of more than a minute cannot be kept here.", transient=False
        )
    wait = waits.begin(key, asked, run.id, expires)
    log.info(described(wait))
    looked = 0.0
    clocks = run.parking.clocks
    set_back = SetBack(clocks)

    def ended() -> bool:
        nonlocal looked, wait
        back = set_back.seconds()
        if back:
            waits.move(key, back)
            wait = waits.get(key) or wait
        if wait.ends is not None and clocks.wall() >= wait.ends:
            return True
        if wait.way == "time" or clocks.steady() - looked < _ASK:
            return False
        looked = clocks.steady()
        now = waits.get(key)
        return (now is not None and now.answer is not None) or (over is not None and over())

    run.parking.stand(ended, wait.ends, run.stop)
    if run.stop.is_set():
        raise Canceled
    now = waits.get(key) or wait
    late = now.expires is not None and clocks.wall() >= now.expires
    if now.answer is None and late and (now.due is None or now.due > (now.expires or 0)):
        waits.end(key)
        raise NodeError("Timeout", f"Nobody waits any longer: {described(now)}", transient=False)
    waits.end(key)
    if now.answered_by:
        log.info(f"Answered by {now.answered_by}.")
    return None if now.answer is None else json.loads(now.answer)


def described(wait: Wait) -> str:
    """Say in a sentence what is waited for, until when and by whom."""
    until = f" until {at(wait.due)}" if wait.due is not None else ""
    limit = f", no longer than until {at(wait.expires)}" if wait.expires is not None else ""
    match wait.way:
        case "time":
            what = f"Waits{until}{limit}."
        case "approval":
            who = " or ".join(wait.approvers) or "anybody"
            what = f"Waits for the approval of {who}{limit}."
        case "resume":
            what = f"Waits to be resumed{limit}."
        case "run":
            what = f"Waits for the run {wait.child}{limit}."
    return f"{what} {wait.message}" if wait.message else what


def at(time_: float) -> str:
    """Return a time for people: ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(time_, UTC).isoformat(timespec="seconds")
