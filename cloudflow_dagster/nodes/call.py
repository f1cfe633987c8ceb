"""What surrounds one attempt of a node's work."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.waits import Wait

T = TypeVar("T")


class CallLog(Protocol):
    """Writes to the step's log. Every argument passes the redaction of secrets first."""

    def debug(self, message: str) -> None:
        """Write what only helps to find an error."""
        ...

    def info(self, message: str) -> None:
        """Write what was done: the call, how long it took, its request id."""
        ...

    def warning(self, message: str) -> None:
        """Write what went wrong but did not stop the work."""
        ...


class CallSettings(Protocol):
    """What the project allows its nodes to do."""

    @property
    def code_nodes(self) -> bool:
        """Whether `generic.code` may run."""
        ...

    @property
    def private_addresses(self) -> bool:
        """Whether HTTP nodes may reach private and loopback addresses."""
        ...


class Call(Protocol):
    """The surroundings of one attempt, given to a node type's handler.

    Attributes:
        node: Id of the node.
        input: What came into the node.
        log: The step's log.
        deadline: `time.monotonic()` at which the attempt must have ended, or None.
        region: The node's region, which overrides the credential's, or None.
        token: The same for every repetition of this very call, different for any other: the
            idempotency token to give to the API. 64 characters of `[0-9a-f]`.
        repeated: Whether an earlier attempt at this very call may have been carried out, and is now
            asked for again.
        files: A folder of the run, for results too large to be a value. It exists. Beside it lie
            the folders of the project's other runs, and nothing else: a run that goes on where
            another failed, or that called a flow, may be given files of those.
        settings: What the project allows.
    """

    node: str
    input: Json
    log: CallLog
    deadline: float | None
    region: str | None
    token: str
    repeated: bool
    files: Path
    settings: CallSettings

    def login(self, provider: str) -> Any:
        """Return the provider's login of this node (`AwsLogin` …), made once for a run.

        Raises:
            NodeError: The credential cannot be used; says why and what to do.
        """
        ...

    def hide(self, secret: str) -> None:
        """Keep a value that the handler derived from a secret out of logs and stored outputs."""
        ...

    def redact(self, text: str) -> str:
        """Return a text without secrets.

        Logs, errors and outputs are redacted anyway. This is for a text that is cut or changed
        before it gets there: what is left of a secret then might not be recognised.
        """
        ...

    def redact_stream(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the bytes of a stream without secrets; what goes into `files` passes through it."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait, but no longer than the run goes on.

        Raises:
            Canceled: The run was told to stop.
            NodeError: The attempt's deadline passed (`Timeout`).
        """
        ...

    def wait_for(self, wait: Wait) -> Json:
        """Wait for something that may come in days; return what was answered, else null.

        It may never return: while all that a run does is wait, its process ends, and the handler is
        called anew when the wait is over. Nothing may be done before it that must not be repeated.

        Raises:
            Canceled: The run was told to stop.
            NodeError: Nobody answered before the attempt's deadline (`Timeout`).
        """
        ...

    def remaining(self, at_most: float) -> float:
        """Return the seconds until the deadline, at most so many, and at least 0.

        Raises:
            Canceled: The run was told to stop.
            NodeError: The attempt's deadline passed (`Timeout`).
        """
        ...

    def complete(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the process's one event loop and return its result.

        A handler that is an `async def` is run like this by itself. It is canceled at the deadline
        and when the run is told to stop, and has a moment to clean up then.

        Raises:
            Canceled: The run was told to stop.
            NodeError: The attempt's deadline passed (`Timeout`).
        """
        ...

    def run_flow(self, flow: str, params: Json, max_depth: int | None) -> Json:
        """Run another flow as a child run, wait for its end, and return its result.

        Raises:
            NodeError: There is no such flow, the params do not fit, or the child failed.
        """
        ...
