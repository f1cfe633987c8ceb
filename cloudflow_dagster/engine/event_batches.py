"""Collects events and writes many of them in one transaction."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
Write = Callable[[Sequence[Row]], None]

LONGEST_WAIT = 0.2
"""Seconds that an event waits to be written at most, if the disk keeps up."""
_MOST = 500
"""Events that wait at most; then whoever adds one writes them all."""


class EventBatches:
    """Events that are not written yet, and the thread that writes them in time.

    The order in which they were added is kept. Those that cannot be written stay, and whoever adds
    the next one is told why, as if each were written at once.
    """

    def __init__(self, write: Write) -> None:
        """Begin without events.

        Args:
            write: Writes events in one transaction: all of them or, if it raises, none.
        """
        self._write = write
        self._waiting: list[Row] = []
        self._adding = threading.Lock()
        self._writing = threading.Lock()
        self._timed = False
        self._failed = False
        _all.add(self)

    def add(self, event: Row) -> None:
        """Take an event; it is written within `LONGEST_WAIT`."""
        with self._adding:
            self._waiting.append(event)
            begin = not self._timed
            self._timed = True
            many = len(self._waiting) >= _MOST or self._failed
        if begin:
            # A thread that ends again, not one that waits: it costs 0.1 ms five times a second at
            # most, and nothing while nothing happens.
            threading.Thread(target=self._write_in_time, name="events", daemon=True).start()
        if many:
            self.flush()

    def flush(self) -> None:
        """Write all events that were added before; return when they are written.

        Raises:
            Exception: As `write` raises it; the events wait for the next try.
        """
        if not self._waiting and not self._writing.locked():
            return
        with self._writing:
            with self._adding:
                events, self._waiting = self._waiting, []
            if not events:
                return
            try:
                self._write(events)
            except BaseException:
                with self._adding:
                    self._waiting[:0] = events
                    self._failed = True
                raise
            self._failed = False

    def _write_in_time(self) -> None:
        while True:
            time.sleep(LONGEST_WAIT)
            with self._adding:
                self._timed = False
            try:
                self.flush()
            except Exception as error:
                logging.getLogger(__name__).debug("Events could not be written yet: %s", error)
            else:
                return
            with self._adding:
                if self._timed:
                    return  # another thread has begun to wait
                self._timed = True

    def forked(self) -> None:
        """Forget the events: the process that this one was forked from writes them."""
        self._waiting = []
        self._adding = threading.Lock()
        self._writing = threading.Lock()
        self._timed = False
        self._failed = False

    def last_flush(self) -> None:
        """Write what waits before the process ends; say so if that is not possible."""
        try:
            self.flush()
        except Exception as error:
            why = str(error).partition("\n")[0]
            sys.stderr.write(
                f"The last {len(self._waiting)} events could not be written to the history: {why}\n"
            )


_all: weakref.WeakSet[EventBatches] = weakref.WeakSet()


def _at_exit() -> None:
    for each in list(_all):
        each.last_flush()


def _forked() -> None:
    for each in list(_all):
        each.forked()


atexit.register(_at_exit)
os.register_at_fork(after_in_child=_forked)
