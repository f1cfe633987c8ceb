"""A process with one code location loaded, from which the workers of its runs are forked.

It is forked itself from the zygote, which has Dagster and nothing of the user's, and lives as long
as the files that its definitions were made of stay as they are: then it says that it is stale, and
the zygote forks another.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
import traceback
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from dagster._core.code_pointer import CodePointer
from dagster._core.definitions.reconstruct import (
    reconstruct_repository_def_from_pointer,
)
from dagster._core.instance.ref import InstanceRef
from dagster._core.origin import JobPythonOrigin
from dagster._serdes import deserialize_value

from cloudflow_dagster.engine.warm.dead import report_from
from cloudflow_dagster.engine.warm.loop import Loop
from cloudflow_dagster.engine.warm.notes import Notes
from cloudflow_dagster.engine.warm.sources import Sources
from cloudflow_dagster.engine.warm.wire import Channel, Message, pair
from cloudflow_dagster.engine.warm.worker import Assignment, Worker

_AT_ONCE = 2 * (os.cpu_count() or 1)
"""Workers that are forked without hesitation: more at a time make nothing faster."""
_HESITATE = 0.1
"""Seconds between further forks: a worker that is done by then takes the run instead."""
_SPARE_AFTER = 0.05
"""Seconds after which a worker is forked for the next run, not to disturb this one's start."""
_KEPT = 2
"""Idle workers that are kept for good."""
_IDLE = 30.0
"""Seconds after which other idle workers end."""


@dataclass
class _Hand:
    """A worker."""

    pid: int
    channel: Channel
    busy_with: str | None = None
    instance: str = ""
    idle_since: float = 0.0


