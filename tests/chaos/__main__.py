"""`python -m tests.chaos`: kills, resumes and compares, until so many kills are done."""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.trial import trial


def main() -> int:
    """Read the arguments, do it, say how it ended."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="how many (200)")
    parser.add_argument("--seed", type=int, help="what chance is made of; printed if not given")
    parser.add_argument("--folder", type=Path, help="an empty folder for the project; kept")
    given = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 32) if given.seed is None else given.seed
    folder = given.folder or Path(tempfile.mkdtemp(prefix="cloudflow-chaos-"))
    # What was started is ended too when this is told to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    print(f"{given.kills} kills with seed {seed} in {folder}", flush=True)
    report = trial(folder, kills=given.kills, seed=seed, say=lambda line: print(line, flush=True))
    print(f"\n{report} {time.monotonic() - began:.0f} s, seed {seed}, {folder}")
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
