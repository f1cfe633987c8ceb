"""What the threads of a run share: its stop signal, its clock, and where they wait for long.

Who interrupts a process may mean its run: Ctrl-C in the terminal cancels it. A process of a
deployment is told to stop with all of it; then its runs are *left*, to be gone on with later.
"""

from __future__ import annotations

import threading

from dagster._utils.interrupts import pop_captured_interrupt

from cloudflow_dagster.runtime.clock import RunClock
from cloudflow_dagster.runtime.parking import Parking

_lock = threading.Lock()
_events: dict[str, threading.Event] = {}
_children: dict[str, set[str]] = {}
_clocks: dict[str, RunClock] = {}
_parkings: dict[str, Parking] = {}
_left: set[str] = set()
_process = {"leaves runs": False, "told to stop": False}


def leave_runs_when_told_to_stop() -> None:
    """Let whoever tells this process to stop mean the deployment, and not the run."""
    _process["leaves runs"] = True


def leaves_runs() -> bool:
    """Return whether a run is left, and not canceled, when this process is told to stop."""
    return _process["leaves runs"]


def interrupted() -> bool:
    """Return whether this process was told to stop; says so once.

    It is said to the run that nobody in this process waits for, which tells its children. They are
    executed in other threads, and must not take the signal away from it.
    """
    if threading.current_thread() is not threading.main_thread() or not pop_captured_interrupt():
        return False
    _process["told to stop"] = True
    return True


def process_was_told_to_stop() -> bool:
    """Return whether a run of this process has seen that the process is to stop."""
    return _process["told to stop"]


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
        if parent in _left:
            _left.add(child)
    if stopped:
        stop(child)


def stop(run_id: str) -> None:
    """Tell the run and its children to stop."""
    stop_event(run_id).set()
    with _lock:
        children = list(_children.get(run_id, ()))
    for child in children:
        stop(child)


def leave(run_id: str) -> None:
    """Note that the run and its children are stopped to be gone on with later."""
    with _lock:
        _left.add(run_id)
        children = list(_children.get(run_id, ()))
    for child in children:
        leave(child)


def is_left(run_id: str) -> bool:
    """Return whether the run is stopped to be gone on with later."""
    with _lock:
        return run_id in _left


def forget(run_id: str) -> None:
    """Drop what is known of a run that has ended."""
    with _lock:
        _events.pop(run_id, None)
        _children.pop(run_id, None)
        _clocks.pop(run_id, None)
        _parkings.pop(run_id, None)
        _left.discard(run_id)
        for children in _children.values():
            children.discard(run_id)
