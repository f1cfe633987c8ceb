"""Ends of steps and runs that Dagster's pages show as what they say, without a stack.

Dagster writes an error with the stack of its own functions, and that twice where it wraps it. What
went wrong in a flow is said in a sentence; where in our code or Dagster's it was raised helps
nobody. For an error that was told by another process (`DagsterUserCodeProcessError`) Dagster shows
what that process said of it and wraps it in nothing: ours say it themselves. That class is not
public. Checked on Dagster 1.13.27.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import dagster as dg
from dagster._core.errors import DagsterUserCodeProcessError
from dagster_shared.error import SerializableErrorInfo


class Told(DagsterUserCodeProcessError):  # noqa: N818 - a way to tell of errors
    """An error that is shown as its message."""

    def __init__(self, message: str = "") -> None:
        said = SerializableErrorInfo(message, stack=[], cls_name=type(self).__name__)
        # Dagster's types for both constructors are partly unknown.
        cast("Any", super()).__init__(message, user_code_process_error_infos=[said])


class NodeFailed(dg.Failure, Told):
    """A step failed, and is not tried again."""

    def __init__(self, message: str, metadata: Mapping[str, Any] | None = None) -> None:
        cast("Any", super()).__init__(message, metadata=metadata, allow_retries=False)


class NextAttempt(dg.RetryRequested, Told):
    """An attempt failed, and another one is due.

    Args:
        message: Why it failed.
        delay: Seconds until then.
        at_most: How often Dagster lets a step be tried.
    """

    def __init__(self, message: str, delay: float, at_most: int) -> None:
        super().__init__(max_retries=at_most, seconds_to_wait=round(delay, 2))
        Told.__init__(self, message)