class Location:
    """See the module.

    Args:
        zygote: Where assignments come from.
        home: The instance's folder.
        pointer: Where the code is, as Dagster writes it down.
    """

    def __init__(self, zygote: Channel, home: Path, pointer: str) -> None:
        self._zygote = zygote
        self._home = home
        self._notes = Notes(home)
        self._pointer = _read_pointer(pointer)
        self._sources = Sources()
        self._jobs: set[str] = set()
        self._queue: deque[Message] = deque()
        self._idle: list[_Hand] = []
        self._busy: dict[int, _Hand] = {}
        self._retired = False
        self._forked_at = 0.0
        self._spare_at: float | None = None
        self._last: Message | None = None
        self._loop = Loop(ended=self._ended, told_to_stop=self._retire)

    def live(self, first: Message) -> None:
        """Load the code and fork workers until told to stop.

        Args:
            first: The message for which this process was made.
        """
        why = self._load(first)
        if why:
            self._zygote.send({"cold": why, "sources": self._sources.stamps})
            return
        self._loop.watch(self._zygote.sock, self._listen)
        self._spare_at = time.monotonic()
        self._last = first
        self._zygote.send({"ready": True})
        while not (self._retired and not self._queue and not self._busy):
            self._loop.turn(self._next_look())
            self._hand_out()
            self._care_for_idle()

    def _load(self, first: Message) -> str | None:
        """Load the code; return why runs must not be forked from here, if so."""
        _enter_folder_of(self._pointer)
        self._sources.add_looked_for()
        try:
            with self._sources.recorded():
                _fill_environment(first)
                self._repository = reconstruct_repository_def_from_pointer(self._pointer)
        except BaseException:
            # The worker meets the same, and tells it in the run's history.
            traceback.print_exc()
            return "the code could not be loaded"
        threads = [t.name for t in threading.enumerate() if t is not threading.main_thread()]
        if threads:
            return f"loading the code started threads ({', '.join(threads)})"
        _freeze()
        return None

    def _listen(self) -> None:
        messages = self._zygote.receive()
        if messages is None:
            # It is gone, or has retired this process: what was taken is done all the same.
            self._retire()
            return
        self._queue.extend(messages)
        self._see_whether_stale()

    def _see_whether_stale(self) -> None:
        if not self._queue or self._retired or not self._sources.changed:
            return
        # The zygote has kept them.
        self._queue.clear()
        self._zygote.send({"stale": True})
        self._retire()

    def _retire(self) -> None:
        self._retired = True
        self._spare_at = None
        self._loop.forget(self._zygote.sock)
        while self._idle:
            self._close(self._idle.pop())

    def _next_look(self) -> float | None:
        if self._queue:
            return _HESITATE
        if self._spare_at is not None:
            return max(0.0, self._spare_at - time.monotonic())
        return _IDLE if len(self._idle) > _KEPT else None

    def _hand_out(self) -> None:
        while self._queue:
            self._learn(self._queue[0])
            hand = self._free_hand()
            if hand is None:
                return
            message = self._queue.popleft()
            hand.busy_with = message["run_id"]
            hand.instance = message["instance"]
            self._last = message
            self._busy[hand.pid] = hand
            if not hand.channel.send(message):
                # It has just died, idle: another takes the run.
                hand.busy_with = None
                del self._busy[hand.pid]
                self._queue.appendleft(message)
                continue
            self._zygote.send({"given": message["run_id"]})
        if not self._idle and not self._retired and self._spare_at is None and self._busy:
            self._spare_at = time.monotonic() + _SPARE_AFTER

    def _free_hand(self) -> _Hand | None:
        if self._idle:
            return self._idle.pop()
        if len(self._busy) >= _AT_ONCE and time.monotonic() < self._forked_at + _HESITATE:
            return None
        return self._fork()

    def _learn(self, message: Message) -> None:
        """Load the definitions of a run's job, before the first worker does that needs it."""
        origin = message["origin"]
        if origin in self._jobs:
            return
        self._jobs.add(origin)
        with suppress(Exception), self._sources.recorded():  # as with the code
            name = deserialize_value(origin, JobPythonOrigin).job_name
            self._repository.get_job(name)
            _freeze()

    def _fork(self) -> _Hand:
        ours, theirs = pair()
        self._forked_at = time.monotonic()
        instance = self._last["instance"] if self._last else None

        def work() -> None:
            ours.close()
            Worker(self._home).serve(theirs, instance)

        pid = self._loop.fork(work)
        theirs.close()
        hand = _Hand(pid, ours, idle_since=self._forked_at)
        self._loop.watch(ours.sock, lambda: self._hear(hand))
        return hand

    def _hear(self, hand: _Hand) -> None:
        messages = hand.channel.receive()
        if messages is None:
            # It has ended; `_ended` says how.
            self._close(hand)
            return
        for message in messages:
            self._busy.pop(hand.pid, None)
            hand.busy_with = None
            if message["stays"] and not self._retired:
                hand.idle_since = time.monotonic()
                self._idle.append(hand)
            else:
                self._close(hand)

    def _close(self, hand: _Hand) -> None:
        self._loop.forget(hand.channel.sock)
        hand.channel.close()
        if hand in self._idle:
            self._idle.remove(hand)

    def _ended(self, pid: int, how: str) -> None:
        hand = self._busy.pop(pid, None)
        if hand is None:
            return
        self._close(hand)
        if hand.busy_with:
            run_id, instance = hand.busy_with, hand.instance
            sys.stderr.write(f"The worker of run {run_id} {how}.\n")
            self._notes.end(run_id, how)
            self._loop.fork(lambda: report_from(instance, run_id))

    def _care_for_idle(self) -> None:
        now = time.monotonic()
        if self._spare_at is not None and now >= self._spare_at and not self._queue:
            self._spare_at = None
            if not self._idle:
                self._idle.append(self._fork())
        if len(self._idle) > _KEPT and now - self._idle[0].idle_since > _IDLE:
            self._close(self._idle[0])


def work_cold(home: Path, message: Message) -> None:
    """Execute one run in this process, which has nothing of its code loaded yet."""
    _enter_folder_of(_read_pointer(message["pointer"]))
    worker = Worker(home, inject_environment=True)
    worker.execute(Assignment.of(message))
    worker.close()


def _read_pointer(written: str) -> CodePointer:
    # Dagster's type for reading wants one class, and a pointer is of several.
    return cast("Any", deserialize_value)(written, CodePointer)


def _enter_folder_of(pointer: CodePointer) -> None:
    """Work, and look for modules, where the code location does."""
    folder: str | None = getattr(pointer, "working_directory", None)
    with suppress(OSError):
        os.chdir(folder or Path.cwd())
    sys.path.insert(0, str(Path.cwd()))


def _fill_environment(message: Message) -> None:
    """Add what the instance's settings add to the environment (`.env`), before code reads it."""
    loader: Any = deserialize_value(message["instance"], InstanceRef).secrets_loader
    if loader is not None:
        os.environ.update(loader.get_secrets_for_environment(message.get("location_name")))


def _freeze() -> None:
    """Keep the collector of the children from touching, and so copying, what is loaded here."""
    gc.collect()
    gc.freeze()
