"""Starts a simulated cloud with its estate, or uses the one that runs."""

from __future__ import annotations

import importlib.util
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from cloudflow_dagster.simulator.discover import ENVIRONMENT_VARIABLE, discover
from cloudflow_dagster.simulator.server import SimulatedAws


class SimulatorMissingError(Exception):
    """The packages of the simulated cloud are not installed."""


_PACKAGES = ("moto", "werkzeug", "flask")
"""Those of the extra that are looked for before anything is started."""


class HasState(Protocol):
    """A project, as far as this room knows it."""

    @property
    def state(self) -> Path:
        """The folder of what the project leaves behind."""
        ...


def check_installed() -> None:
    """Look whether the simulated cloud can be started at all; importing nothing of it.

    Raises:
        SimulatorMissingError: The extra `simulator` is not installed.
    """
    for package in _PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise _missing(package)


def _missing(package: str | None) -> SimulatorMissingError:
    return SimulatorMissingError(
        f"The simulated cloud needs a package that is not installed ({package}): "
        "`pip install 'cloudflow-dagster[simulator]'`."
    )


def start_simulated_aws(
    port: int = 0, *, seeded: bool = True, listener: socket.socket | None = None
) -> SimulatedAws:
    """Start a simulated AWS cloud in this process.

    Args:
        port: 0 for any free one.
        seeded: Whether to fill it with the estate.
        listener: A socket that listens already, instead of a port; nobody who connects to it is
            answered before the cloud is filled.

    Raises:
        OSError: The port is taken.
        SimulatorMissingError: The extra `simulator` is not installed.
    """
    from cloudflow_dagster.simulator.seed import seed  # noqa: PLC0415 - costs 20 ms

    try:
        cloud = SimulatedAws(0 if listener else port)
    except ImportError as error:
        raise _missing(error.name) from None
    try:
        if seeded:
            seed(cloud.endpoint)
        # One of the same estate; it is there before the first one stops, so the estate stays.
        found = SimulatedAws(listener=listener) if listener else cloud
    except BaseException:
        cloud.stop()
        raise
    if listener:
        cloud.stop()
    return found


@contextmanager
def simulated_aws(project: HasState) -> Generator[str]:
    """Give the endpoint of the project's running simulated cloud, or of one that ends with this.

    Everything in this process and those started from it finds it while this lasts.

    Raises:
        SimulatorMissingError: The extra `simulator` is not installed.
    """
    endpoint = discover(project.state)
    if endpoint is not None:
        yield endpoint
        return
    with start_simulated_aws() as cloud:
        os.environ[ENVIRONMENT_VARIABLE] = cloud.endpoint
        try:
            yield cloud.endpoint
        finally:
            del os.environ[ENVIRONMENT_VARIABLE]
