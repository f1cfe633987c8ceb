"""Evaluates what might be expensive in processes with a memory limit, killed when time is up.

A few workers are kept; the first one starts with the first expression that needs it. Nothing is
shared with them but JSON over pipes, and what they answer is only ever read as JSON.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from cloudflow_dagster.expressions.engine import (
    STACK_LIMIT,
    TIME_LIMIT,
    error_from_text,
)
from cloudflow_dagster.expressions.errors import ExpressionError

MEMORY_LIMIT: Final = 256 * 1024 * 1024
"""Bytes that a worker may use in all."""
MAX_REQUEST: Final = 32_000_000
MAX_RESULT: Final = 12_000_000
"""Bytes of JSON that an expression may read, and give, in a worker."""
_SEQUENCE_LIMIT: Final = 1_000_000
_KEPT: Final = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_GRACE: Final = 0.4
"""Seconds beyond the time limit after which a worker that does not stop by itself is killed."""
_START_LIMIT: Final = 20.0
"""Seconds that a worker's process may take to start, on a machine that has much else to do."""
_WORKERS: Final = min(4, max(2, os.cpu_count() or 2))


class _Gone(Exception):  # noqa: N818 - the worker has ended; what that means depends on when
    """The worker has ended."""


def evaluate_apart(
    text: str,
    data: dict[str, Any],
    variables: tuple[str, ...],
    secret: Callable[[str], str] | None,
    offset: int,
) -> Any:
    """Evaluate JSONata in a worker. Safe to be called from any thread.

    Args:
        text: JSONata as `engine_text` gives it.
        data: The scope.
        variables: Names of the scope that are variables too.
        secret: Called in this process, in this thread, when the expression reads a secret.
        offset: For errors.

    Raises:
        ExpressionError: The evaluation failed or came to a limit.
        Exception: What `secret` raised.
    """
    try:
        request = json.dumps(
            {
                "text": text,
                "data": data,
                "variables": [name for name in variables if name in data],
                "time_limit": TIME_LIMIT,
                "stack_limit": STACK_LIMIT,
                "sequence_limit": _SEQUENCE_LIMIT,
            }
        ).encode()
    except (TypeError, ValueError, RecursionError):
        raise ExpressionError("A value that it reads is no JSON value.", offset) from None
    if len(request) > MAX_REQUEST:
        message = (
            f"This expression reads more than {MAX_REQUEST // 1_000_000} MB; only simple ones may."
        )
        raise ExpressionError(message, offset, "TooLarge")
    while True:
        with contextlib.suppress(_Gone), _POOL.worker() as worker:
            return worker.evaluate(request, secret, offset)


def _folder_of_engine() -> Path:
    spec = find_spec("jsonatapy")  # which does not load it: see engine.py
    if spec is None or spec.origin is None:
        raise ExpressionError("The package jsonatapy, which evaluates expressions, is missing.")
    return Path(spec.origin).resolve().parent.parent


