"""The warm process: has Dagster loaded and nothing of the user's; all others are forked from it.

    zygote ── location ── worker      a location has the code of one code location loaded, as its
        │         │   └── worker      files are now; its workers execute runs
        │         └────── reporter    tells the run's history that a worker has died
        ├──── location …
        └──── worker                  of code that cannot be forked from: it loads it itself

What launches a run says so through a socket in the instance's folder, and is answered at once. From
then on the run's note (`notes.py`) says who is responsible for it. Whoever ends by accident, those
that it forked go on. When the process ends that this one belongs to, it takes no more runs, and
ends when those that go on have ended.

Usage: `python -m cloudflow_dagster.engine.warm.zygote --home FOLDER`.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from cloudflow_dagster.engine.warm.meeting import Meeting
from cloudflow_dagster.engine.warm.wire import Channel, Message, pair

if TYPE_CHECKING:
    from cloudflow_dagster.engine.warm.sources import Stamp

_LOOK = 1.0
"""Seconds between two looks for runs whose worker is gone."""
_AGAIN = 10.0
"""Seconds after which such a run is reported once more, if it still is one."""
_USED = (
    "cloudflow_dagster.engine.warm.location",
    "cloudflow_dagster.engine.warm.dead",
    "cloudflow_dagster.engine.definitions",
    # What is imported when it is first used: in a worker it would be imported in each.
    "idna",
    "jsonschema.validators",
    "referencing.jsonschema",
    "rfc3339_validator",
)
_PR_SET_CHILD_SUBREAPER = 36


@dataclass
class _Location:
    """A process with code loaded.

    Attributes:
        pid: Its id.
        channel: To it.
        pending: What it has been sent and has not given to a worker yet, by run.
    """

    pid: int
    channel: Channel
    pending: dict[str, Message] = field(default_factory=dict[str, Message])


@dataclass(frozen=True)
class _Cold:
    """Code that cannot be forked from, as it was when that was found out."""

    why: str
    sources: Mapping[str, Stamp]


class Zygote:
    """See the module.

    Args:
        home: The instance's folder.
        meeting: Where launchers find this process.
        listening: The socket to take launches from.
        owner: Is readable when the process has ended that this one belongs to.
        interrupts: Whether the runs are interrupted when this process is told to stop.
    """

    def __init__(
        self,
        home: Path,
        meeting: Meeting,
        listening: socket.socket,
        owner: IO[bytes] | None,
        *,
        interrupts: bool,
    ) -> None:
        # Here, when the socket is there already: it takes two seconds.
        from cloudflow_dagster.engine.warm.loop import Loop  # noqa: PLC0415
        from cloudflow_dagster.engine.warm.notes import Notes  # noqa: PLC0415

        self._home = home
        self._notes = Notes(home)
        self._meeting = meeting
        self._listening = listening
        self._owner = owner
        self._interrupts = interrupts
        self._locations: dict[str, _Location] = {}
        self._old: dict[int, _Location] = {}
        self._cold: dict[str, _Cold] = {}
        self._workers: dict[int, Message] = {}
        self._looked_at = 0.0
        self._gone: set[str] = set()
        self._reported: dict[str, float] = {}
        self._interrupter: int | None = None
        self.retired = False
        self._loop = Loop(ended=self._ended, told_to_stop=self._stop)
        self._loop.watch(listening, self._accept)
        if owner is not None:
            self._loop.watch(owner, self.retire)

    def live(self, prepare: Message | None = None) -> None:
        """Serve until there is nothing left to do.

        Args:
            prepare: Code to load before the first run of it comes.
        """
        if prepare:
            self._location(prepare)
        while not self.retired or self._old or self._workers or self._interrupter:
            self._loop.turn(_LOOK)
            if not self._home.exists():
                return
            self._look_for_dead()

    def retire(self) -> None:
        """Take no more runs."""
        if self.retired:
            return
        self.retired = True
        for sock in (self._listening, self._owner):
            if sock is not None:
                self._loop.forget(sock)
        self._listening.close()
        self._meeting.leave()
        for pointer in list(self._locations):
            self._dismiss(pointer)

    def _stop(self) -> None:
        self.retire()
        if self._interrupts and self._interrupter is None:
            from cloudflow_dagster.engine.warm.interrupt import interrupt_all  # noqa: PLC0415

            self._interrupter = self._loop.fork(lambda: interrupt_all(self._home))

    def _accept(self) -> None:
        client, _ = self._listening.accept()
        client.settimeout(_LOOK)
        channel = Channel(client)

        def hear() -> None:
            messages = channel.receive()
            for message in messages or ():
                channel.send(self._answer(message))
            if messages is None:
                self._loop.forget(client)
                channel.close()

        self._loop.watch(client, hear)

    def _answer(self, message: Message) -> Message:
        """Become responsible for a run."""
        if "run_id" not in message:
            return {"pid": os.getpid()}
        self._notes.remember_instance(message["instance"])
        self._notes.accept(message["run_id"])
        self._dispatch(message)
        return {"accepted": message["run_id"]}

    def _dispatch(self, message: Message) -> None:
        from cloudflow_dagster.engine.warm.sources import changed  # noqa: PLC0415

        cold = self._cold.get(message["pointer"])
        if cold and not changed(cold.sources):
            self._work_cold(message)
            return
        self._cold.pop(message["pointer"], None)
        location = self._location(message)
        location.pending[message["run_id"]] = message
        location.channel.send(message)

    def _location(self, message: Message) -> _Location:
        """Return the process that has a run's code loaded, or is about to."""
        pointer = message["pointer"]
        found = self._locations.get(pointer)
        if found:
            return found
        ours, theirs = pair()

        def body() -> None:
            from cloudflow_dagster.engine.warm.location import Location  # noqa: PLC0415

            ours.close()
            Location(theirs, self._home, pointer).live(message)

        made = _Location(self._loop.fork(body), ours)
        theirs.close()
        self._locations[pointer] = made
        self._old[made.pid] = made
        self._loop.watch(ours.sock, lambda: self._hear(pointer, made))
        return made

    def _hear(self, pointer: str, location: _Location) -> None:
        messages = location.channel.receive()
        if messages is None:
            self._lose(pointer, location)
            return
        for message in messages:
            if "given" in message:
                location.pending.pop(message["given"], None)
            elif "stale" in message:
                self._replace(pointer, location)
            elif "cold" in message:
                sources = {k: tuple(v) if v else None for k, v in message["sources"].items()}
                self._cold[pointer] = _Cold(message["cold"], cast("Any", sources))
                sys.stderr.write(f"Runs load their code themselves: {message['cold']}.\n")
                self._replace(pointer, location)

    def _replace(self, pointer: str, location: _Location) -> None:
        """Give what a location has not given to a worker to whoever is right now."""
        pending, location.pending = location.pending, {}
        if self._locations.get(pointer) is location:
            self._dismiss(pointer)
        for message in pending.values():
            self._dispatch(message)

    def _lose(self, pointer: str, location: _Location) -> None:
        """A location has ended, or is about to: it has crashed, or was told to."""
        self._loop.forget(location.channel.sock)
        location.channel.close()
        if self._locations.get(pointer) is location:
            del self._locations[pointer]
        # A worker of its own for each: if it is their code that ends the process, that is told.
        for message in location.pending.values():
            self._work_cold(message)
        location.pending = {}

    def _dismiss(self, pointer: str) -> None:
        """Let a location end when its workers are done."""
        location = self._locations.pop(pointer)
        self._loop.forget(location.channel.sock)
        location.channel.close()

    def _work_cold(self, message: Message) -> None:
        def body() -> None:
            from cloudflow_dagster.engine.warm.location import work_cold  # noqa: PLC0415

            work_cold(self._home, message)

        self._workers[self._loop.fork(body)] = message

    def _ended(self, pid: int, how: str) -> None:
        self._old.pop(pid, None)
        if pid == self._interrupter:
            self._interrupter = None
        message = self._workers.pop(pid, None)
        if message is not None:
            sys.stderr.write(f"The worker of run {message['run_id']} {how}.\n")
            self._notes.end(message["run_id"], how)
            self._report(message["run_id"])

    def _look_for_dead(self) -> None:
        """Report the runs whose worker, and whoever watched it, is gone."""
        now = time.monotonic()
        if now < self._looked_at + _LOOK:
            return
        self._looked_at = now
        gone = {note.run_id for note in self._notes.all() if note.gone}
        # Whoever forked it goes first.
        for run_id in gone & self._gone:
            if now - self._reported.get(run_id, -_AGAIN) >= _AGAIN:
                self._report(run_id)
        self._gone = gone
        self._reported = {id: at for id, at in self._reported.items() if now - at < _AGAIN}

    def _report(self, run_id: str) -> None:
        self._reported[run_id] = time.monotonic()
        instance = self._notes.instance()
        if instance is None:
            return

        def body() -> None:
            from cloudflow_dagster.engine.warm.dead import report_from  # noqa: PLC0415

            report_from(instance, run_id)

        self._loop.fork(body)


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m cloudflow_dagster.engine.warm.zygote")
    parser.add_argument("--home", type=Path, required=True, help="the instance's folder")
    parser.add_argument("--owned", action="store_true", help="retire when standard input is closed")
    parser.add_argument(
        "--interrupts", action="store_true", help="interrupt the runs when told to stop (SIGTERM)"
    )
    parser.add_argument("--module", help="a code location to load before the first run of it")
    given = parser.parse_args()
    meeting = Meeting(given.home, sys.executable)
    listening = meeting.host()
    if listening is None:
        return
    # What its locations leave behind comes to this process.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    _load()
    owner = sys.stdin.buffer if given.owned else None
    zygote = Zygote(given.home, meeting, listening, owner, interrupts=given.interrupts)
    zygote.live(_first(given.home, given.module) if given.module else None)


def _load() -> None:
    """Load what runs need, before anything is forked."""
    for module in _USED:
        import_module(module)
    rehearsal = import_module("cloudflow_dagster.engine.warm.rehearsal")
    rehearsal.rehearse()


def _first(home: Path, module: str) -> Message:
    """Return the message for a code location of ours in the current directory."""
    from dagster._core.code_pointer import ModuleCodePointer  # noqa: PLC0415 - as above
    from dagster._core.instance.ref import InstanceRef  # noqa: PLC0415 - as above
    from dagster._serdes import serialize_value  # noqa: PLC0415 - as above

    from cloudflow_dagster.engine.origins import LOCATION  # noqa: PLC0415 - as above

    pointer = ModuleCodePointer(module, "repository", str(Path.cwd()))
    return {
        "pointer": serialize_value(cast("Any", pointer)),
        "instance": serialize_value(InstanceRef.from_dir(str(home))),
        "location_name": LOCATION,
    }


if __name__ == "__main__":
    main()
