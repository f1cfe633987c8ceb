"""Whether a failed attempt is repeated, and when."""

from __future__ import annotations

import random
from collections.abc import Callable

from cloudflow_dagster.flow.model import Retry
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.runtime.outcome import MAYBE_DONE

LONGEST_DELAY = 86_400.0
NEVER = frozenset({"UntilTimeout", MAYBE_DONE})
"""Codes that are not repeated, whatever `on` says."""
ALWAYS_TRANSIENT = frozenset({"Timeout"})
"""Codes that every node type takes for transient: an attempt ran out of its time."""


def is_transient(error: NodeError, transient: frozenset[str]) -> bool:
    """Return whether another attempt may help, where `retry.on` does not say.

    Args:
        error: Why the attempt failed.
        transient: The codes that the node type calls transient.
    """
    if error.transient is not None:
        return error.transient
    return error.code in transient or error.code in ALWAYS_TRANSIENT


def next_delay(
    retry: Retry | None,
    error: NodeError,
    attempt: int,
    transient: frozenset[str] = frozenset(),
    chance: Callable[[], float] = random.random,  # noqa: S311 - it only spreads the load
) -> float | None:
    """Return the seconds until the next attempt, or None if there is none.

    Args:
        retry: What the node says about retries.
        error: Why the attempt failed.
        attempt: Its number, from 1.
        transient: The codes that the node type calls transient.
        chance: Gives numbers from 0 to 1.
    """
    if retry is None or attempt >= retry.max_attempts or error.code in NEVER:
        return None
    if not (is_transient(error, transient) if retry.on is None else error.code in retry.on):
        return None
    return max(_delay(retry, attempt, chance), error.retry_after or 0.0)


def _delay(retry: Retry, attempt: int, chance: Callable[[], float]) -> float:
    match retry.backoff:
        case "constant":
            delay = retry.delay
        case "linear":
            delay = retry.delay * attempt
        case "exponential":
            delay = retry.delay * 2.0 ** (attempt - 1)
    match retry.jitter:
        case "none":
            pass
        case "full":
            delay *= chance()
        case "plus_minus":
            delay += (2 * chance() - 1) * retry.delay
    return min(max(delay, 0.0), LONGEST_DELAY)
