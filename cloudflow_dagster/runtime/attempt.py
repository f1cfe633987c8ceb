"""One attempt of a step's work: evaluate the config, call the handler, keep the time."""

from __future__ import annotations

import contextvars
import threading
import time
import traceback
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.call import CallLog
from cloudflow_dagster.nodes.errors import Canceled, NodeError
from cloudflow_dagster.nodes.spec import Behaviour, Chosen
from cloudflow_dagster.nodes.waits import Wait
from cloudflow_dagster.plan import Step
from cloudflow_dagster.runtime.bind import Binding, fresh
from cloudflow_dagster.runtime.coroutines import complete
from cloudflow_dagster.runtime.frame import Frame
from cloudflow_dagster.runtime.incoming import Incoming
from cloudflow_dagster.runtime.intents import CallKey
from cloudflow_dagster.runtime.once import Once, Progress, progress_of
from cloudflow_dagster.runtime.records import RecordsError
from cloudflow_dagster.runtime.redaction import Redactor
from cloudflow_dagster.runtime.run import ChildCall, ChildRuns, ChildWaits
from cloudflow_dagster.runtime.scope import scope_of
from cloudflow_dagster.runtime.waiting import wait_for
from cloudflow_dagster.runtime.waits import WaitKey

GRACE = 0.5
"""Seconds after the deadline in which a handler may still say itself what ran out of time."""
STOP_GRACE = 5.0
"""Seconds that a handler has to end after the run was told to stop."""
_LOOK = 0.1

T = TypeVar("T")


class RedactedLog:
    """A step's log without secrets; lines of body steps say which step and item they are of."""

    def __init__(self, log: CallLog, redactor: Redactor, prefix: str = "") -> None:
        self._log = log
        self._redactor = redactor
        self._prefix = prefix
        self.silent = False
        """Whether nothing is written any more: the attempt was given up."""

    def debug(self, message: str) -> None:
        """Write what only helps to find an error."""
        self._write(self._log.debug, message)

    def info(self, message: str) -> None:
        """Write what was done."""
        self._write(self._log.info, message)

    def warning(self, message: str) -> None:
        """Write what went wrong but did not stop the work."""
        self._write(self._log.warning, message)

    def fork(self) -> RedactedLog:
        """Return a log that writes to the same place and can be silenced by itself."""
        return RedactedLog(self._log, self._redactor, self._prefix)

    def _write(self, write: Callable[[str], None], message: str) -> None:
        if not self.silent:
            write(self._prefix + self._redactor.text(message))


def log_of(frame: Frame, step: Step, log: CallLog) -> RedactedLog:
    """Return the log of a step that is executed in a frame."""
    items = ", ".join(str(index) for index in frame.indices)
    return RedactedLog(log, frame.run.redactor, f"{step.id}[{items}]: " if items else "")


