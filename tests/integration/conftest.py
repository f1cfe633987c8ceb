"""Servers that several integration tests share."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def separate_cloud() -> Iterator[str]:
    """Endpoint of a simulated cloud with its estate in a process of its own.

    Nothing that another test does to a simulated cloud in this process is seen in it.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "cloudflow_dagster.simulator", "--with-parent"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["simulated_aws"]
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()
