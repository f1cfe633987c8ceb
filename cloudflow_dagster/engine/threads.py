"""The threads in which the steps of a run are executed."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

Work = Callable[[], None]
Accepts = Callable[[logging.LogRecord], Any]


class Threads:
    """Threads that take one step after the other; as many as there are steps at the same time.

    They are daemons: a step that does not stop must not keep the process alive.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._work: queue.SimpleQueue[tuple[str, Work] | None] = queue.SimpleQueue()
        self._idle = 0
        self._closed = False

    def run(self, name: str, work: Work) -> None:
        """Execute something in a thread that has nothing to do, or in a new one.

        Args:
            name: Of the thread, while it does this.
            work: Must not raise.
        """
        with self._lock:
            found = self._idle > 0
            if found:
                self._idle -= 1
        if found:
            self._work.put((name, work))
        else:
            threading.Thread(target=self._serve, args=(name, work), daemon=True).start()

    def _serve(self, name: str, work: Work) -> None:
        while True:
            threading.current_thread().name = name
            work()
            with self._lock:
                if self._closed:
                    return
                self._idle += 1
            more = self._work.get()
            if more is None:
                return
            name, work = more

    def close(self) -> None:
        """Let the threads end when they have nothing to do any more."""
        with self._lock:
            self._closed = True
            for _ in range(self._idle):
                self._work.put(None)
            self._idle = 0


_own: ContextVar[object] = ContextVar("cloudflow_step_of_log")
"""Of which step's execution this is a part; not set where it is of none."""


@contextmanager
def own_log(log: logging.Logger, may_say: Accepts) -> Generator[None]:
    """Keep the log of the step in this context from what others log in theirs.

    Dagster lets each running step hear Python's loggers (`get_dagster_logger`, and those that the
    instance names). With steps side by side each of them would hear all. What comes from a
    thread that a step started itself cannot be told apart, unless it took the context along (as
    coroutines do): all that run hear it.

    Args:
        log: Of the step.
        may_say: Asked last of each record: whether it is to be kept.
    """
    mine = object()

    def only_mine(accepts: Accepts) -> Accepts:
        return lambda record: _own.get(mine) is mine and accepts(record) and may_say(record)

    token = _own.set(mine)
    for handler in log.handlers:
        # Dagster's handler has a `filter` of its own and asks none that are added to it.
        vars(handler)["filter"] = only_mine(handler.filter)
    try:
        yield
    finally:
        _own.reset(token)
