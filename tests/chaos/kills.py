"""What is killed, and when."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import dagster as dg

from tests.chaos.deployment import Deployment
from tests.chaos.moments import Moments, Phase

Victim = Literal["worker", "launcher", "launcher alone", "dev", "everything"]
"""`worker`: the process that executes the run, also one of a terminal. `launcher`: the warm process
and all that it forked. `launcher alone`: without the worker. `dev`: `cloudflow dev`, whose parts
then stop in order. `everything`: all processes of the project."""

_VICTIMS: dict[Victim, int] = {
    "worker": 45,
    "launcher": 15,
    "launcher alone": 5,
    "dev": 5,
    "everything": 30,
}
_PHASES: dict[Phase | None, int] = {None: 40, "asked": 15, "done": 30, "answered": 15}
_WORDS = {
    "asked": "before {} was carried out",
    "done": "after {} was carried out, before its answer",
    "answered": "after the answer to {}",
}
_LAST_CALL = 14
_SETTLING = 0.02
"""Seconds after an answer within which it is written down."""


@dataclass(frozen=True)
class Kill:
    """One kill.

    Attributes:
        victim: Who.
        phase: In which phase of a call; None: at a time.
        number: Of the call, from 1, counted from when somebody executes the run.
        seconds: From then, or after the call's phase.
        anyhow: Whether it is counted from the kill before instead.
    """

    victim: Victim
    phase: Phase | None
    number: int
    seconds: float
    anyhow: bool


def drawn(random: random.Random, seconds: float) -> Kill:
    """Draw a kill.

    Args:
        random: Where chance comes from.
        seconds: How long an undisturbed run takes.
    """
    (victim,) = random.choices(list(_VICTIMS), list(_VICTIMS.values()))
    (phase,) = random.choices(list(_PHASES), list(_PHASES.values()))
    anyhow = phase is None and random.random() < 0.25
    late = random.uniform(0, seconds * (2 if anyhow else 1))
    return Kill(
        victim,
        phase,
        random.randint(1, _LAST_CALL),
        random.uniform(0, _SETTLING) if phase == "answered" else 0.0 if phase else late,
        anyhow,
    )


class Striker:
    """Carries out kills, one after the other, while a line runs.

    Args:
        deployment: What is killed.
        moments: The calls.
        newest: Gives the run that goes on now.
        kills: The kills.
    """

    def __init__(
        self,
        deployment: Deployment,
        moments: Moments,
        newest: Callable[[], dg.DagsterRun],
        kills: Iterator[Kill],
    ) -> None:
        self._deployment = deployment
        self._moments = moments
        self._newest = newest
        self._kills = kills
        self._kill = next(kills, None)
        self._armed = False
        self._due = 0.0
        self._happened: deque[str] = deque()

    def turn(self) -> str | None:
        """Do what is due; say what was killed since the last turn."""
        if self._happened:
            self._kill, self._armed = next(self._kills, None), False
            return self._happened.popleft()
        kill = self._kill
        if kill is not None and not self._armed:
            self._arm(kill)
        if kill is not None and self._armed and kill.phase is None and time.monotonic() > self._due:
            self._strike(kill, "")
        return None

    def stop(self) -> None:
        """Kill nothing more."""
        self._moments.disarm()
        self._kill = None

    def _arm(self, kill: Kill) -> None:
        if not kill.anyhow and self._deployment.worker(self._newest().run_id) is None:
            return
        self._armed = True
        if kill.phase is None:
            self._due = time.monotonic() + kill.seconds
        else:
            self._moments.arm(kill.phase, kill.number, lambda call: self._strike(kill, call))

    def _strike(self, kill: Kill, call: str) -> None:
        """Kill; also from the thread of a call."""
        if kill.phase:
            time.sleep(kill.seconds)
        run = self._newest()
        if self._slay(kill.victim, run.run_id):
            when = _WORDS[kill.phase].format(call) if kill.phase else f"at {kill.seconds:.2f} s"
            text = f"{kill.victim}, {when}; run {run.run_id[:8]} was {run.status.value}"
            self._happened.append(text)
        else:
            self._armed = False

    def _slay(self, victim: Victim, run_id: str) -> bool:
        match victim:
            case "worker":
                return self._deployment.kill_worker(run_id)
            case "launcher":
                return self._deployment.kill_launcher(run_id, alone=False)
            case "launcher alone":
                return self._deployment.kill_launcher(run_id, alone=True)
            case "dev":
                return self._deployment.kill_dev()
            case "everything":
                return self._deployment.kill_everything()
