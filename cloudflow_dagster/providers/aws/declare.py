"""Declares curated node types of AWS: friendly fields over a few of AWS's operations.

    @aws_action(
        "aws.ec2.instance.reboot",
        label="Reboot instances",
        calls=("ec2.RebootInstances",),
        repeat=Repeat.SAFE,
    )
    def reboot(aws: Operations, *, instances: Instances) -> Rebooted:
        '''Reboots instances.'''
        aws.ask("ec2.RebootInstances", InstanceIds=instances)
        return {"ids": instances}

The module of such a function lies in `curated/`, at the path that the id's words say.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial, wraps
from typing import Any, TypeVar

from cloudflow_dagster.nodes.call import Call
from cloudflow_dagster.nodes.declare import CheckConfig, DestructiveOf, RepeatOf, action
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.signature import Signature
from cloudflow_dagster.nodes.spec import TOKEN_SECONDS, Found, LookUp, Repeat
from cloudflow_dagster.providers.aws.errors import TRANSIENT
from cloudflow_dagster.providers.aws.models import metadata_of
from cloudflow_dagster.providers.aws.naming import of_function
from cloudflow_dagster.providers.aws.operations import Operations
from cloudflow_dagster.providers.aws.palette import category_of, look_of
from cloudflow_dagster.providers.aws.permissions import Sends, permissions_of_calls

PROVIDER = "aws"

F = TypeVar("F", bound=Callable[..., Any])
Finds = Callable[[Operations, dict[str, Any], datetime], Any]
"""Looks for what an interrupted call has made: from the fields as the function gets them, defaults
included, and since when.

Returns what the function itself would have returned, or None if it is not there.
"""


def aws_action(
    id: str,
    *,
    label: str,
    calls: Sequence[str],
    repeat: Repeat,
    destructive: str | None = None,
    destructive_of: DestructiveOf | None = None,
    repeat_of: RepeatOf | None = None,
    token_seconds: float | None = TOKEN_SECONDS,
    look_up: Finds | None = None,
    sends: Sends | None = None,
    icon: str | None = None,
    category: str | None = None,
    transient: Sequence[str] = (),
    check: CheckConfig | None = None,
) -> Callable[[F], F]:
    """Declare a function that does one thing with a few operations and returns its output.

    Its first parameter is the node's `Operations`; the rest is as for `action`.

    Args:
        id: `aws.<service>.<resource>.<verb>`.
        label: A few words for the palette.
        calls: The operations that it may call, the most important one first: `ec2.StartInstances`.
        repeat: What is done about a call that an interrupted run may have made already.
        destructive: What it does that is harmful by its nature, as a sentence.
        destructive_of: The same from a node's config, where it depends on that.
        repeat_of: The same from a node's config, where it depends on that.
        token_seconds: For `Repeat.TOKEN`: how long a token is certainly remembered; None: for ever.
        look_up: For `Repeat.LOOKUP`: finds what an interrupted call made.
        sends: Fields of the API that permissions depend on and that no field of the config is
            called like, each with the fields of the config with which it is sent; always, if none.
        icon: Name of a Lucide icon, if it is not the service's.
        category: Group of the palette, if it is not the service's.
        transient: Error codes that are worth another attempt, beside those of all of AWS.
        check: Finds what the schema of the config cannot say: (path in the config, sentence).
    """
    service, _, operation = calls[0].partition(".")
    look = look_of(service)

    def attach(function: F) -> F:
        declared = action(
            id,
            label=label,
            icon=icon or look.icon,
            category=category or category_of(service),
            color=look.color,
            provider=PROVIDER,
            permissions_of=partial(permissions_of_calls, tuple(calls), sends=sends),
            names_of=of_function(function),
            calls=calls,
            transient=(*TRANSIENT, *transient),
            destructive=destructive,
            destructive_of=destructive_of,
            repeat=repeat,
            repeat_of=repeat_of,
            token_seconds=token_seconds,
            look_up=_look_up(id, calls, function, look_up) if look_up else None,
            check=check,
            documentation=_documentation(service, operation),
        )
        return declared(_handled(id, calls, function))

    return attach


def _handled(id: str, calls: Sequence[str], function: F) -> F:
    """Return the function with the call's surroundings as its first parameter."""

    @wraps(function)
    def handle(call: Call, **config: Any) -> Any:
        operations = Operations(call, id, calls)
        began = time.monotonic()
        try:
            return function(operations, **config)
        except NodeError as error:
            # What came after the change has failed; the change itself has been made.
            error.unsure = error.unsure or operations.changed
            raise
        finally:
            operations.log(time.monotonic() - began)

    return handle  # pyright: ignore[reportReturnType] - but for the first parameter, the same


def _look_up(id: str, calls: Sequence[str], function: Callable[..., Any], finds: Finds) -> LookUp:
    def look_up(call: Call, config: dict[str, Any], since: datetime) -> Found | None:
        signature = Signature(function)
        defaults = {
            each.name: each.default
            for each in signature.parameters.values()
            if each.default is not each.empty
        }
        given = {**defaults, **signature.arguments(config)}
        found = finds(Operations(call, id, calls), given, since)
        return None if found is None else Found(found)

    return look_up


def _documentation(service: str, operation: str) -> str:
    return f"https://docs.aws.amazon.com/goto/WebAPI/{metadata_of(service)['uid']}/{operation}"
