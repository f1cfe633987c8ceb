"""Makes moto start in two thirds of its time and in half of its memory.

Checked with moto 5.2.5 and botocore 1.44.5; `tests/integration/test_simulator_server.py` fails when
it has no effect any more. Without it everything works as well, only later.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

_OFFERINGS = "ec2/resources/instance_type_offerings/"


@cache
def hasten() -> Any:
    """Prepare this process for moto; must come before moto's EC2 is imported.

    - moto reads hundreds of machine images anew for each account and region, and then takes a
      second to list them. Its own `MOTO_AMIS_PATH` lets it take the few of the estate.
    - For each service moto makes a new loader of botocore's models, and looks for the service's
      regions by sessions that have loaders of their own; each reads the whole model once more. One
      loader does for all of them.
    - moto keeps which types of machines each region of AWS has (47 MB); here that is read when it
      is asked for.

    Returns:
        The loader of botocore's models, for whoever else needs them in this process; None if
        moto's is not where it was.
    """
    os.environ.setdefault("MOTO_AMIS_PATH", str(Path(__file__).with_name("images.json")))
    try:
        utilities: Any = importlib.import_module("moto.utilities.utils")
        utilities.load_resource = _without_offerings(utilities.load_resource)
        models: Any = importlib.import_module("moto.core.utils")
        sessions: Any = importlib.import_module("botocore.session")
        loader, of_sessions = models.create_loader(), sessions.create_loader
    except (ImportError, AttributeError):
        return None

    def of_session(path: str | None = None) -> Any:
        return of_sessions(path) if path else loader

    models.create_loader = lambda: loader
    sessions.create_loader = of_session
    return loader


class _Offerings:
    """The types of machines that a region has, read whenever somebody goes through them.

    But for the first time: that is moto itself, as it is imported, to write the kind into each.
    """

    def __init__(self, read: Callable[[str], Any], resource: str) -> None:
        self._read, self._resource = read, resource
        self._imported = False

    def __iter__(self) -> Iterator[dict[str, str]]:
        if not self._imported:
            self._imported = True
            return
        kind = Path(self._resource).parent.name
        for offering in self._read(self._resource):
            yield {**offering, "LocationType": kind}


def _without_offerings(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """Let moto's function that reads a file of its own not read those."""
    return lambda path: _Offerings(read, path) if path.startswith(_OFFERINGS) else read(path)
