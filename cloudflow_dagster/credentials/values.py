"""Which secret values have passed through this process, so that they can be hidden."""

from __future__ import annotations

import threading
from collections.abc import Callable

OnValue = Callable[[str], None]
"""Is told every secret value before anybody else sees it. May be told the same one again."""


class SecretValues:
    """Collects secret values and tells them to whoever hides them.

    A listener that comes late is told what was seen before it came: a login that is made once for
    many runs must be hidden from the logs of all of them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[str, None] = {}
        self._listeners: list[OnValue] = []

    def add(self, value: str | None) -> None:
        """Tell all listeners of a value. Empty ones are nothing to hide."""
        if not value:
            return
        with self._lock:
            if value in self._seen:
                return
            self._seen[value] = None
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener(value)

    def listen(self, on_value: OnValue) -> Callable[[], None]:
        """Tell a listener all values, past and to come.

        Returns:
            A function that ends it; calling it twice does no harm.
        """
        with self._lock:
            self._listeners.append(on_value)
            seen = tuple(self._seen)
        for value in seen:
            on_value(value)

        def end() -> None:
            with self._lock:
                if on_value in self._listeners:
                    self._listeners.remove(on_value)

        return end