class StepCall:
    """The surroundings of one attempt; see `nodes.call.Call`."""

    token: str
    files: Path
    repeated: bool = False

    def __init__(
        self,
        frame: Frame,
        step: Step,
        came_in: Incoming,
        log: CallLog,
        *,
        region: str | None,
        deadline: float | None,
        round_: int,
    ) -> None:
        self._frame = frame
        self._step = step
        self._came_in = came_in
        self.node = step.id
        self.log = log
        self.deadline = deadline
        self.region = region
        self.settings = frame.run.project.settings
        self._round = round_

    def __getattr__(self, name: str) -> Any:
        """Make what only few handlers ask for."""
        match name:
            case "token":
                self.token = token_of(self._frame, self._step, self._round)
                return self.token
            case "files":
                folder = self._frame.run.files
                folder.mkdir(parents=True, exist_ok=True)
                self.files = folder
                return folder
            case _:
                raise AttributeError(name)

    @cached_property
    def input(self) -> Json:
        """What came into the node, read only if the handler asks for it."""
        return fresh(self._came_in.value)

    def login(self, provider: str) -> Any:
        """Return the provider's login of this node."""
        return self._frame.run.project.credentials.login(
            self._step.credential, provider, self.region
        )

    def hide(self, secret: str) -> None:
        """Keep a value out of logs and stored outputs."""
        self._frame.run.redactor.add(secret)

    def redact(self, text: str) -> str:
        """Return a text without secrets."""
        return self._frame.run.redactor.text(text)

    def redact_stream(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the bytes of a stream without secrets."""
        return self._frame.run.redactor.stream(chunks)

    def sleep(self, seconds: float) -> None:
        """Wait, but no longer than the run goes on."""
        self.remaining(0)
        wait = seconds
        if self.deadline is not None:
            wait = min(seconds, self.deadline - time.monotonic())
        run, ends = self._frame.run, time.monotonic() + wait
        if self._step.behaviour is Behaviour.WAIT:
            # Others may wait for longer; the run is not suspended while this one is about to end.
            run.parking.stand(
                lambda: time.monotonic() >= ends, time.time() + max(0.0, wait), run.stop
            )
        if run.stop.wait(max(0.0, ends - time.monotonic())):
            raise Canceled
        if wait < seconds:
            self.remaining(0)

    def wait_for(self, wait: Wait) -> Json:
        """Wait, for longer than the process is there if need be; return what was answered."""
        return self._wait(wait, None)

    def _wait(self, wait: Wait, over: Callable[[], bool] | None) -> Json:
        left = None if self.deadline is None else self.deadline - time.monotonic()
        frame = self._frame
        return wait_for(
            frame.run,
            wait_key(frame, self._step, self._round),
            wait,
            self.log,
            expires=None if left is None else time.time() + left,
            over=over,
        )

    def remaining(self, at_most: float) -> float:
        """Return the seconds until the deadline, at most so many."""
        if self._frame.run.stop.is_set():
            raise Canceled
        if self.deadline is None:
            return at_most
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise out_of_time(self._step)
        return min(left, at_most)

    def complete(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the process's one event loop and return its result."""
        return complete(coroutine, self._unwanted, STOP_GRACE)

    def _unwanted(self) -> Exception | None:
        try:
            self.remaining(0)
        except (Canceled, NodeError) as reason:
            return reason
        return None

    def run_flow(self, flow: str, params: Json, max_depth: int | None) -> Json:
        """Run another flow as a child run and return its result."""
        run = self._frame.run
        if run.children is None:
            raise NodeError("NoChildRuns", "Other flows cannot be run here.", transient=False)
        call = ChildCall(flow, params, max_depth, self.token)
        child = None
        if self.repeated:
            child = run.children.begun(call.token)
            if run.waits is not None:
                # What an earlier process waited for here. It is waited for again if need be.
                run.waits.end(wait_key(self._frame, self._step, self._round))
        while True:
            try:
                if child is None:
                    return run.children.run_flow(call, run, log=self.log)
                return run.children.go_on(call, child, run, log=self.log)
            except ChildWaits as waits:
                child = waits.run
                self._wait_for_child(run.children, child)

    def _wait_for_child(self, children: ChildRuns, child: str) -> None:
        """Wait for a child run that another process goes on with, or will."""
        try:
            with self._frame.run.clock.paused():
                self._wait(Wait(way="run", run=child), lambda: children.has_ended(child))
        except (Canceled, NodeError):
            children.cancel(child)
            raise


def token_of(frame: Frame, step: Step, round_: int) -> str:
    """Return a call's idempotency token: the same however often this very call is repeated."""
    root = frame.run.records.token_run(frame.run.owner(step))
    return CallKey(root, step.id, frame.indices, round_).token


def wait_key(frame: Frame, step: Step, round_: int) -> WaitKey:
    """Return the key of a step's wait: the same in a run that goes on where this one stopped."""
    root = frame.run.records.token_run(frame.run.owner(step))
    return WaitKey.of(root, step.id, frame.indices, round_)


def out_of_time(step: Step) -> NodeError:
    """Return the error of an attempt that ran out of its time."""
    limit = f" of {step.timeout:g} s" if step.timeout else ""
    return NodeError("Timeout", f"The attempt ran out of its time{limit}.", unsure=True)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one attempt works with.

    Attributes:
        frame: Where the step is executed.
        step: The step.
        came_in: What came into it.
        log: Its log.
        calls: How far the call of the latest round is: the last entry.
    """

    frame: Frame
    step: Step
    came_in: Incoming
    log: RedactedLog
    calls: list[Progress] = field(default_factory=list[Progress])

    @property
    def progress(self) -> Progress:
        """How far the call of the latest round is."""
        return self.calls[-1] if self.calls else Progress()

    @property
    def binding(self) -> Binding:
        """The step's config, read once for the run."""
        run = self.frame.run
        found = run.bindings.get(self.step.id)
        if found is None:
            # Two threads may both get here; either one's result will do.
            found = run.bindings[self.step.id] = Binding(self.step, run.node_type(self.step))
        return found

    def scope(self, *output: Json) -> dict[str, Any]:
        """Return the names that the step's expressions see."""
        undone = self.step.undoes
        if undone is not None:
            record = self.frame.record(undone)
            output = () if record is None else (record.output,)
        return scope_of(self.frame, self.came_in, self.binding.wanted, output)

    def secret(self, name: str) -> str:
        """Fetch a secret, and hide it from now on."""
        value = self.frame.run.secrets.get(name)
        self.frame.run.redactor.add(value)
        return value

    def hide(self, secret: str) -> None:
        """Hide a value from now on."""
        self.frame.run.redactor.add(secret)

    def config(self) -> dict[str, Any]:
        """Return the step's config with all expressions evaluated.

        Raises:
            NodeError: One fails, or what it gives does not fit.
        """
        return self._config(self.scope())

    def _config(self, scope: dict[str, Any]) -> dict[str, Any]:
        return self.binding.bind(scope, self.secret, self.came_in.fed(), self.hide)

    def work(self, deadline: float | None, round_: int) -> Json | Chosen:
        """Do the step's work once.

        Raises:
            NodeError: It failed.
            Canceled: The run was told to stop.
        """
        if self.frame.run.stop.is_set():
            raise Canceled
        if deadline is None or self.step.behaviour is Behaviour.WAIT:
            # A wait keeps its time by itself, in whatever process it ends.
            return self._call(deadline, round_, self.log)
        return self._guarded(deadline, round_)

    def _call(self, deadline: float | None, round_: int, log: RedactedLog) -> Json | Chosen:
        try:
            scope = self.scope()
            region = self.binding.region(scope, self.secret, self.hide)
            return self._handle(self._config(scope), region, deadline, round_, log)
        except (NodeError, Canceled, RecordsError):
            raise
        except Exception as error:
            log.debug(traceback.format_exc())
            raise unexpected(error) from None

    def handle(self, config: dict[str, Any]) -> Json | Chosen:
        """Call the handler with a config that is evaluated already."""
        return self._handle(config, self.step.region, None, 0, self.log)

    def _handle(
        self,
        config: dict[str, Any],
        region: str | None,
        deadline: float | None,
        round_: int,
        log: RedactedLog,
    ) -> Json | Chosen:
        node_type = self.frame.run.node_type(self.step)
        handler = node_type.handler
        if handler is None:
            raise NodeError(
                "NotSupportedYet", f"`{self.step.type}` cannot be executed yet.", transient=False
            )
        call = StepCall(
            self.frame,
            self.step,
            self.came_in,
            log,
            region=region,
            deadline=deadline,
            round_=round_,
        )
        progress = progress_of(self.frame, self.step, node_type.repeat_for(config), round_)
        self.calls[:] = [progress]
        if progress.key is None:
            return handler(call, config)
        once = Once(self.frame, node_type, call, progress.key, progress, lambda: log.silent)
        return once.do(handler, config)

    def _guarded(self, deadline: float, round_: int) -> Json | Chosen:
        """Call the handler in a thread that is left behind when it does not keep its time."""
        ended = threading.Event()
        result: list[Json | Chosen] = []
        raised: list[BaseException] = []
        log = self.log.fork()

        def call() -> None:
            try:
                result.append(self._call(deadline, round_, log))
            except BaseException as error:
                raised.append(error)
            finally:
                ended.set()

        context = contextvars.copy_context()
        name = f"{self.step.id} (with a time limit)"
        threading.Thread(target=lambda: context.run(call), name=name, daemon=True).start()
        try:
            self._wait(ended, deadline)
        finally:
            log.silent = not ended.is_set()
        if raised:
            raise raised[0]
        return result[0]

    def _wait(self, ended: threading.Event, deadline: float) -> None:
        stop = self.frame.run.stop
        stop_at: float | None = None
        while not ended.wait(max(0.0, min(_LOOK, deadline + GRACE - time.monotonic()))):
            self.frame.run.parking.pass_gate()
            now = time.monotonic()
            if stop.is_set():
                stop_at = stop_at or now + STOP_GRACE
                if now >= stop_at:
                    raise Canceled
            if now >= deadline + GRACE:
                self.log.warning("The attempt ran out of its time and was given up.")
                raise out_of_time(self.step)


def unexpected(error: Exception) -> NodeError:
    """Return the error of a handler that raised something else than it should."""
    name = type(error).__name__
    message = f"{name}: {error}" if str(error) else name
    return NodeError(name, message, transient=False, unsure=True)
