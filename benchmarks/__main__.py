"""Runs every benchmark, one after the other: `python -m benchmarks`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main() -> int:
    """Run each script in a process of its own, so that none warms up another."""
    worst = 0
    for script in sorted(Path(__file__).parent.glob("[!_]*.py")):
        print(f"== {script.stem}", flush=True)
        worst = max(
            worst,
            subprocess.run(
                [sys.executable, "-m", f"benchmarks.{script.stem}"], check=False
            ).returncode,
        )
    return worst


if __name__ == "__main__":
    sys.exit(main())
