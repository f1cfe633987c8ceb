"""What the threads of a run share: its stop signal, its clock, and where they wait for long."""

from __future__ import annotations

import threading

from cloudflow_dagster.runtime.clock import RunClock
from cloudflow_dagster.runtime.parking import Parking

_lock = threading.Lock()
_events: dict[str, threading.Event] = {}
_children: dict[str, set[str]] = {}
_clocks: dict[str, RunClock] = {}
_parkings: dict[str, Parking] = {}


def stop_event(run_id: str) -> threading.Event:
    """Return the event that is set when the run shall stop; the same for every caller."""
    with _lock:
        return _events.setdefault(run_id, threading.Event())


def clock_of(run_id: str) -> RunClock:
    """Return the clock of the run; the same for every caller."""
    with _lock:
        return _clocks.setdefault(run_id, RunClock())


def parking_of(run_id: str) -> Parking:
    """Return where the run's threads wait for long; the same for every caller."""
    with _lock:
        return _parkings.setdefault(run_id, Parking())


def link(parent: str, child: str) -> None:
    """Stop the child whenever the parent is stopped, also if that was already."""
    with _lock:
        _children.setdefault(parent, set()).add(child)
        stopped = parent in _events and _events[parent].is_set()
    if stopped:
        stop(child)


def stop(run_id: str) -> None:
    """Tell the run and its children to stop."""
    stop_event(run_id).set()
    with _lock:
        children = list(_children.get(run_id, ()))
    for child in children:
        stop(child)


def forget(run_id: str) -> None:
    """Drop what is known of a run that has ended."""
    with _lock:
        _events.pop(run_id, None)
        _children.pop(run_id, None)
        _clocks.pop(run_id, None)
        _parkings.pop(run_id, None)
        for children in _children.values():
            children.discard(run_id)
