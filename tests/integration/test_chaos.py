"""A few of the kills of `make chaos`, always the same ones: the cloud holds what it should."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration
KILLS = 4
SEED = 3
ROOT = Path(__file__).parents[2]


def test_killed_and_resumed_a_flow_makes_what_one_undisturbed_run_makes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.chaos", "--kills", str(KILLS), "--seed", str(SEED)]
    done = subprocess.run(
        [*command, "--folder", str(tmp_path / "chaos")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    assert f"\n{KILLS} kills in " in done.stdout, done.stdout
