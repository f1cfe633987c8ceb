"""The handler of every `aws.…` node."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from cloudflow_dagster.flow.model import Json
from cloudflow_dagster.nodes.call import Call
from cloudflow_dagster.nodes.errors import Canceled, NodeError
from cloudflow_dagster.providers.aws.conversation import Conversation
from cloudflow_dagster.providers.aws.errors import explain, is_gone
from cloudflow_dagster.providers.aws.models import load_service
from cloudflow_dagster.providers.aws.repeat import removes
from cloudflow_dagster.providers.aws.tokens import add_token
from cloudflow_dagster.providers.aws.values import Arguments, Results
from cloudflow_dagster.providers.aws.waits import Wait, waits_of

PAGINATE = "paginate"
WAIT_FOR = "wait_for"


def invoke(
    service_name: str, operation: str, node_type: str, call: Call, config: Mapping[str, Any]
) -> Json:
    """Carry out one operation and return its output.

    Args:
        service_name: botocore's name of the service.
        operation: The API's own name of the operation.
        node_type: Id of the node type, for messages.
        call: The call's surroundings.
        config: The operation's input members, `paginate` and `wait_for`.

    Raises:
        NodeError: The service refused it, could not be reached, or the wait failed.
        Canceled: The run was told to stop.
    """
    service = load_service(service_name)
    login = call.login("aws")
    talk = Conversation(call, login, service)
    wait = _wait(service_name, operation, config.get(WAIT_FOR))
    given = {name: value for name, value in config.items() if name not in {PAGINATE, WAIT_FOR}}
    results = results_of(call, call.token)
    started = time.monotonic()
    try:
        with ExitStack() as files:
            arguments = Arguments(service, call.files, files).of(operation, given)
            arguments = add_token(service, operation, arguments, call.token)
            if wait and wait.questions is None:
                # The waiter asks with this very operation: its answer is wanted from afterwards.
                talk.wait(wait, arguments, {})
            ask = talk.pages if config.get(PAGINATE) else talk.ask
            answer = ask(operation, arguments)
            output = results.of(answer)
            _log(call, talk, node_type, login, time.monotonic() - started)
            if wait and wait.questions is not None:
                talk.wait(wait, arguments, output)
            return output
    except (NodeError, Canceled):
        raise
    except Exception as error:
        return settle(error, call, operation, node_type, login)


def results_of(call: Call, token: str) -> Results:
    """Return what turns an answer into JSON.

    Args:
        call: The call's surroundings.
        token: Different for each of a node's requests; long streams go into files named by it.
    """
    return Results(
        call.files,
        f"{call.node}-{token[:16]}",
        lambda: call.remaining(float("inf")),
        call.redact_stream,
    )


def settle(
    error: Exception, call: Call, operation: str, node_type: str, login: Any
) -> dict[str, Json]:
    """Return an empty answer if an exception means that the request had been carried out before.

    Raises:
        NodeError: It means anything else, in words for the flow's author.
        Exception: The very same one, if it is none of botocore's.
    """
    if call.repeated and removes(operation) and is_gone(error):
        call.log.info("It is gone already.")
        return {}
    why = explain(error, node_type, login)
    if why is None:
        raise error
    raise why from error


def refuse_streams(node_type: str, _call: Call, _config: Mapping[str, Any]) -> Json:
    """Be the handler of an operation that talks in streams of events.

    Raises:
        NodeError: Always.
    """
    raise NodeError("NotSupported", streams_not_supported(node_type), transient=False)


def streams_not_supported(node_type: str) -> str:
    """Return why an operation that talks in streams of events cannot run."""
    return (
        f"`{node_type}` gives or takes an endless stream of events, which a node cannot. Use an "
        "operation of the service that answers at once."
    )


def _wait(service_name: str, operation: str, name: Any) -> Wait | None:
    if name is None:
        return None
    known = waits_of(service_name, operation)
    if name not in known:
        listed = ", ".join(f"`{each}`" for each in known) or "nothing"
        raise NodeError(
            "ParamValidation",
            f"`wait_for` cannot be `{name}`; this operation can wait for {listed}.",
            transient=False,
        )
    return known[name]


def _log(call: Call, talk: Conversation, node_type: str, login: Any, seconds: float) -> None:
    """Write what was called, and never with what."""
    region = call.region or login.region or "no region"
    parts = [f"{node_type} in {region}: {seconds:.2f} s"]
    if talk.requests > 1:
        parts.append(f"{talk.requests} requests")
    if talk.request_id:
        parts.append(f"request id {talk.request_id}")
    parts.append(f"{talk.repeats} retries")
    call.log.info(", ".join(parts))
