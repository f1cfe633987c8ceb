"""Evaluates JSONata in a process of its own, with a memory limit; started by `sandbox.py`.

Run as a script, with the folder of the engine's package as its argument, so that it starts fast and
imports nothing of this package. It reads requests from standard input and answers on standard
output; each message is its length in four bytes and JSON. It ends when its input ends, when it was
idle for a minute, and, should nobody stop it, some seconds after an evaluation got out of hand.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import struct
import sys
from typing import Any

IDLE_SECONDS = 60


def main() -> None:
    """Answer requests until there are no more."""
    sys.path.append(sys.argv[1])
    _limit_memory(int(sys.argv[2]))  # before the engine reserves address space as it pleases
    import jsonatapy  # noqa: PLC0415 - found only now

    output = os.dup(1)
    os.dup2(2, 1)  # nothing but answers may come out
    _send(output, {"ready": True})
    while True:
        ready, _, _ = select.select([0], [], [], IDLE_SECONDS)
        request = _receive() if ready else None
        if request is None:
            return
        signal.alarm(int(request["time_limit"]) + 5)
        try:
            answer = _evaluate(jsonatapy, request, output)
        except MemoryError:
            answer = {"memory": True}
        signal.alarm(0)
        _send(output, answer)


def _limit_memory(limit: int) -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource  # noqa: PLC0415 - does not exist everywhere

        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - no pathlib: speed
            used = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + limit, used + limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _evaluate(jsonatapy: Any, request: dict[str, Any], output: int) -> dict[str, Any]:
    def refuse(*_arguments: object) -> None:
        raise ValueError("T1006: `$eval` does not exist")

    def fetch(name: object, *_rest: object) -> str:
        _send(output, {"secret": name})
        answer = _receive()
        if answer is None or "value" not in answer:
            raise ValueError("no secret")
        return answer["value"]

    data = request["data"]
    try:
        expression = jsonatapy.compile(request["text"])
        expression.register_override("eval", refuse)
        expression.register("secret", fetch)
        result = expression.evaluate(
            data,
            {name: data[name] for name in request["variables"]},
            timeout=max(1, round(request["time_limit"] * 1000)),
            max_stack_depth=request["stack_limit"],
            max_sequence_length=request["sequence_limit"],
        )
    except MemoryError:
        raise
    except BaseException as error:
        if "pointer is null" in str(error):  # the engine could not make an object
            raise MemoryError from None
        return {"error": str(error)[:2000]}
    return {"result": result}


def _send(output: int, message: dict[str, Any]) -> None:
    data = json.dumps(message).encode()
    data = struct.pack(">I", len(data)) + data
    while data:
        data = data[os.write(output, data) :]


def _receive() -> dict[str, Any] | None:
    head = _read(4)
    body = _read(struct.unpack(">I", head)[0]) if head else None
    return json.loads(body) if body else None


def _read(length: int) -> bytes | None:
    parts: list[bytes] = []
    while length:
        part = os.read(0, min(length, 1 << 20))
        if not part:
            return None
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


if __name__ == "__main__":
    main()
