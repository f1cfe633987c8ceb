"""Runs the coroutines of asynchronous handlers on one event loop, in a thread of its own."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import wait
from typing import Any, TypeVar

_LOOK = 0.1
"""Seconds after which it is looked whether a coroutine is still wanted."""

T = TypeVar("T")


class _Loop:
    """The loop of this process, started when it is first asked for."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Know of none: a forked process has no threads but the one that forked it."""
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def get(self) -> asyncio.AbstractEventLoop:
        """Return it."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                run = self._loop.run_forever
                threading.Thread(target=run, name="asynchronous handlers", daemon=True).start()
            return self._loop


_loop = _Loop()
os.register_at_fork(after_in_child=_loop.forget)


def complete(
    coroutine: Coroutine[Any, Any, T], unwanted: Callable[[], Exception | None], grace: float
) -> T:
    """Run a coroutine to its end, in the caller's context, and return its result.

    Args:
        coroutine: Must not block; all of the process's wait for it then.
        unwanted: Is asked again and again; what it returns ends the coroutine, and is raised.
        grace: Seconds that a coroutine has to clean up when it is ended.
    """
    ended = threading.Event()

    async def whole() -> T:
        try:
            return await coroutine
        finally:
            ended.set()

    future = asyncio.run_coroutine_threadsafe(whole(), _loop.get())
    while not wait([future], timeout=_LOOK).done:
        reason = unwanted()
        if reason is not None:
            future.cancel()
            ended.wait(grace)
            raise reason
    return future.result()
