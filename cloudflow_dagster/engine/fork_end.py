"""How a process ends that was forked: as an interpreter of its own would, and nowhere else.

`sys.exit` would go on in the frames of its parent, which it has a copy of.
"""

from __future__ import annotations

import atexit
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn


def end_after(body: Callable[[], None]) -> NoReturn:
    """Do something, then what was asked for to be done at the end (`atexit`), and end.

    Args:
        body: `SystemExit` gives the exit status; any other exception is printed and gives 1.
    """
    status = 1
    try:
        body()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
    except BaseException:  # it must not get into its parent's frames
        traceback.print_exc()
    finally:
        with suppress(Exception):
            atexit._run_exitfuncs()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - there is no public way
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)
