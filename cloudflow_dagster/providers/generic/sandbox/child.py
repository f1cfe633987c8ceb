"""The process in which the code of a flow runs.

Started as `python -I child.py FOLDER RESULT`, it reads `{code, inputs, megabytes, seconds}` from
standard input and writes one JSON object to the file descriptor RESULT: `{"value"}` or `{"error"}`,
and `open_to`: what this machine cannot take away. It imports the standard library alone.
"""

from __future__ import annotations

import json
import linecache
import os
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

CODE = "<code>"
"""The name of the code in tracebacks."""
_LONGEST_MESSAGE = 2000


def main() -> None:
    """Do what standard input says."""
    folder, result = Path(sys.argv[1]), int(sys.argv[2])
    os.set_inheritable(result, False)  # noqa: FBT003 - the standard library's signature
    request = json.loads(sys.stdin.buffer.read())
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    open_to = _confine(folder, request["megabytes"], request["seconds"])
    answer = {**_answer(request["code"], request["inputs"]), "open_to": open_to}
    sys.stdout.flush()
    sys.stderr.flush()
    with os.fdopen(result, "wb") as pipe:
        pipe.write(_encoded(answer))
    os._exit(0)  # threads that the code left behind are not waited for


def _confine(folder: Path, megabytes: int, seconds: float) -> list[str]:
    sys.path.insert(0, str(Path(__file__).parent))
    import confine  # noqa: PLC0415 - found only while the path is changed

    sys.path.pop(0)
    confine.limit(megabytes, seconds)
    return confine.confine(folder)


def _answer(code: str, inputs: Any) -> dict[str, Any]:
    lines = code.splitlines(keepends=True)
    linecache.cache[CODE] = (len(code), None, lines, CODE)  # tracebacks show the lines
    try:
        names: dict[str, Any] = {"__name__": "cloudflow_code"}
        exec(compile(code, CODE, "exec"), names)  # noqa: S102 - the purpose of this process
        return {"value": names["main"](inputs)}
    except BaseException as error:
        traceback.print_exception(type(error), error, _own(error.__traceback__))
        return {"error": _described(error)}


def _own(trace: TracebackType | None) -> TracebackType | None:
    """Return the part of a traceback that begins in the code."""
    while trace is not None and trace.tb_frame.f_code.co_filename != CODE:
        trace = trace.tb_next
    return trace


def _described(error: BaseException) -> str:
    """Say where in the code it went wrong, and what."""
    name = type(error).__name__
    text = f"{name}: {error}" if str(error) else name
    text = text[:_LONGEST_MESSAGE]
    if isinstance(error, SyntaxError) and error.filename == CODE:
        return f"line {error.lineno}: {name}: {error.msg}"
    if isinstance(error, KeyError) and error.__traceback__ and not _own(error.__traceback__):
        return "There is no function `main(inputs)`."
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == CODE]
    if not frames:
        return text
    where = "" if frames[-1].name == "<module>" else f"{frames[-1].name}, "
    return f"{where}line {frames[-1].lineno}: {text}"


def _encoded(answer: dict[str, Any]) -> bytes:
    try:
        return json.dumps(answer, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError, MemoryError) as error:
        reason = str(error) or type(error).__name__
        text = f"`main` returned something that is not JSON: {reason[:_LONGEST_MESSAGE]}."
        return json.dumps({"error": text, "open_to": answer["open_to"]}).encode()


if __name__ == "__main__":
    main()
