"""What the body of a curated node type calls AWS's operations with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import Any

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.call import Call
from cloudflow_dagster.nodes.errors import Canceled, NodeError
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.aws.conversation import Conversation
from cloudflow_dagster.providers.aws.invoke import results_of, settle
from cloudflow_dagster.providers.aws.models import Service, load_service, snake_case
from cloudflow_dagster.providers.aws.repeat import repeat_of
from cloudflow_dagster.providers.aws.tokens import add_token
from cloudflow_dagster.providers.aws.values import Arguments
from cloudflow_dagster.providers.aws.waits import Wait

_FIRST_PAUSE = 1.0


class Operations:
    """Carries out operations for one node, as the node types made from botocore's models do.

    An operation is written as botocore's name of the service and the API's own name:
    `ec2.StartInstances`. Arguments are JSON with the API's own names; None is not sent. So are the
    answers.

    Args:
        call: What surrounds the attempt.
        node_type: Id of the node type, for messages.
        allowed: The operations that the node type declares; it can call no other.

    Attributes:
        call: What surrounds the attempt.
        changed: Whether an operation that changes something has been carried out.
    """

    def __init__(self, call: Call, node_type: str, allowed: Iterable[str]) -> None:
        self.call = call
        self.changed = False
        self._node_type = node_type
        self._allowed = frozenset(allowed)
        self._made: list[str] = []
        self._repeats = 0
        self._request_id: str | None = None

    def ask(self, operation: str, /, **arguments: Json) -> dict[str, Json]:
        """Carry out an operation and return its answer.

        Raises:
            NodeError: AWS refused it or could not be reached.
            Canceled: The run was told to stop.
        """
        return self._send(operation, arguments, pages=False)

    def find(
        self, operation: str, /, *, absent: Sequence[str], **arguments: Json
    ) -> dict[str, Json] | None:
        """Carry out an operation that looks at something; None if it is not there.

        Args:
            operation: What is asked.
            absent: Error codes that say that it is not there.
            arguments: Of the operation.
        """
        try:
            return self.ask(operation, **arguments)
        except NodeError as error:
            if error.code not in absent:
                raise
            return None

    def pages(self, operation: str, /, **arguments: Json) -> dict[str, Json]:
        """Carry out an operation for all pages and return them joined.

        Raises:
            NodeError: AWS refused it or could not be reached.
            Canceled: The run was told to stop.
        """
        return self._send(operation, arguments, pages=True)

    def wait(self, waiter: str, /, **arguments: Json) -> None:
        """Wait until what one of AWS's waiters stands for is so.

        Args:
            waiter: `ec2.instance_running`.
            arguments: Of the operation that it asks.

        Raises:
            NodeError: It will never be so, was not in time, or AWS cannot be asked.
            Canceled: The run was told to stop.
        """
        service_name, _, name = waiter.partition(".")
        service = load_service(service_name)
        names = {snake_case()(each): each for each in service.waiters}
        asked = str(service.waiters[names[name]]["operation"])
        wait = Wait(name, names[name], asked, None)

        def ask(talk: Conversation, given: dict[str, Any], token: str) -> dict[str, Json]:
            del token
            talk.wait(wait, given, {})
            return {}

        self._carry_out(service, asked, arguments, ask)

    def until(
        self,
        done: Callable[[dict[str, Json]], bool],
        operation: str,
        /,
        *,
        every: float,
        not_yet: tuple[str, ...] = (),
        **arguments: Json,
    ) -> dict[str, Json]:
        """Ask until the answer is as wanted, and return it; the node's `timeout` is the limit.

        Args:
            done: Whether it is. It raises `NodeError` if it will never be.
            operation: What is asked.
            every: Seconds between two questions; the first ones come sooner.
            not_yet: Error codes that say only that it is too early to ask.
            arguments: Of the operation.
        """
        pause = min(_FIRST_PAUSE, every)
        while True:
            try:
                answer = self.ask(operation, **arguments)
            except NodeError as error:
                if error.code not in not_yet:
                    raise
            else:
                if done(answer):
                    return answer
            self.call.sleep(pause)
            pause = min(every, pause * 2)

    def presigned(self, operation: str, seconds: int, /, **arguments: Json) -> str:
        """Return an address that carries out an operation for whoever has it; asks nobody."""
        service, name = self._operation(operation)
        client = Conversation(self.call, self.call.login("aws"), service).client(name)
        method = snake_case()(name)
        return str(client.generate_presigned_url(method, Params=arguments, ExpiresIn=seconds))

    @property
    def region(self) -> str | None:
        """Where the node works."""
        return self.call.region or self.call.login("aws").region

    def log(self, seconds: float) -> None:
        """Write which operations were called, and never with what."""
        region = self.region or "no region"
        counted = dict.fromkeys(self._made, 0)
        for name in self._made:
            counted[name] += 1
        made = [name if n == 1 else f"{name} ({n} times)" for name, n in counted.items()]
        parts = [f"{self._node_type} in {region}: {', '.join(made) or 'nothing to do'}"]
        parts.append(f"{seconds:.2f} s")
        if self._request_id:
            parts.append(f"request id {self._request_id}")
        self.call.log.info(", ".join([*parts, f"{self._repeats} retries"]))

    def _send(self, operation: str, arguments: dict[str, Json], *, pages: bool) -> dict[str, Json]:
        service, name = self._operation(operation)

        def ask(talk: Conversation, given: dict[str, Any], token: str) -> dict[str, Json]:
            sent = add_token(service, name, given, token)
            answer = (talk.pages if pages else talk.ask)(name, sent)
            return results_of(self.call, token).of(answer)

        answer = self._carry_out(service, name, arguments, ask)
        self.changed = self.changed or repeat_of(service, name) is not Repeat.READ
        return answer

    def _carry_out(
        self,
        service: Service,
        name: str,
        arguments: dict[str, Json],
        ask: Callable[[Conversation, dict[str, Any], str], dict[str, Json]],
    ) -> dict[str, Json]:
        self._operation(f"{service.name}.{name}")
        self._made.append(f"{service.name}.{name}")
        given = {key: value for key, value in arguments.items() if value is not None}
        login = self.call.login("aws")
        talk = Conversation(self.call, login, service)
        try:
            with ExitStack() as files:
                sent = Arguments(service, self.call.files, files).of(name, given)
                return ask(talk, sent, self._token(name, given))
        except (NodeError, Canceled):
            raise
        except Exception as error:
            return settle(error, self.call, name, self._node_type, login)
        finally:
            self._repeats += talk.repeats
            self._request_id = talk.request_id or self._request_id

    def _operation(self, operation: str) -> tuple[Service, str]:
        if operation not in self._allowed:
            raise AssertionError(f"{self._node_type} does not declare that it calls {operation}.")
        service, _, name = operation.partition(".")
        return load_service(service), name

    def _token(self, name: str, given: dict[str, Json]) -> str:
        """Return the token of one request: a node may make the same thing of several others."""
        what = json.dumps([self.call.token, name, given], sort_keys=True, default=str)
        return hashlib.sha256(what.encode()).hexdigest()