def _environment() -> dict[str, str]:
    """A worker sees nothing of this process's environment, which may hold secrets."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {"PATH": os.defpath, "RUST_BACKTRACE": "0", "MALLOC_ARENA_MAX": "1", **kept}


class _Worker:
    def __init__(self) -> None:
        package = _folder_of_engine()
        script = Path(__file__).with_name("sandbox_worker.py")
        self.process = subprocess.Popen(  # noqa: S603 - our own script, no input in its arguments
            [sys.executable, "-I", "-S", str(script), str(package), str(MEMORY_LIMIT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=_environment(),
        )
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("a worker without pipes")
        self.input = self.process.stdin.fileno()
        self.output = self.process.stdout.fileno()
        self.settled = True
        """Whether it waits for a request."""
        self.fresh = True
        os.set_blocking(self.input, False)

    def evaluate(self, request: bytes, secret: Callable[[str], str] | None, offset: int) -> Any:
        self.settled = False
        try:
            self.wait_until_started()
            deadline = time.monotonic() + TIME_LIMIT + _GRACE
            self.send(request, deadline)
            while True:
                answer = self.receive(deadline, offset)
                if "secret" not in answer:
                    self.settled = "memory" not in answer
                    return _result(answer, offset)
                asked = time.monotonic()
                value = _secret(answer["secret"], secret, offset)
                deadline += time.monotonic() - asked
                self.send(json.dumps({"value": value}).encode(), deadline)
        except _Gone:
            if self.ended_by_itself():
                raise  # it was idle for long, just now
            raise _too_much_memory(offset) from None
        except TimeoutError:
            message = f"This expression took longer than {TIME_LIMIT:g} s."
            raise ExpressionError(message, offset, "Timeout") from None

    def wait_until_started(self) -> None:
        if self.fresh:
            self.receive(time.monotonic() + _START_LIMIT, 0)
            self.fresh = False

    def send(self, message: bytes, deadline: float) -> None:
        data = memoryview(struct.pack(">I", len(message)) + message)
        while data:
            self.wait(self.input, select.POLLOUT, deadline)
            try:
                data = data[os.write(self.input, data[: 1 << 16]) :]
            except BlockingIOError:
                continue
            except OSError:
                raise _Gone from None

    def receive(self, deadline: float, offset: int) -> dict[str, Any]:
        (length,) = struct.unpack(">I", self.read(4, deadline))
        if length > MAX_RESULT:
            message = f"The result is larger than {MAX_RESULT // 1_000_000} MB."
            raise ExpressionError(message, offset, "TooLarge")
        return json.loads(self.read(length, deadline))

    def read(self, length: int, deadline: float) -> bytes:
        parts: list[bytes] = []
        while length:
            self.wait(self.output, select.POLLIN, deadline)
            part = os.read(self.output, min(length, 1 << 20))
            if not part:
                raise _Gone
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

    def wait(self, file: int, event: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(file, event)
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            raise TimeoutError

    def ended_by_itself(self) -> bool:
        try:
            return self.process.wait(1) == 0
        except subprocess.TimeoutExpired:
            return False

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def stop(self) -> None:
        self.process.kill()
        self.close()
        self.process.wait()

    def close(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def _secret(name: object, secret: Callable[[str], str] | None, offset: int) -> str:
    if secret is None or not isinstance(name, str):
        raise ExpressionError("A secret cannot be read here.", offset, "Secret")
    return secret(name)


def _result(answer: dict[str, Any], offset: int) -> Any:
    if "error" in answer:
        raise error_from_text(str(answer["error"]), offset)
    if "memory" in answer:
        raise _too_much_memory(offset)
    return answer["result"]


def _too_much_memory(offset: int) -> ExpressionError:
    message = f"This expression needs more memory than it may use ({MEMORY_LIMIT >> 20} MB)."
    return ExpressionError(message, offset, "TooLarge")


def _start() -> _Worker:
    try:
        return _Worker()
    except OSError as error:
        message = f"The process that this expression needs cannot be started: {error}."
        raise ExpressionError(message) from None


class _Pool:
    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Start afresh: the workers belong to another process (the one that this forked from)."""
        for worker in getattr(self, "idle", ()):
            worker.close()
            worker.process.returncode = 0  # or Popen would complain about a child not its own
        self.idle: list[_Worker] = []
        self.lock = threading.Lock()
        self.free = threading.Semaphore(_WORKERS)

    @contextlib.contextmanager
    def worker(self) -> Generator[_Worker]:
        """Lend a worker to this thread; one whose evaluation ended halfway is not used again."""
        with self.free:
            worker = self.take()
            try:
                yield worker
            finally:
                self.give_back(worker)

    def take(self) -> _Worker:
        while True:
            with self.lock:
                worker = self.idle.pop() if self.idle else None
            if worker is None:
                return _start()
            if worker.alive:
                return worker
            worker.stop()

    def give_back(self, worker: _Worker) -> None:
        if worker.settled and worker.alive:
            with self.lock:
                self.idle.append(worker)
        else:
            worker.stop()

    def stop(self) -> None:
        with self.lock:
            idle, self.idle = self.idle, []
        for worker in idle:
            worker.stop()


_POOL = _Pool()
atexit.register(_POOL.stop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_POOL.forget)
