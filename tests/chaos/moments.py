"""The moments at which something is killed: a call is asked for, was carried out, was answered."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Phase = Literal["asked", "done", "answered"]
"""`asked`: the call has come and is not carried out. `done`: it is carried out and the answer is
not given. `answered`: the answer is given, a few milliseconds ago."""


@dataclass
class Moments:
    """Counts the calls that change something, and acts at the one that was chosen."""

    calls: list[str] = field(default_factory=list[str])
    _phase: Phase | None = None
    _left: int = 0
    _act: Callable[[str], None] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def arm(self, phase: Phase, number: int, act: Callable[[str], None]) -> None:
        """Act at the given call from now on, counted from 1."""
        with self._lock:
            self._phase, self._left, self._act = phase, number, act

    def disarm(self) -> bool:
        """Do not act; return whether it was not too late."""
        with self._lock:
            armed, self._act = self._act is not None, None
            return armed

    def reached(self, phase: Phase, call: str) -> bool:
        """Note that a call is at a phase; return whether something was killed there."""
        with self._lock:
            if phase == "done":
                self.calls.append(call)
            if self._act is None or phase != self._phase:
                return False
            self._left -= 1
            if self._left:
                return False
            act, self._act = self._act, None
        act(call)
        return True
