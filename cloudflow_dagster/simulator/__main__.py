"""`python -m cloudflow_dagster.simulator`: a simulated cloud as a process of its own."""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from cloudflow_dagster.simulator.running import SimulatorMissingError, start_simulated_aws


def main() -> int:
    """Serve until told to stop; print `{"simulated_aws", "pid"}` on one line once it is filled."""
    parser = argparse.ArgumentParser(
        prog="python -m cloudflow_dagster.simulator", description="A simulated AWS cloud."
    )
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes any free one")
    parser.add_argument(
        "--state", type=Path, help="folder in which others find it (`simulated_aws.json`)"
    )
    parser.add_argument(
        "--socket",
        type=int,
        metavar="NUMBER",
        help="serve on this open socket, which listens already; who connects to it is answered "
        "once the cloud is filled",
    )
    parser.add_argument("--empty", action="store_true", help="without the estate")
    parser.add_argument(
        "--with-parent", action="store_true", help="end when the process that started it ends"
    )
    options = parser.parse_args()
    stop = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    parent = os.getppid()
    listener = None if options.socket is None else socket.socket(fileno=options.socket)
    try:
        cloud = start_simulated_aws(options.port, seeded=not options.empty, listener=listener)
    except (OSError, SimulatorMissingError) as error:
        sys.stderr.write(f"The simulated cloud did not start: {error}\n")
        return 2
    line = json.dumps({"simulated_aws": cloud.endpoint, "pid": os.getpid()})
    with cloud, _announced(options.state, line):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
        while not stop.wait(1 if options.with_parent else None):
            if os.getppid() != parent:
                break
    return 0


@contextmanager
def _announced(state: Path | None, line: str) -> Generator[None]:
    """Let others find it in the state folder as long as it runs."""
    if state is None:
        yield
        return
    state.mkdir(parents=True, exist_ok=True)
    file = state / "simulated_aws.json"
    # Never half-written for those who look for it.
    half = state / f"simulated_aws.{os.getpid()}"
    half.write_text(line)
    half.replace(file)
    try:
        yield
    finally:
        # Another one may have taken its place meanwhile.
        if file.exists() and file.read_text() == line:
            file.unlink()


if __name__ == "__main__":
    sys.exit(main())
