"""How long a run has worked: a flow's `timeout` does not count the time that it waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

SET = 2.0
"""Seconds by which a clock that was set differs from one that is a little fast or slow."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """The two clocks of a machine.

    Attributes:
        wall: Gives the seconds since 1970; people and programs set it forward and back.
        steady: Gives seconds since any moment, in this process alone; nobody sets it.
    """

    wall: Callable[[], float] = time.time
    steady: Callable[[], float] = time.monotonic


class SetBack:
    """Notices that the wall clock was set, by the one that nobody sets.

    Args:
        clocks: Both.
    """

    def __init__(self, clocks: Clocks) -> None:
        self._clocks = clocks
        self._difference = clocks.wall() - clocks.steady()

    def seconds(self) -> float:
        """Return by how much the clock was set back since this was last asked; 0 if it was not."""
        difference = self._clocks.wall() - self._clocks.steady()
        by = self._difference - difference
        if abs(by) > SET:
            self._difference = difference
        return by if by > SET else 0.0


class RunClock:
    """Stands still while all that a run does is wait (`logic.wait`).

    Args:
        now: Gives the time in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._begun = now()
        self._busy = 0
        self._waiting = 0
        self._stood_still = 0.0
        self._still_since: float | None = None
        self._changed = self._begun
        self.worked_before = 0.0
        """Seconds that the run has worked in earlier processes."""

    def start(self) -> None:
        """Begin to count: the run has its place and starts its first step, or goes on."""
        with self._lock:
            self._begun = self._now()
            self._stood_still = -self.worked_before

    def still_for(self, seconds: float) -> bool:
        """Return whether for so many seconds all that the run did was wait."""
        with self._lock:
            still = self._still_since is not None
            return still and self._now() - self._changed >= seconds

    @contextmanager
    def paused(self) -> Generator[None]:
        """Tell that a step that works (`doing`) waits for another run."""
        self._change(waits=False, by=-1)
        self._change(waits=True, by=1)
        try:
            yield
        finally:
            self._change(waits=True, by=-1)
            self._change(waits=False, by=1)

    def seconds(self) -> float:
        """Return how long the run has worked."""
        with self._lock:
            now = self._now()
            still = 0.0 if self._still_since is None else now - self._still_since
            return now - self._begun - self._stood_still - still

    @contextmanager
    def doing(self, *, waits: bool) -> Generator[None]:
        """Tell that a step is executed, and whether it does nothing but wait."""
        self._change(waits=waits, by=1)
        try:
            yield
        finally:
            self._change(waits=waits, by=-1)

    def _change(self, *, waits: bool, by: int) -> None:
        with self._lock:
            self._changed = self._now()
            if waits:
                self._waiting += by
            else:
                self._busy += by
            still = self._waiting > 0 and self._busy == 0
            if still and self._still_since is None:
                self._still_since = self._now()
            elif not still and self._still_since is not None:
                self._stood_still += self._now() - self._still_since
                self._still_since = None
