"""Tells those who watch a run of its new events, whichever process wrote them.

Dagster's own watchers wait for the system to report a change of the database's file, which a
write-ahead log delays until its next checkpoint, or look ever more seldom, up to every 16 s.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster._core.event_api import EventHandlerFn, EventLogCursor
from dagster._core.storage.event_log.base import EventLogConnection

_LOOK = 0.25
"""Seconds between two looks at the file."""
_PAGE = 1000
"""Events that are read at once."""
_ENDED = frozenset(
    {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}
)

Read = Callable[[str, str | None, int], EventLogConnection]
"""Reads events of a run after a cursor, so many at most."""


@dataclass(slots=True, eq=False)
class _Watch:
    run_id: str
    cursor: str | None
    tell: EventHandlerFn


class EventWatch:
    """Those who watch, and the thread that looks while there are any."""

    def __init__(self, version: Callable[[], int], read: Read) -> None:
        """Begin without watchers.

        Args:
            version: Returns a number that is another one after events were written.
            read: Reads events.
        """
        self._version = version
        self._read = read
        self._lock = threading.Lock()
        self._watches: list[_Watch] = []
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def add(self, run_id: str, cursor: str | None, tell: EventHandlerFn) -> None:
        """Tell somebody of the events of a run after a cursor."""
        with self._lock:
            self._watches.append(_Watch(run_id, cursor, tell))
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="watch events", daemon=True)
                self._thread.start()

    def remove(self, run_id: str, tell: EventHandlerFn) -> None:
        """Tell somebody no more."""
        with self._lock:
            self._watches = [w for w in self._watches if (w.run_id, w.tell) != (run_id, tell)]

    def close(self) -> None:
        """Tell nobody any more."""
        self._closed.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=15)

    def _look(self) -> None:
        seen: int | None = None
        known: set[int] = set()
        while not self._closed.is_set():
            with self._lock:
                watches = list(self._watches)
                if not watches:
                    self._thread = None
                    return
            try:
                version = self._version()
                for watch in watches:
                    if version != seen or id(watch) not in known:
                        self._tell(watch)
                seen, known = version, {id(watch) for watch in watches}
            except Exception:
                # The file may be busy or away for a moment; who watches is told later.
                logging.getLogger(__name__).debug("Cannot look for new events", exc_info=True)
            self._closed.wait(_LOOK)

    def _tell(self, watch: _Watch) -> None:
        while True:
            page = self._read(watch.run_id, watch.cursor, _PAGE)
            for record in page.records:
                watch.cursor = EventLogCursor.from_storage_id(record.storage_id).to_string()
                status: Any = None
                try:
                    status = watch.tell(record.event_log_entry, watch.cursor)
                except Exception:
                    logging.getLogger(__name__).exception(
                        "Who watches the run %s cannot take an event.", watch.run_id
                    )
                if status in _ENDED:
                    self.remove(watch.run_id, watch.tell)
                    return
            if not page.has_more:
                return
