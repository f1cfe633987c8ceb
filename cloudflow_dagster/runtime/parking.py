"""Where the threads of a run stand that wait for something longer than a moment.

When all that a run still does is stand here, its process may end: the run is *suspended*, and
another process goes on with it when the first of its waits is over. A thread that stands here then
never leaves any more, so that nothing is done twice.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from cloudflow_dagster.runtime.clock import Clocks

LONGEST = 60.0
"""Seconds that a process is kept for a wait."""
_LOOK = 0.2
_OF_THE_MACHINE = Clocks()


class Parking:
    """The waiting threads of one run in one process.

    Args:
        clocks: Of the machine.
    """

    def __init__(self, clocks: Clocks = _OF_THE_MACHINE) -> None:
        self.clocks = clocks
        self._now = clocks.wall
        self._lock = threading.Lock()
        self._ends: dict[object, float | None] = {}
        self._suspended = False
        self.keep: Callable[[float], str] | None = None
        """Keeps in mind that the run is suspended, after so many seconds of work, and says what it
        waits for. None: it cannot be suspended."""

    def stand(self, over: Callable[[], bool], ends: float | None, stop: threading.Event) -> None:
        """Wait until something holds or the run is told to stop.

        Args:
            over: Whether the wait is over; asked a few times a second.
            ends: Seconds since 1970 at which it is over at the latest, if anybody knows.
            stop: Set when the run is to end.
        """
        ticket = object()
        with self._lock:
            self._ends[ticket] = ends
        try:
            while not stop.is_set() and not over():
                left = _LOOK if ends is None else min(_LOOK, max(0.0, ends - self._now()))
                stop.wait(left or 0.001)
                self.pass_gate()
        finally:
            self.pass_gate()
            with self._lock:
                self._ends.pop(ticket, None)

    def pass_gate(self) -> None:
        """Go on, unless the run is suspended: then never return."""
        with self._lock:
            suspended = self._suspended
        if suspended:
            threading.Event().wait()

    def suspend(self, worked: float) -> str | None:
        """Let no thread of the run go on, if one stands here and none leaves within a minute.

        Args:
            worked: Seconds that the run has worked.

        Returns:
            What the run waits for, for people; None if it goes on.
        """
        with self._lock:
            soonest = min((end for end in self._ends.values() if end is not None), default=None)
            too_soon = soonest is not None and soonest - self._now() <= LONGEST
            if self.keep is None or not self._ends or too_soon:
                return None
            said = self.keep(worked)
            self._suspended = True
            return said
