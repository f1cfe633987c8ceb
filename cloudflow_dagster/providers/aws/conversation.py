"""One node's talk with one service: requests, their repetitions, pages and waiting."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from math import ceil
from typing import Any, cast

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.call import Call
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.errors import (
    answer_of,
    is_not_simulated,
    is_unsure,
    is_worth_repeating,
    retry_after,
)
from cloudflow_dagster.providers.aws.models import Service, snake_case
from cloudflow_dagster.providers.aws.repeat import repeat_of
from cloudflow_dagster.providers.aws.waits import Wait

REPEATS = 2
"""How often a request that failed in a transient way is sent again within one attempt."""
SLOW: Mapping[tuple[str, str], float] = {
    ("lambda", "Invoke"): 910,
    ("stepfunctions", "StartSyncExecution"): 310,
    ("stepfunctions", "GetActivityTask"): 70,
}
"""Seconds for operations that may take longer to answer than other ones ever do."""
_PATIENCE = 3 * 3600.0
"""Seconds for which a waiter is asked at the least; the node's `timeout` ends it sooner.

botocore's own counts end after ten minutes for caches and services, and thirty for databases.
"""
_NO_LIMIT = 7 * 86_400.0


class Conversation:
    """Sends requests within the limits of a call, and counts what it took.

    botocore's own repetitions are switched off: they know neither the deadline of the attempt nor
    that a run was told to stop.

    Attributes:
        requests: How many were sent, repetitions not counted.
        repeats: How often one was sent again.
        request_id: The service's id of the last one.
    """

    def __init__(self, call: Call, login: Any, service: Service) -> None:
        self._call = call
        self._login = login
        self._service = service
        self.requests = 0
        self.repeats = 0
        self.request_id: str | None = None

    def ask(self, operation: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Send one request, again where that may help, and return botocore's answer.

        Raises:
            Exception: botocore's own, for the caller to explain.
            Canceled: The run was told to stop.
            NodeError: The attempt's deadline passed (`Timeout`).
        """
        self.requests += 1
        for repetition in range(REPEATS + 1):
            send = getattr(self.client(operation), snake_case()(operation))
            try:
                answer = cast("dict[str, Any]", send(**arguments))
            except Exception as error:
                self._note(answer_of(error) or {})
                last = repetition == REPEATS or not self._may_repeat(operation, error)
                if last or is_not_simulated(error, self._login):
                    raise
                self._pause(operation, repetition, error)
                _rewind(arguments)
            else:
                self._note(answer)
                return answer
        raise AssertionError  # the last repetition returns or raises

    def _may_repeat(self, operation: str, error: Exception) -> bool:
        """Return whether a request may be sent again at once, and would do nothing twice."""
        if not is_worth_repeating(error):
            return False
        return not is_unsure(error) or repeat_of(self._service, operation) is not Repeat.ASK

    def client(self, operation: str) -> Any:
        """Return a client whose patience ends with the attempt.

        Raises:
            Canceled: The run was told to stop.
            NodeError: The attempt's deadline passed (`Timeout`), or one cannot log in.
        """
        left = self._call.remaining(_NO_LIMIT)
        timeout = SLOW.get((self._service.name, operation)) if left >= _NO_LIMIT else left
        return self._login.client(
            self._service.name, region=self._call.region, timeout=timeout, retries=0
        )

    def pages(self, operation: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Ask for all pages and return their result keys joined, as botocore joins them.

        A list that no page has is there, and empty.
        """
        from botocore.model import OperationModel, ServiceModel  # noqa: PLC0415 - 100 ms
        from botocore.paginate import Paginator  # noqa: PLC0415

        def ask(**arguments: Any) -> dict[str, Any]:
            return self.ask(operation, arguments)

        model = cast("Any", ServiceModel)(self._service.model, self._service.name)
        paginator: Any = cast("Any", Paginator)(
            ask,
            self._service.paginators[operation],
            cast("OperationModel", model.operation_model(operation)),
        )
        joined = _without_nulls(paginator.paginate(**arguments).build_full_result())
        members = self._service.members(operation, "output")
        for key in _as_list(self._service.paginators[operation]["result_key"]):
            if key in members and self._service.shape(members[key]["shape"])["type"] == "list":
                joined.setdefault(key, [])
        return joined

    def wait(self, wait: Wait, given: Mapping[str, Json], got: Mapping[str, Json]) -> None:
        """Wait until what a waiter stands for is so.

        Args:
            wait: The waiter.
            given: The operation's arguments.
            got: Its answer.

        Raises:
            NodeError: It will never be so (`WaitFailed`), or was not in time (`WaitTimeout`), or
                there is nothing to wait for (`NothingToWaitFor`). None of them is transient.
        """
        inputs = wait.inputs(given, got)
        if not inputs:
            raise NodeError(
                "NothingToWaitFor",
                f"`wait_for: {wait.name}` found in the answer nothing to wait for.",
                transient=False,
                unsure=True,
            )
        for arguments in inputs:
            self._wait_once(wait, arguments)

    def _wait_once(self, wait: Wait, arguments: Mapping[str, Any]) -> None:
        from botocore.waiter import SingleWaiterConfig  # noqa: PLC0415 - 100 ms

        settings: Any = cast("Any", SingleWaiterConfig)(self._service.waiters[wait.waiter])
        started = time.monotonic()
        most = max(settings.max_attempts, ceil(_PATIENCE / max(settings.delay, 1)))
        for attempt in range(1, most + 1):
            state, answer = self._look(wait.operation, arguments, settings.acceptors)
            if state == "success":
                waited = time.monotonic() - started
                self._call.log.info(f"{wait.name}: after {waited:.1f} s, asked {attempt} times.")
                return
            if state == "failure":
                why = _will_never(wait.name, answer)
                raise NodeError("WaitFailed", why, transient=False, unsure=True)
            if attempt < most:
                self._call.log.debug(f"{wait.name}: not yet; again in {settings.delay} s.")
                self._call.sleep(settings.delay)
        raise NodeError(
            "WaitTimeout",
            f"`{wait.name}` was not reached after asking {most} times, every {settings.delay} s. "
            "It may still be; look at it before the node is run again.",
            transient=False,
            unsure=True,
        )

    def _look(
        self, operation: str, arguments: Mapping[str, Any], acceptors: list[Any]
    ) -> tuple[str, Mapping[str, Any]]:
        """Ask once and return what the waiter makes of the answer, which may be an error."""
        try:
            answer: Mapping[str, Any] = self.ask(operation, arguments)
        except Exception as error:
            failed = answer_of(error) or {}
            state = _state(acceptors, failed) if failed else None
            if state is None:
                raise
            return state, failed
        return _state(acceptors, answer) or "retry", answer

    def _note(self, answer: Mapping[str, Any]) -> None:
        metadata: Mapping[str, Any] = answer.get("ResponseMetadata", {})
        self.request_id = metadata.get("RequestId") or self.request_id

    def _pause(self, operation: str, repetition: int, error: Exception) -> None:
        asked_for = retry_after(answer_of(error) or {})
        # Full jitter: many items that were throttled together must not come back together.
        seconds = asked_for if asked_for is not None else random.uniform(0, 2**repetition)  # noqa: S311 - no secret
        self.repeats += 1
        answer = answer_of(error)
        reason = answer["Error"].get("Code") if answer else type(error).__name__
        self._call.log.debug(f"{operation}: {reason}; again in {seconds:.1f} s.")
        self._call.sleep(seconds)


def _without_nulls(value: dict[str, Any]) -> dict[str, Any]:
    """Leave out what botocore puts as None because no page has it."""
    return {
        key: _without_nulls(cast("dict[str, Any]", each)) if isinstance(each, dict) else each
        for key, each in value.items()
        if each is not None
    }


def _as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _state(acceptors: list[Any], answer: Mapping[str, Any]) -> str | None:
    matches: Callable[[Any], bool]
    for acceptor in acceptors:
        matches = acceptor.matcher_func
        if matches(answer):
            return str(acceptor.state)
    return None


def _will_never(name: str, answer: Mapping[str, Any]) -> str:
    said = answer.get("Error", {}).get("Message") or answer.get("Error", {}).get("Code")
    reason = f" AWS says: {said}" if said else ""
    return f"`{name}` will not be reached any more. The operation itself succeeded.{reason}"


def _rewind(arguments: Mapping[str, Any]) -> None:
    """Let files be sent again from their beginning."""
    for value in arguments.values():
        if hasattr(value, "seek"):
            value.seek(0)
